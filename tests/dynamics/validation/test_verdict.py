"""The verdict of a search, which comes before its equations."""

import dataclasses

import numpy as np
import pytest

from jaxkd.dynamics import Check
from jaxkd.dynamics.validation.verdict import ADVICE, listed, of_checks, verdict

GOOD = Check(question="Good?", found="", bar="", holds=True)
NO, YES = np.zeros(2, bool), np.ones(2, bool)


def said(**changes):
    table = {"found": YES, "constant": NO, "suspect": NO, "noise": np.zeros(2), "candidates": 10}
    return verdict(("x", "v"), (GOOD, GOOD), **table | changes)


def of(*holds):
    letters = zip("abcdef", holds, strict=False)
    return of_checks([dataclasses.replace(GOOD, question=f"{letter}?", holds=one) for letter, one in letters])


def test_all_are_found():
    assert said() == ("Equations found for x and v.", "All 2 checks hold.")


def test_what_was_not_found_comes_first_with_a_reason_and_advice():
    first, second, third = said(found=np.array([True, False]))
    assert first == (
        "No equation found for v, because no sum of the 10 candidate terms predicts how it moves in data left out; try "
        "--order 2 (equations of second order) if its rate of change was not measured, --delays (its own past as "
        "further states), further columns as states, other terms (--terms, --degree), or more records."
    )
    assert (second, third) == ("Equation found for x.", "All 2 checks hold.")


def test_without_any_equation_no_check_is_counted():
    assert len(said(found=NO)) == 2
    assert all(sentence.startswith("No equation found for ") for sentence in said(found=NO))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"suspect": YES}, "because its past explains how it moves and the measured states do not"),
        ({"suspect": YES}, "; try --order 2 (equations of second order) if its rate of change was not measured, --de"),
        ({"suspect": YES}, "--delays (its own past as further states), further columns as states, or --terms."),
        ({"suspect": YES, "advice": ADVICE[1:]}, "; try --delays (its own past as further states), further columns"),
        ({"noise": np.full(2, 0.4)}, "and noise is 40 % of its standard deviation; try less noise, --order 2 (equa"),
    ],
)
def test_reasons(change, part):
    for sentence in said(found=NO, **change):
        assert part in sentence


def test_what_never_changes_is_not_missed():
    sentences = said(found=np.array([False, True]), constant=np.array([True, False]))
    assert sentences == ("Equation found for v.", "x never changes.", "All 2 checks hold.")
    assert said(found=NO, constant=YES) == ("x and v never change.",)


def test_checks_are_counted():
    assert of() == "Nothing was checked."
    assert of(True) == "The one check holds."
    assert of(True, True) == "All 2 checks hold."
    assert of(True, False, False) == "2 of 3 checks do not hold: “b?” and “c?”"
    assert of(False, False, False) == "3 of 3 checks do not hold: “a?”, “b?” and “c?”"
    assert of(True, True, None) == "2 of 3 checks hold; 1 could not be made: “c?”"
    assert of(True, False, None) == "1 of 3 checks does not hold: “b?”; 1 could not be made: “c?”"


def test_names_are_listed():
    assert [listed("x"), listed("xy"), listed("xyz")] == ["x", "x and y", "x, y and z"]
