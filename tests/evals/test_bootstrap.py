import numpy as np
import pytest

from jaxkd.evals.bootstrap import Interval, mean_interval, paired_bootstrap, statistic_interval


def synthetic(number: int, *, gap: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nats of two models that differ by `gap` bits per byte in expectation, and the bytes."""
    generator = np.random.default_rng(seed)
    byte_counts = generator.integers(20, 400, number).astype(np.float64)
    difficulty = generator.gamma(4.0, 0.25, number) * byte_counts
    noise = generator.normal(0.0, 0.2, number) * byte_counts
    return difficulty + gap * np.log(2) * byte_counts + noise, difficulty, byte_counts


def bits(nats_a, nats_b, byte_counts, **settings) -> Interval:
    return paired_bootstrap(nats_a, nats_b, byte_counts, unit_size=np.log(2), **settings)


def test_the_estimate_is_the_difference_of_the_corpus_ratios():
    nats_a, nats_b = np.log([4.0, 16.0, 2.0]), np.log([2.0, 2.0, 2.0])
    interval = bits(nats_a, nats_b, np.array([1, 2, 3]), samples=50)
    assert interval.estimate == pytest.approx((2 + 4 + 1) / 6 - 3 / 6)


def test_a_model_against_itself_is_exactly_zero():
    nats, _, byte_counts = synthetic(50, gap=0.3, seed=0)
    interval = bits(nats, nats, byte_counts, samples=200)
    assert (interval.estimate, interval.low, interval.high) == (0.0, 0.0, 0.0)
    assert not interval.excludes_zero


def test_swapping_the_models_negates_the_interval():
    nats_a, nats_b, byte_counts = synthetic(60, gap=0.1, seed=1)
    forth = bits(nats_a, nats_b, byte_counts, samples=500)
    back = bits(nats_b, nats_a, byte_counts, samples=500)
    np.testing.assert_allclose([back.estimate, back.low, back.high], [-forth.estimate, -forth.high, -forth.low])


def test_a_constant_difference_per_byte_leaves_no_width():
    _, nats, byte_counts = synthetic(40, gap=0.0, seed=2)
    interval = bits(nats + 0.25 * np.log(2) * byte_counts, nats, byte_counts, samples=300)
    np.testing.assert_allclose([interval.estimate, interval.low, interval.high], 0.25, rtol=1e-9)
    assert interval.excludes_zero


def test_the_interval_matches_the_two_ratios_recomputed_by_hand():
    nats_a, nats_b, byte_counts = synthetic(12, gap=0.1, seed=3)
    interval = bits(nats_a, nats_b, byte_counts, samples=400, seed=5, confidence=0.8)
    rows = np.random.default_rng(5).integers(0, 12, (400, 12))
    ratios = [
        nats_a[row].sum() / (np.log(2) * byte_counts[row].sum())
        - nats_b[row].sum() / (np.log(2) * byte_counts[row].sum())
        for row in rows
    ]
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(ratios, [0.1, 0.9]), rtol=1e-12)


def test_a_mean_of_ratios_would_give_another_answer():
    # One long answer decides: model a is better on it and worse on two short ones.
    nats_a, nats_b = np.array([10.0, 2.0, 2.0]), np.array([20.0, 1.0, 1.0])
    byte_counts = np.array([100, 1, 1])
    assert bits(nats_a, nats_b, byte_counts, samples=10).estimate < 0
    assert ((nats_a - nats_b) / byte_counts).mean() > 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        interval = bits(*synthetic(80, gap=0.05, seed=seed), samples=300, confidence=0.9)
        covered += interval.low <= 0.05 <= interval.high
    # 200 trials of a 0.9 event have a standard deviation of 0.021.
    assert 0.84 <= covered / 200 <= 0.96


def test_more_confidence_is_a_wider_interval():
    inputs = synthetic(80, gap=0.05, seed=4)
    narrow = bits(*inputs, samples=500, confidence=0.5)
    wide = bits(*inputs, samples=500, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_seeds_that_disagree_widen_the_interval():
    nats_a, nats_b, byte_counts = synthetic(80, gap=0.05, seed=6)
    shift = 0.2 * byte_counts
    agree = bits(np.stack([nats_a] * 3), np.stack([nats_b] * 3), byte_counts, samples=500)
    disagree = bits(
        np.stack([nats_a - shift, nats_a, nats_a + shift]), np.stack([nats_b] * 3), byte_counts, samples=500
    )
    assert disagree.estimate == pytest.approx(agree.estimate)
    assert disagree.high - disagree.low > 2 * (agree.high - agree.low)


def test_seeds_that_are_equal_change_nothing():
    nats_a, nats_b, byte_counts = synthetic(30, gap=0.05, seed=7)
    one = bits(nats_a, nats_b, byte_counts, samples=100)
    two = bits(np.stack([nats_a] * 2), np.stack([nats_b] * 2), byte_counts, samples=100)
    np.testing.assert_allclose([two.estimate, two.low, two.high], [one.estimate, one.low, one.high])


def test_the_chunks_do_not_show(monkeypatch):
    inputs = synthetic(30, gap=0.05, seed=8)
    whole = bits(*inputs, samples=2_000)
    monkeypatch.setattr("jaxkd.evals.bootstrap._CHUNK_ELEMENTS", 7 * 30)
    parts = bits(*inputs, samples=2_000)
    assert parts.estimate == whole.estimate
    np.testing.assert_allclose([parts.low, parts.high], [whole.low, whole.high], atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((np.ones(3), np.ones(2), np.ones(3)), {}, r"second must have the shape of first, got \(2,\) and \(3,\)"),
        ((np.ones(3), np.ones(3), np.ones(4)), {}, "one value an example, got 4 for 3 examples"),
        ((np.ones(1), np.ones(1), np.ones(1)), {}, "at least 2 examples to resample, got 1"),
        ((np.ones(2), np.ones(2), np.array([0.0, 3.0])), {}, "denominators must be greater than 0 everywhere, got 0"),
        ((np.array([np.inf, 1.0]), np.ones(2), np.ones(2)), {}, "must be finite, got inf or nan"),
        ((np.ones(2), np.ones(2), np.ones(2)), {"samples": 0}, "samples must be at least 1, got 0"),
        ((np.ones(2), np.ones(2), np.ones(2)), {"confidence": 95.0}, "confidence must lie between 0 and 1, got 95"),
        ((np.array([1.0, -2.0]), np.ones(2), np.ones(2)), {"form": "root"}, "at least 0 where roots .*, got -2"),
    ],
)
def test_what_cannot_be_resampled_is_refused(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        bits(*arguments, **settings)


def test_the_mean_of_a_difference_is_the_ratio_to_a_byte_an_example():
    nats_a, nats_b, _ = synthetic(30, gap=0.3, seed=9)
    differences = np.stack([nats_a - nats_b, nats_b - nats_a, nats_a])
    ratio = bits(differences * np.log(2), np.zeros_like(differences), np.ones(30), samples=200, seed=3)
    mean = mean_interval(differences, samples=200, seed=3)
    np.testing.assert_allclose([mean.estimate, mean.low, mean.high], [ratio.estimate, ratio.low, ratio.high])
    assert mean.estimate == pytest.approx(differences.mean())


def test_roots_are_those_of_the_two_ratios_recomputed_by_hand():
    generator = np.random.default_rng(10)
    first, second = generator.gamma(1.0, 1.0, (2, 2, 9))
    counts = generator.integers(1, 4, 9)
    interval = paired_bootstrap(first, second, counts, unit_size=4.0, form="root", samples=300, seed=5, confidence=0.8)
    draws = np.random.default_rng(5)
    rows, seeds = draws.integers(0, 9, (300, 9)), draws.integers(0, 2, (2, 300))

    def root(values, row):
        return np.sqrt(values[row].sum() / (4 * counts[row].sum()))

    gaps = [
        np.mean([root(first[seed], row) - root(second[seed], row) for seed in pair])
        for row, pair in zip(rows, seeds.T, strict=True)
    ]
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(gaps, [0.1, 0.9]), rtol=1e-12)
    every = np.arange(9)
    assert interval.estimate == pytest.approx(
        np.mean([root(first[seed], every) - root(second[seed], every) for seed in (0, 1)])
    )


def test_the_interval_of_a_mean_is_as_it_was():
    """Numbers of the code before headlines had columns."""
    answers = np.array([[1.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.5]])
    found = mean_interval(answers, samples=500, seed=2)
    expected = ("0x1.199999999999ap-1", "0x1.999999999999ap-3", "0x1.0000000000000p+0")
    assert (found.estimate, found.low, found.high) == tuple(map(float.fromhex, expected))


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (np.array([]), {}, "values must be at least one number and all finite, got 0 of which 0 are finite"),
        (np.array([1.0, np.nan]), {}, "all finite, got 2 of which 1 are finite. Leave examples without a value out"),
        (np.ones(2), {"samples": 0}, "samples must be at least 1, got 0"),
        (np.ones(2), {"confidence": 0.0}, "confidence must lie between 0 and 1, got 0"),
    ],
)
def test_what_has_no_mean_is_refused(values, settings, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(values, **settings)


def test_an_interval_prints_its_sign_and_level():
    interval = Interval(estimate=-0.12, low=-0.15, high=-0.09, confidence=0.95, positive=0.0)
    assert str(interval) == "-0.1200 [-0.1500, -0.0900] at 95 %"


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (-0.1, 0.0, False)],
)
def test_zero_is_excluded_only_when_the_whole_interval_is_on_one_side(low, high, excludes):
    assert Interval(estimate=0.05, low=low, high=high, confidence=0.95, positive=0.5).excludes_zero is excludes


def test_a_statistic_that_is_a_mean_has_the_interval_of_the_mean():
    values = np.random.default_rng(7).normal(size=(3, 20))
    found = statistic_interval(lambda rows: values[:, rows].mean(axis=-1), examples=20, seeds=3, samples=300, seed=2)
    expected = mean_interval(values, samples=300, seed=2)
    for name in ("estimate", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12)


def test_the_interval_of_a_median_is_that_of_the_medians_of_the_resamples():
    values = np.random.default_rng(8).normal(size=(1, 15))
    found = statistic_interval(
        lambda rows: np.median(values[:, rows], axis=-1), examples=15, seeds=1, samples=200, seed=3, confidence=0.8
    )
    rows = np.random.default_rng(3).integers(0, 15, (200, 15))
    medians = [np.median(values[0, row]) for row in rows]
    assert found.estimate == np.median(values)
    np.testing.assert_allclose([found.low, found.high], np.quantile(medians, [0.1, 0.9]), rtol=1e-12)
    assert 0 < found.positive < 1
    assert found.positive == np.mean(np.array(medians) > 0)
