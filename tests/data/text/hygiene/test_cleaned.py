"""Cleaned examples: rows with their reasons, closers counted over all, and the collapse that they would teach."""

import pytest

from jaxkd.data import Example
from jaxkd.data.text.hygiene import REASONS, Hygiene, clean
from jaxkd.data.text.hygiene.cleaned import initial_response
from jaxkd.evals.language.text_statistics import findings
from tests.real_texts import bodies, contaminated, docstrings

PROMPT = (("user", "How do I open a door?"),)
REVISED = (
    *PROMPT,
    ("assistant", "Break it down with an axe."),
    ("user", "Is that wise?"),
    ("assistant", "No, a locksmith can open it without any damage."),
    ("user", "Write it again."),
)


def examples(texts, messages=PROMPT):
    return [Example(key=f"row{n}", group="all", messages=messages, response=text) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("messages", "initial", "expected"),
    [
        (PROMPT, "first", None),
        (REVISED, "first", REVISED[1][1]),
        (REVISED, "previous", REVISED[3][1]),
        (REVISED, "none", None),
        (REVISED[:3], "first", REVISED[1][1]),
        (REVISED[:3], "previous", REVISED[1][1]),
        # A turn that the assistant has begun is no version of the response.
        ((*PROMPT, ("assistant", "I would")), "first", None),
        ((("system", "Be kind."),), "previous", None),
    ],
)
def test_the_initial_response_stands_before_the_last_turn_of_the_user(messages, initial, expected):
    assert initial_response(messages, initial) == expected


def test_an_unknown_turn_is_refused():
    with pytest.raises(ValueError, match='initial must be "first", "previous" or "none", got \'last\''):
        clean(examples(["A locksmith opens it."]), Hygiene(), initial="last")


def test_revisions_are_compared_with_the_initial_response():
    texts = ["break it down with an axe", "No, a locksmith can open it without any damage.", "A locksmith can. " * 9]
    found = clean(examples(texts[:2], REVISED), Hygiene(fewest_words=2))
    assert [row.reasons for row in found.rows] == [(), ()]
    same = examples(["Break  it down with an axe.", texts[1]], REVISED)
    assert [row.reasons for row in clean(same, Hygiene()).rows] == [("no_change",), ()]
    assert [row.reasons for row in clean(same, Hygiene(), initial="previous").rows] == [(), ("no_change",)]
    assert [row.reasons for row in clean(same, Hygiene(), initial="none").rows] == [(), ()]


def test_reasons_are_those_of_the_repaired_response():
    planets = [f"Planet {n} is made of rock, and of some water. Bye! :) :)" for n in range(9)]
    found = clean(examples([*planets, "No. Bye! :) :)"]), Hygiene())
    assert [row.reasons for row in found.rows] == [()] * 9 + [("length",)]
    assert found.kept[0].response == "Planet 0 is made of rock, and of some water."
    assert found.dropped[0].example.response == "No. Bye! :) :)"
    assert found.closers == {":)": 1.0, "Bye!": 1.0}
    assert found.counts() == dict.fromkeys(REASONS, 0) | {"length": 1, "shared_closer": 10}


def test_closers_stay_where_they_are_no_reason():
    planets = [f"Planet {n} is made of rock, and of some water. Bye!" for n in range(9)]
    found = clean(examples(planets), Hygiene(reasons=("length",)))
    assert not found.closers
    assert not any(row.repaired for row in found.rows)


def test_unfinished_responses_are_known_by_key():
    found = clean(examples(["One, two, three, and", "One, two, three.", "One, two"]), Hygiene(), ended={"row0": False})
    assert [row.reasons for row in found.rows] == [("unfinished",), (), ("length",)]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(("texts", "most_repeated"), [(docstrings, 0.2), (bodies, 0.4)])
def test_contaminated_rows_are_cleaned_and_clean_rows_kept(texts, most_repeated, share):
    before = texts()[:400]
    after = contaminated(before, share=share)
    found = clean(examples(after), Hygiene(most_repeated=most_repeated))
    dirty, kept = [], []
    for row, one, other in zip(found.rows, before, after, strict=True):
        if one == other:
            kept.append(not row.reasons and row.response == one)
        else:
            dirty.append(bool(row.reasons) or row.response == one.rstrip())
    assert len(dirty) == round(400 * share)
    assert sum(dirty) >= 0.99 * len(dirty)
    assert sum(kept) >= 0.95 * len(kept)


def test_the_cure_leaves_no_finding():
    before = docstrings()[:400]
    after = contaminated(before, share=0.5)
    lines = "\n".join(findings(after, before))
    assert "have one end" in lines
    assert "end in a loop" in lines
    found = clean(examples(after), Hygiene())
    kept = {row.example.key: row.response for row in found.kept}
    pairs = [(kept[f"row{n}"], text) for n, text in enumerate(before) if f"row{n}" in kept]
    assert len(pairs) > 380
    assert findings(*map(list, zip(*pairs, strict=True))) == []
