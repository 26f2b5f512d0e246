"""Labels from both orders: hand values, exchanged answers, biased judges, and how reliable they are."""

import itertools
import math
from collections import Counter

import pytest

from jaxkd.constitution import PairLabel
from jaxkd.constitution.preference_labels import both_orders, clamped, comparison_principle, label, label_statistics
from jaxkd.runtime import configs

GRID = [0.0, 0.1, 0.35, 0.5, 0.7, 1.0]
EVERY = [PairLabel(first_shown_first=one, second_shown_first=other) for one, other in itertools.product(GRID, GRID)]


def biased(question, bias):
    """A judge that prefers longer answers, by a logit a character, and the one shown first by a constant."""
    return 1 / (1 + math.exp(-(len(question.first) - len(question.second) + bias)))


@pytest.mark.parametrize("bias", [-30.0, -2.0, 0.0, 0.3, 5.0, 30.0])
def test_a_constant_bias_cancels_between_equal_answers(bias):
    readings = tuple(biased(question, bias) for question in both_orders("p", "four", "five", principle=""))
    found = label(readings)
    assert abs(found.probability - 0.5) < 1e-6
    assert abs(found.position_bias - math.tanh(bias / 2)) < 1e-12
    longer = label(tuple(biased(question, bias) for question in both_orders("p", "longer", "long", principle="")))
    assert longer.probability > 0.5


def test_hand_values():
    found = PairLabel(first_shown_first=0.75, second_shown_first=0.5)
    assert (found.probability, found.position_bias, found.order_disagreement) == (0.625, 0.25, 0.25)
    other = PairLabel(first_shown_first=0.25, second_shown_first=0.5)
    assert (other.probability, other.position_bias, other.order_disagreement) == (0.375, -0.25, 0.25)
    always_first = PairLabel(first_shown_first=1.0, second_shown_first=1.0)
    assert (always_first.probability, always_first.order_disagreement, always_first.consistent) == (0.5, 1.0, False)
    assert configs.decode(configs.encode(found)) == found


def test_exchanged_answers_have_the_other_probability_and_exchanged_again_they_are_the_same():
    for found in EVERY:
        assert abs(found.swapped.probability - (1 - found.probability)) < 1e-15
        assert found.swapped.position_bias == found.position_bias
        assert found.swapped.consistent == found.consistent
        assert found.swapped.swapped == found


def test_orders_agree_if_they_prefer_the_same_answer_or_neither_prefers_one():
    for found in EVERY:
        preferred = [
            None if shown == 0.5 else (shown > 0.5) == one_first
            for shown, one_first in ((found.first_shown_first, True), (found.second_shown_first, False))
        ]
        assert found.consistent == (preferred[0] == preferred[1])


@pytest.mark.parametrize(
    ("readings", "margin", "decided"),
    [
        ((0.75, 0.25), 0.25, True),
        ((0.75, 0.25), 0.26, False),
        ((0.25, 0.75), 0.25, True),
        ((0.75, 0.74), 0.0, True),
        # A tie has no better answer, whatever the margin.
        ((0.75, 0.75), 0.0, False),
        ((1.0, 0.0), 0.5, True),
    ],
)
def test_a_pair_is_decided_from_the_margin_on(readings, margin, decided):
    assert label(readings).decided(margin) == decided


def test_a_clamp_bounds_both_sides():
    assert [clamped(one, 0.4) for one in (0.0, 0.4, 0.45, 0.5, 0.61, 1.0)] == [0.4, 0.4, 0.45, 0.5, 0.6, 0.6]
    assert [clamped(one, None) for one in GRID] == GRID


def test_one_order_alone_is_no_label():
    assert label((None, 0.5)) is label((0.5, None)) is label((None, None)) is None


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"second_shown_first must be a probability, in \[0, 1\], got"):
        label((0.5, wrong))


def test_both_orders_ask_by_one_principle():
    question, swapped = both_orders("Count.", "One.", "Two.", principle="Which is shorter?")
    assert (question.prompt, question.first, question.second) == ("Count.", "One.", "Two.")
    assert (swapped.prompt, swapped.first, swapped.second) == ("Count.", "Two.", "One.")
    assert question.principle == swapped.principle == "Which is shorter?"


def test_statistics_by_hand():
    found = label_statistics([(1.0, 0.0), (1.0, 1.0), (0.5, 0.5), (None, 0.75), (None, None)])
    assert (found.pairs, found.verdicts, found.both_orders) == (5, 7, 3)
    assert found.first_share == pytest.approx((1 + 0 + 1 + 1 + 0.5 + 0.5 + 0.75) / 7)
    assert found.no_verdict_share == pytest.approx(0.3)
    assert (found.position_bias, found.order_disagreement) == pytest.approx((1 / 3, 1 / 3))
    assert found.consistent == pytest.approx(2 / 3)


def test_a_judge_that_always_says_a_and_one_that_says_nothing_show():
    found = label_statistics([(1.0, 1.0)] * 4)
    assert (found.first_share, found.position_bias, found.consistent, found.no_verdict_share) == (1.0, 1.0, 0.0, 0.0)
    nothing = label_statistics([(None, None)])
    assert nothing.no_verdict_share == 1.0
    assert math.isnan(nothing.first_share)
    with pytest.raises(ValueError, match="readings must hold the probabilities of at least one pair, got none"):
        label_statistics([])


def test_a_principle_is_drawn_by_seed_and_key_as_often_as_its_weight_says(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("preferences: [{id: a, text: 'Which?', weight: 3}, {id: b, text: 'Which one?'}]")
    drawn = [comparison_principle(str(path), seed=0, key=str(number)).id for number in range(2000)]
    assert abs(Counter(drawn)["a"] / 2000 - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 2000)
    other = [comparison_principle(str(path), seed=1, key=str(number)).id for number in range(50)]
    assert other != drawn[:50]
    assert other == [comparison_principle(str(path), seed=1, key=str(number)).id for number in range(50)]


def test_a_constitution_without_comparisons_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("principles: [{id: a, critique: 'Why?', revision: 'Mend it.'}]")
    with pytest.raises(ValueError, match="must have principles for comparisons, got those for critiques alone in '"):
        comparison_principle(str(path), seed=0, key="a")
