"""Principles that cannot be used are refused when they are made."""

import dataclasses

import pytest

from jaxkd.constitution import Constitution, PreferencePrinciple, Principle
from jaxkd.runtime import configs

GOOD = Principle(id="a", critique="What is wrong?", revision="Mend it.")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": " "}, "the id of a principle must not be empty"),
        ({"critique": ""}, "the critique of principle 'a' must not be empty"),
        ({"revision": "\n"}, "the revision of principle 'a' must not be empty"),
        ({"critique": "Is it {adjective}?"}, r"critique of principle 'a' must hold no unfilled placeholder, got '{adj"),
        (
            {"revision": "Like [[[response A]]]."},
            r"revision of principle 'a' must hold no .*, got '\[\[\[response A\]\]",
        ),
        ({"revision": "TODO: write"}, "must hold no unfilled placeholder, got 'TODO'"),
        ({"weight": 0.0}, r"the weight of principle 'a' must be above 0 and finite, got 0\.0"),
        ({"weight": float("nan")}, "must be above 0 and finite, got nan"),
        ({"weight": float("inf")}, "must be above 0 and finite, got inf"),
    ],
)
def test_a_principle_that_cannot_be_used_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(GOOD, **changes)


def test_brackets_and_words_that_are_no_placeholders_are_kept():
    text = "Does it index a list[0] or a set {\n1}? Has it METHODOLOGY?"
    assert dataclasses.replace(GOOD, critique=text).critique == text


def test_a_comparison_principle_is_checked_as_well():
    with pytest.raises(ValueError, match="the text of comparison principle 'c' must hold no unfilled placeholder"):
        PreferencePrinciple(id="c", text="Which is more {}?")


def test_ids_are_unique_among_their_kind():
    compared = PreferencePrinciple(id="a", text="Which is better?")
    found = Constitution(name="n", principles=(GOOD,), preferences=(compared,))
    assert configs.decode(configs.encode(found)) == found
    with pytest.raises(ValueError, match="the ids of principles must be unique, got 'a' more than once"):
        Constitution(name="n", principles=(GOOD, GOOD))
    with pytest.raises(ValueError, match="the ids of preferences must be unique, got 'a' more than once"):
        Constitution(name="n", preferences=(compared, compared))


def test_a_constitution_of_nothing_is_refused():
    with pytest.raises(ValueError, match="constitution 'n' must have at least one principle, got none"):
        Constitution(name="n")
