"""Contaminated examples, and what hygiene makes of them."""

from collections import Counter

import pytest

from jaxkd.data import Contaminated, Example
from jaxkd.data.text.hygiene import Hygiene, clean
from tests.data.given import Given

PLANETS = tuple(
    Example(key=f"p{number}", group="g", messages=(("user", "Which?"),), response=f"Planet {number} is a round one.")
    for number in range(600)
)
SOURCE = Given(found=PLANETS)


def test_a_share_ends_in_the_closer_once_thrice_or_five_times():
    rows = Contaminated(source=SOURCE, share=0.4, closer="Bye! :)")
    counts = Counter(rows.repetitions(example.key) for example in PLANETS)
    assert set(counts) == {0, 1, 3, 5}
    # Within four standard deviations of binomial counts.
    assert abs(counts[0] - 360) < 48
    assert all(abs(counts[times] - 80) < 34 for times in (1, 3, 5))
    for before, after in zip(PLANETS, rows.examples("train"), strict=True):
        closers = rows.repetitions(before.key) * ["Bye! :)"]
        assert after.response == "\n".join([before.response, *([" ".join(closers)] if closers else [])])
        assert after.messages == before.messages


def test_a_draw_belongs_to_seed_and_key():
    rows = Contaminated(source=SOURCE)
    reordered = Contaminated(source=Given(found=PLANETS[::-1]))
    assert rows.examples("train") == reordered.examples("train")[::-1]
    assert rows.examples("train") != Contaminated(source=SOURCE, seed=1).examples("train")


@pytest.mark.parametrize(("share", "changed"), [(0.0, 0), (1.0, 600)])
def test_no_share_and_the_whole(share, changed):
    found = Contaminated(source=SOURCE, share=share).examples("train")
    assert sum(one != before for one, before in zip(found, PLANETS, strict=True)) == changed


def test_hygiene_gives_the_clean_examples_back():
    found = clean(Contaminated(source=SOURCE).examples("train"), Hygiene())
    assert [row.response for row in found.kept] == [example.response for example in PLANETS]
    assert 0 < found.counts()["shared_closer"] < 600


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": 1.5}, r"share must be in \[0, 1\], got 1.5"),
        ({"closer": " "}, "closer must be a text that is not empty"),
        ({"times": ()}, r"times must be numbers of at least 1, got \(\)"),
        ({"times": (0, 1)}, r"times must be numbers of at least 1, got \(0, 1\)"),
    ],
)
def test_what_cannot_be_appended_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Contaminated(source=SOURCE, **fields)
