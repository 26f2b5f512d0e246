"""Draws depend on seed and key alone, and principles come as often as their weights say."""

import math
from collections import Counter

import pytest

from jaxkd.constitution import Critique, Principle, Revision, read_constitution
from jaxkd.constitution.turns import sample_principle
from jaxkd.runtime import configs

KEYS = [f"prompts.jsonl:{number}" for number in range(4000)]


def principles(**weights):
    return [
        Principle(id=id, critique=f"Why {id}?", revision=f"Mend {id}.", weight=weight) for id, weight in weights.items()
    ]


def ids(found, keys=KEYS, **options):
    return [sample_principle(found, seed=0, key=key, **options).id for key in keys]


def test_the_draws_of_a_seed_stay():
    # Written down once: other draws would make other transcripts of the same seed.
    assert ids(principles(a=1, b=1, c=2), KEYS[:12]) == list("accacaaabcbc")


def test_principles_come_as_often_as_their_weights_say():
    counts = Counter(ids(principles(a=1, b=2, c=5)))
    for id, share in (("a", 1 / 8), ("b", 2 / 8), ("c", 5 / 8)):
        # Four standard deviations of a binomial share; the hash is fixed, so this never fails by chance.
        assert abs(counts[id] / len(KEYS) - share) < 4 * math.sqrt(share * (1 - share) / len(KEYS))


def test_neither_order_nor_other_keys_nor_another_principle_move_a_draw():
    found = principles(a=1, b=2, c=5)
    before = dict(zip(KEYS, ids(found), strict=True))
    assert dict(zip(KEYS[::-3], ids(found[::-1], KEYS[::-3]), strict=True)).items() <= before.items()
    after = dict(zip(KEYS, ids([*found, *principles(d=1)]), strict=True))
    moved = {key for key in KEYS if after[key] != before[key]}
    assert {after[key] for key in moved} == {"d"}
    assert 0 < len(moved) < len(KEYS) / 5


def test_a_revision_has_the_principle_of_the_critique_or_one_of_its_own():
    critique, paired = Critique(seed=3), Revision(seed=3)
    independent = Revision(seed=3, pairing="independent")
    by_id = {one.id: one for one in read_constitution("eight-principles").principles}
    for key in KEYS[:50]:
        assert critique.name(key) == paired.name(key)
        assert (critique.text(key), paired.text(key)) == (
            by_id[critique.name(key)].critique,
            by_id[critique.name(key)].revision,
        )
        assert independent.text(key) == by_id[independent.name(key)].revision
    same = sum(critique.name(key) == independent.name(key) for key in KEYS[:800])
    # One in eight, within four standard deviations.
    assert abs(same / 800 - 1 / 8) < 4 * math.sqrt(7 / 64 / 800)
    others = [Critique(seed=4).name(key) for key in KEYS[:50]]
    assert others != [critique.name(key) for key in KEYS[:50]]


@pytest.mark.parametrize("turn", [Critique(seed=3), Revision(constitution="mine.yaml", pairing="independent")])
def test_a_draw_is_a_config(turn):
    assert configs.decode(configs.encode(turn)) == turn


def test_what_cannot_be_drawn_from_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("preferences: [{id: a, text: 'Which?'}]")
    with pytest.raises(ValueError, match="must have principles for critiques and revisions, got those for comparisons"):
        Critique(constitution=str(path)).validate()
    with pytest.raises(ValueError, match='pairing must be "paired" or "independent", got \'both\''):
        Revision(pairing="both").validate()
    with pytest.raises(ValueError, match="principles must hold at least one to draw from, got none"):
        sample_principle([], seed=0, key="a")
    assert Critique(constitution=str(path)).input_hashes("train").keys() == {"constitution"}
