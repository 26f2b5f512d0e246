"""Bootstrap intervals of means and ratios, and of their differences between two models on the same examples."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Integer, Real

_CHUNK_ELEMENTS = 2**21
"""Resampled values held at a time: 16 MiB in float64."""

_Sums: TypeAlias = Callable[
    [Integer[np.ndarray, "rounds n"]], tuple[Float[np.ndarray, "seeds rounds"], Float[np.ndarray, " rounds"]]
]
"""Numerators of each seed, and denominators, of resamples of the examples."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its confidence interval."""

    estimate: float
    low: float
    high: float
    confidence: float
    positive: float
    """Share of the resamples above 0: the bootstrap's probability that what is estimated is positive."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.low:+.4f}, {self.high:+.4f}] at {100 * self.confidence:g} %"


def paired_bootstrap(
    first: Float[np.ndarray, "*seeds n"],
    second: Float[np.ndarray, "*seeds n"],
    denominators: Real[np.ndarray, " n"],
    *,
    unit_size: float = 1.0,
    form: Literal["ratio", "root"] = "ratio",
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a difference, first model minus second, in `sum(numerators) / sum(denominators)`.

    Examples are drawn with replacement, the same ones for both models, and both ratios are
    recomputed.  With several training seeds, seeds are drawn with replacement too, so that the
    interval covers both.  Dependence between examples is ignored: functions of one file are drawn
    as if they were independent.

    Args:
        first: numerator of each example under the first model, such as -log p(answer | prompt); one row per training
            seed if there are several.
        second: the same under the second model; seed i of the first is paired with seed i of the second.
        denominators: denominator of each example, the same under both, such as UTF-8 bytes; ones for a mean.
        unit_size: size of the result's unit in that of the ratio: ln 2 for bits out of nats.
        form: whether the ratios or their square roots are compared.
        samples: number of resamples.
        seed: random seed of the resampling; equal inputs give an equal interval.
        confidence: nominal probability that the interval covers the truth.

    Raises:
        ValueError: shapes that differ, fewer than 2 examples, a denominator that is not positive, a numerator that is
            not finite or has no root, or a setting out of range.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> nats = np.log([2.0, 8.0, 4.0])
        >>> print(paired_bootstrap(nats + np.log(2), nats, np.ones(3), unit_size=np.log(2), samples=100))
        +1.0000 [+1.0000, +1.0000] at 95 %
    """
    _check(first, second, denominators, form=form)
    first, second = first.astype(np.float64), second.astype(np.float64)
    if form == "ratio":
        # With equal denominators, the difference of the ratios is the ratio of the differences.
        differences = (first - second) / unit_size
        return _ratio_interval(differences, denominators, samples=samples, seed=seed, confidence=confidence)
    number = len(denominators)
    first, second, units = first.reshape(-1, number), second.reshape(-1, number), unit_size * denominators

    def roots(examples: Integer[np.ndarray, "rounds n"]) -> Float[np.ndarray, "seeds rounds"]:
        totals = units[examples].sum(axis=-1)
        ours, theirs = (np.sqrt(side[:, examples].sum(axis=-1) / totals) for side in (first, second))
        return ours - theirs

    return statistic_interval(
        roots, examples=number, seeds=len(first), samples=samples, seed=seed, confidence=confidence
    )


def statistic_interval(
    statistic: Callable[[Integer[np.ndarray, "rounds n"]], Float[np.ndarray, "seeds rounds"]],
    *,
    examples: int,
    seeds: int,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic of a set that is no ratio of sums, such as a difference in average precision.

    Examples and seeds are drawn as in `paired_bootstrap`.

    Args:
        statistic: function from numbers of examples, one row for each resample, to a value for each training seed and
            resample.
        examples: number of examples.
        seeds: number of training seeds.
        samples: number of resamples.
        seed: random seed of the resampling.
        confidence: level of the interval, in (0, 1).

    Returns:
        The statistic of all examples, averaged over the seeds, and its interval.

    Raises:
        ValueError: a setting out of range.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.  Deviation: none.

    Example:
        >>> values = np.array([[1.0, 2.0, 9.0]])
        >>> def medians(rows):
        ...     return np.median(values[:, rows], axis=-1)
        >>> statistic_interval(medians, examples=3, seeds=1, samples=9).estimate
        2.0
    """
    return _resampled(
        lambda drawn: (statistic(drawn), np.ones(len(drawn))),
        float(statistic(np.arange(examples)[None]).mean()),
        (seeds, examples),
        samples=samples,
        seed=seed,
        confidence=confidence,
    )


def mean_interval(
    values: Float[np.ndarray, "*seeds n"], *, samples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Percentile interval of a mean, or of a difference in means if `values` are the differences of two models.

    Seeds are drawn as in `paired_bootstrap`.

    Args:
        values: one per example, at least one, such as 1 for a right answer and 0 for a wrong one; one row per training
            seed if there are several.
        samples: number of resamples.
        seed: random seed of the resampling.
        confidence: level of the interval, in (0, 1).

    Raises:
        ValueError: no values, one that is not finite, or a setting out of range.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.  Deviation: none.

    Example:
        >>> print(mean_interval(np.array([0.5, 0.5]), samples=100))
        +0.5000 [+0.5000, +0.5000] at 95 %
    """
    if not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"values must be at least one number and all finite, got {values.size} of which "
            f"{np.count_nonzero(np.isfinite(values))} are finite. Leave examples without a value out."
        )
    ones = np.ones(values.shape[-1])
    return _ratio_interval(values, ones, samples=samples, seed=seed, confidence=confidence)


def _ratio_interval(
    values: Float[np.ndarray, "*seeds n"],
    weights: Real[np.ndarray, " n"],
    *,
    samples: int,
    seed: int,
    confidence: float,
) -> Interval:
    """Interval of sum(values) / sum(weights)."""
    weights = weights.astype(np.float64)
    values = values.reshape(-1, len(weights))
    return _resampled(
        lambda examples: (values[:, examples].sum(axis=-1), weights[examples].sum(axis=-1)),
        values.mean(axis=0).sum() / weights.sum(),
        values.shape,
        samples=samples,
        seed=seed,
        confidence=confidence,
    )


def _resampled(
    sums: _Sums, estimate: float, shape: tuple[int, ...], *, samples: int, seed: int, confidence: float
) -> Interval:
    """Interval of `sums`, [seeds n]: examples are drawn with replacement and, for each resample, seeds."""
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence:g}.")
    seeds, number = shape
    generator = np.random.default_rng(seed)
    drawn = []
    for examples in _draws(generator, number, samples=samples, copies=seeds):
        numerators, denominators = sums(examples)
        seed_numbers = generator.integers(0, seeds, (seeds, len(examples)))
        drawn.append(np.take_along_axis(numerators, seed_numbers, axis=0).mean(axis=0) / denominators)
    values = np.concatenate(drawn)
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(
        estimate=float(estimate),
        low=float(low),
        high=float(high),
        confidence=confidence,
        positive=float(np.mean(values > 0)),
    )


def _draws(
    generator: np.random.Generator, number: int, *, samples: int, copies: int
) -> Iterator[Integer[np.ndarray, "rounds n"]]:
    """Indices of examples drawn with replacement, in chunks that have room for `copies` of each resample."""
    chunk = max(1, _CHUNK_ELEMENTS // (number * copies))
    for start in range(0, samples, chunk):
        yield generator.integers(0, number, (min(chunk, samples - start), number))


def _check(first: np.ndarray, second: np.ndarray, denominators: np.ndarray, *, form: str) -> None:
    if first.shape != second.shape:
        raise ValueError(f"second must have the shape of first, got {second.shape} and {first.shape}.")
    number = denominators.shape[0]
    if first.shape[-1] != number:
        raise ValueError(f"denominators must have one value an example, got {number} for {first.shape[-1]} examples.")
    if number < 2:
        raise ValueError(f"first must hold at least 2 examples to resample, got {number}.")
    if not (denominators > 0).all():
        raise ValueError(
            f"denominators must be greater than 0 everywhere, got {denominators.min():g}. Leave empty examples out."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError(
            "first and second must be finite, got inf or nan. Nats are not where an answer has no probability."
        )
    if form == "root" and min(first.min(), second.min()) < 0:
        raise ValueError(
            f"first and second must be at least 0 where roots are compared, got {min(first.min(), second.min()):g}. "
            'Take form="ratio".'
        )
