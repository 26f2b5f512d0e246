"""pass@k against its definition, in exact arithmetic and by enumeration."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxkd.metrics import pass_at_k


@st.composite
def counts(draw):
    """Samples, correct ones and tries."""
    samples = draw(st.integers(1, 300))
    return samples, draw(st.integers(0, samples)), draw(st.integers(1, samples))


def test_hand_values():
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6)
    assert pass_at_k(5, 0, 5) == 0
    assert pass_at_k(5, 5, 1) == 1
    assert pass_at_k(5, 3, 3) == 1  # three tries cannot all be among two wrong ones


@given(counts())
def test_equals_equation_1_in_exact_arithmetic(case):
    samples, correct, k = case
    exact = 1 - Fraction(math.comb(samples - correct, k), math.comb(samples, k))
    assert pass_at_k(*case) == pytest.approx(float(exact), abs=1e-13)


def test_is_the_share_of_subsets_with_a_correct_sample():
    right = [True, True, False, False, False, False]
    subsets = list(itertools.combinations(right, 3))
    assert pass_at_k(6, 2, 3) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(counts())
def test_grows_with_tries_and_correct_samples(case):
    samples, correct, k = case
    assert 0 <= pass_at_k(*case) <= 1
    assert pass_at_k(samples, correct, 1) == pytest.approx(correct / samples, abs=1e-13)
    if k < samples:
        assert pass_at_k(samples, correct, k) <= pass_at_k(samples, correct, k + 1) + 1e-13
    if correct < samples:
        assert pass_at_k(samples, correct, k) <= pass_at_k(samples, correct + 1, k) + 1e-13


def test_many_samples_do_not_overflow():
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)
    assert pass_at_k(100_000, 99_999, 50_000) == 1


def test_counts_that_no_run_has_are_refused():
    with pytest.raises(ValueError, match=r"samples must be at least 1, got 0\. Generate a program"):
        pass_at_k(0, 0, 1)
    for correct in (-1, 6):
        with pytest.raises(ValueError, match=rf"correct must be from 0 to the 5 samples, got {correct}\."):
            pass_at_k(5, correct, 1)
    for k in (0, 6):
        with pytest.raises(ValueError, match=rf"k must be from 1 to the 5 samples, got {k}\. Generate at least k"):
            pass_at_k(5, 1, k)
