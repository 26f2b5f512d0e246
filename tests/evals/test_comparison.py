import dataclasses

import numpy as np
import pytest

from jaxkd.evals import BITS_PER_BYTE, Headline
from jaxkd.evals.bootstrap import Interval
from jaxkd.evals.comparison import Comparison, compare
from jaxkd.evals.detection_comparison import paired_average_precision
from jaxkd.evals.headline import AVERAGE_PRECISION, ROLLOUT_ERROR
from jaxkd.training import Evaluation
from jaxkd.training.results.matched_image import MatchedImage
from tests.evals.test_detection_comparison import detector

ACCURACY = Headline(
    metric="accuracy", title="Right answers", unit="share of the questions", better="higher", numerator="right"
)


def evaluation(nats: list[float], byte_counts: list[float], keys: tuple[str, ...] | None = None) -> Evaluation:
    keys = keys or tuple(f"f{number}" for number in range(len(nats)))
    return Evaluation(metrics={}, keys=keys, per_example={"nats": tuple(nats), "bytes": tuple(byte_counts)})


def column(name: str, values: list[float]) -> Evaluation:
    keys = tuple(f"f{number}" for number in range(len(values)))
    return Evaluation(metrics={}, keys=keys, per_example={name: tuple(values)})


def bits(first, second, **settings) -> Interval:
    return compare("a", first, "b", second, headline=BITS_PER_BYTE, **settings).interval


@pytest.mark.parametrize(
    ("better", "interval", "sentence"),
    [
        (
            "lower",
            Interval(estimate=-0.12, low=-0.15, high=-0.09, confidence=0.95, positive=0.0),
            "distilled is better than SFT by 0.120 bits per byte: the 95 % interval from 0.090 to 0.150 excludes 0.",
        ),
        (
            "lower",
            Interval(estimate=0.12, low=0.09, high=0.15, confidence=0.9, positive=1.0),
            "distilled is worse than SFT by 0.120 bits per byte: the 90 % interval from 0.090 to 0.150 excludes 0.",
        ),
        (
            "higher",
            Interval(estimate=-0.12, low=-0.15, high=-0.09, confidence=0.95, positive=0.0),
            "distilled is worse than SFT by 0.120 bits per byte: the 95 % interval from 0.090 to 0.150 excludes 0.",
        ),
        (
            "higher",
            Interval(estimate=0.12, low=0.09, high=0.15, confidence=0.9, positive=1.0),
            "distilled is better than SFT by 0.120 bits per byte: the 90 % interval from 0.090 to 0.150 excludes 0.",
        ),
    ],
)
def test_a_comparison_is_a_plain_sentence(better, interval, sentence):
    headline = dataclasses.replace(BITS_PER_BYTE, better=better)
    assert str(Comparison(first="distilled", second="SFT", interval=interval, headline=headline)) == sentence


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_one_that_includes_zero_names_no_winner(better):
    interval = Interval(estimate=-0.01, low=-0.04, high=0.02, confidence=0.95, positive=0.3)
    headline = dataclasses.replace(BITS_PER_BYTE, better=better)
    assert str(Comparison(first="distilled", second="SFT", interval=interval, headline=headline)) == (
        "distilled and SFT are not distinguishable: they differ by -0.010 bits per byte, and the 95 % interval "
        "from -0.040 to +0.020 includes 0."
    )


BYTES = [31.0, 17.0, 203.0, 58.0, 9.0, 77.0]
FIRST = [
    evaluation([40.25, 12.5, 301.1, 61.7, 3.3, 90.9], BYTES),
    evaluation([41.75, 11.3, 288.4, 66.6, 2.7, 93.1], BYTES),
]
SECOND = [
    evaluation([44.1, 13.9, 322.8, 60.2, 4.1, 97.7], BYTES),
    evaluation([43.3, 12.2, 305.5, 70.7, 3.9, 91.3], BYTES),
]


@pytest.mark.parametrize(
    ("first", "second", "settings", "expected"),
    [
        (FIRST[:1], SECOND[:1], {}, ("-0x1.ee6f41fbe5566p-4", "-0x1.3f19df102c730p-3", "-0x1.81e97ec5314e8p-6")),
        (FIRST, SECOND, {}, ("-0x1.a3a233bdc6842p-4", "-0x1.3569219adf0c7p-3", "-0x1.6ca96d061c740p-6")),
        (FIRST, SECOND[:1], {}, ("-0x1.0d4899ac6ef66p-3", "-0x1.b645822b8c103p-3", "0x1.347b42af2be9ep-6")),
        (
            FIRST,
            SECOND,
            {"samples": 333, "seed": 7, "confidence": 0.8},
            ("-0x1.a3a233bdc6842p-4", "-0x1.185f2a4fd27e8p-3", "-0x1.a9a7fb862e223p-5"),
        ),
    ],
    ids=["one seed", "two seeds", "one against two", "settings"],
)
def test_bits_per_byte_are_as_they_were(first, second, settings, expected):
    """Numbers of the code that knew no other headline, to the last bit."""
    found = bits(first, second, **settings)
    assert (found.estimate, found.low, found.high) == tuple(map(float.fromhex, expected))


def test_compare_pairs_the_seeds():
    byte_counts = [10.0, 20.0, 30.0]
    first = [evaluation([4.0, 8.0, 9.0], byte_counts), evaluation([5.0, 9.0, 10.0], byte_counts)]
    second = [evaluation([6.0, 9.0, 9.0], byte_counts), evaluation([7.0, 10.0, 10.0], byte_counts)]
    comparison = compare("a", first, "b", second, headline=BITS_PER_BYTE, samples=50)
    assert (comparison.first, comparison.second, comparison.headline) == ("a", "b", BITS_PER_BYTE)
    assert comparison.interval.estimate == pytest.approx(-3 / 60 / np.log(2))


def test_compare_holds_one_evaluation_against_every_seed():
    byte_counts = [10.0, 20.0]
    seeds = [evaluation([4.0, 8.0], byte_counts), evaluation([6.0, 10.0], byte_counts)]
    teacher = [evaluation([3.0, 7.0], byte_counts)]
    assert bits(seeds, teacher, samples=20).estimate == pytest.approx(4 / 30 / np.log(2))


def test_a_mean_needs_no_denominator():
    first, second = [1.0, 1.0, 1.0, 0.0] * 10, [1.0, 0.0, 0.0, 0.0] * 10
    found = compare("a", [column("right", first)], "b", [column("right", second)], headline=ACCURACY, samples=200)
    assert found.interval.estimate == pytest.approx(0.5)
    assert str(found).startswith("a is better than b by 0.500 share of the questions: the 95 % interval from 0.")


def test_roots_of_mean_squares_are_compared_and_not_the_squares():
    first, second = [4.0, 4.0, 4.0], [1.0, 1.0, 1.0]
    found = compare("a", [column("square", first)], "b", [column("square", second)], headline=ROLLOUT_ERROR, samples=20)
    assert (found.interval.estimate, found.interval.low, found.interval.high) == (1.0, 1.0, 1.0)
    assert str(found) == (
        "a is worse than b by 1.000 error / standard deviation: the 95 % interval from 1.000 to 1.000 excludes 0."
    )


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([], [evaluation([1.0], [1.0])], "got 0 of 'a' and 1 of 'b'"),
        ([evaluation([1.0], [1.0])] * 2, [evaluation([1.0], [1.0])] * 3, "got 2 of 'a' and 3 of 'b'"),
        (
            [evaluation([1.0, 2.0], [1.0, 2.0], ("x", "y"))],
            [evaluation([1.0, 2.0], [1.0, 2.0], ("x", "z"))],
            "'a' and 'b' must be scored on the same answers, got 2 and 2 that share 1 keys",
        ),
        (
            [evaluation([1.0, 2.0], [1.0, 2.0])],
            [evaluation([1.0, 2.0], [1.0, 3.0])],
            "must be scored on the same answers",
        ),
        (
            [Evaluation(metrics={}, keys=("x",), per_example={"nats": (1.0,)})],
            [evaluation([1.0], [1.0])],
            "bits_per_byte must have the columns 'nats' and 'bytes' for each example, .* got 'nats'. Name columns that",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        bits(first, second)


def test_an_evaluator_without_the_columns_is_named_with_those_it_has():
    seen = [evaluation([1.0, 2.0], [1.0, 2.0])]
    with pytest.raises(ValueError, match="accuracy must have the columns 'right' .* got 'bytes', 'nats'. Name columns"):
        compare("a", seen, "b", seen, headline=ACCURACY)
    none = [Evaluation(metrics={"loss": 1.0}, keys=("x", "y"))]
    without = Headline(metric="loss", title="", unit="", evaluator="health")
    with pytest.raises(ValueError, match="health must have the columns of its headline .* loss is compared, got none"):
        compare("a", none, "b", none, headline=without)


def detections(matches) -> Evaluation:
    keys = tuple(f"f{number}" for number in range(len(matches)))
    return Evaluation(metrics={}, keys=keys, matches=tuple(map(MatchedImage.from_matches, matches)))


def test_an_average_precision_is_compared_by_matches_of_images():
    first, second, one = (
        [detector(seed, error) for seed in seeds] for error, seeds in ((4, (0, 1)), (9, (0, 1)), (6, (5,)))
    )
    sides = [[detections(matches) for matches in side] for side in (first, second, one)]
    found = compare("a", sides[0], "b", sides[1], headline=AVERAGE_PRECISION, samples=50)
    assert found.interval == paired_average_precision(first, second, samples=50)
    assert str(found).startswith("a is better than b by 0.")
    # A single evaluation is compared with every seed of the other.
    found = compare("a", sides[0], "b", sides[2], headline=AVERAGE_PRECISION, samples=50).interval
    assert found == paired_average_precision(first, one * 2, samples=50)
    fewer = dataclasses.replace(sides[1][0], keys=sides[1][0].keys[:4], matches=sides[1][0].matches[:4])
    other = dataclasses.replace(sides[1][0], matches=sides[1][0].matches[::-1])
    for evaluation in (fewer, other):
        with pytest.raises(ValueError, match="'a' and 'b' must be scored on the same images, got "):
            compare("a", sides[0][:1], "b", [evaluation], headline=AVERAGE_PRECISION)
    with pytest.raises(ValueError, match="detection must have matches of its images, from which ap is compared, got"):
        compare("a", sides[0], "b", [column("ap", [0.5])], headline=AVERAGE_PRECISION)


def test_answers_to_one_example_are_resampled_together():
    first, second = [3.0, 1.0, 4.0, 1.5], [2.0, 2.5, 3.0, 0.5]
    keys = ("a", "b", "c", "d", "d", "c", "b", "a")
    twice = bits(
        [evaluation([*first, *first[::-1]], 8 * [2.0], keys)], [evaluation([*second, *second[::-1]], 8 * [2.0], keys)]
    )
    assert twice == bits([evaluation(first, 4 * [2.0], keys[:4])], [evaluation(second, 4 * [2.0], keys[:4])])
