"""Paired bootstrap intervals that compare two models on the same answers."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Integer, Real

from jaxkd.training.evaluator import Evaluation

_CHUNK_ELEMENTS = 2**21
"""Resampled values held at a time: 16 MiB in float64."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its confidence interval."""

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.low:+.4f}, {self.high:+.4f}] at {100 * self.confidence:g} %"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Bits per byte of `first` minus those of `second`, on the same answers."""

    first: str
    second: str
    interval: Interval

    def __str__(self) -> str:
        """One plain sentence: better, worse, or not distinguishable."""
        interval = self.interval
        level = f"{100 * interval.confidence:g} % interval"
        if not interval.excludes_zero:
            return (
                f"{self.first} and {self.second} are not distinguishable: they differ by "
                f"{interval.estimate:+.3f} bits per byte, and the {level} from {interval.low:+.3f} to "
                f"{interval.high:+.3f} includes 0."
            )
        word = "better" if interval.estimate < 0 else "worse"
        near, far = sorted((abs(interval.low), abs(interval.high)))
        return (
            f"{self.first} is {word} than {self.second} by {abs(interval.estimate):.3f} bits per byte: "
            f"the {level} from {near:.3f} to {far:.3f} excludes 0."
        )


def paired_bootstrap(
    nats_a: Float[np.ndarray, "*seeds n"],
    nats_b: Float[np.ndarray, "*seeds n"],
    byte_counts: Real[np.ndarray, " n"],
    *,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of the difference in corpus bits per byte, model a minus model b.

    Examples are drawn with replacement, the same ones for both models, and both ratios are
    recomputed.  With several training seeds, seeds are drawn with replacement too, so that the
    interval covers both.  Dependence between examples is ignored: functions of one file are drawn
    as if they were independent.

    Args:
        nats_a: -log p(answer | prompt) of each example under model a; one row per training seed if
            there are several.
        nats_b: the same under model b; seed i of a is paired with seed i of b.
        byte_counts: UTF-8 bytes of each answer.
        samples: number of resamples.
        seed: random seed of the resampling; equal inputs give an equal interval.
        confidence: nominal probability that the interval covers the truth.

    Raises:
        ValueError: shapes that differ, fewer than 2 examples, no bytes, or a setting out of range.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> nats = np.log([2.0, 8.0, 4.0])
        >>> print(paired_bootstrap(nats + np.log(2), nats, np.ones(3), samples=100))
        +1.0000 [+1.0000, +1.0000] at 95 %
    """
    _check(nats_a, nats_b, byte_counts, samples=samples, confidence=confidence)
    # The bytes are the same for both models, so the difference of the ratios is the ratio of the differences.
    bits = (nats_a.astype(np.float64) - nats_b.astype(np.float64)) / np.log(2.0)
    return _ratio_interval(bits, byte_counts, samples=samples, seed=seed, confidence=confidence)


def mean_interval(
    values: Float[np.ndarray, "*seeds n"], *, samples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Percentile interval of a mean, or of a difference in means if `values` are the differences of two models.

    Seeds are drawn as in `paired_bootstrap`.

    Args:
        values: one per example, at least one; one row per training seed if there are several.
        samples: number of resamples.
        seed: random seed of the resampling.
        confidence: level of the interval, in (0, 1).

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.  Deviation: none.

    Example:
        >>> print(mean_interval(np.array([0.5, 0.5]), samples=100))
        +0.5000 [+0.5000, +0.5000] at 95 %
    """
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
    """Interval of sum(values) / sum(weights): examples are drawn with replacement and, for each resample, seeds."""
    weights = weights.astype(np.float64)
    number = len(weights)
    values = values.reshape(-1, number)
    seeds = len(values)
    generator = np.random.default_rng(seed)
    drawn = []
    for examples in _draws(generator, number, samples=samples, copies=seeds):
        sums = values[:, examples].sum(axis=-1)
        seed_numbers = generator.integers(0, seeds, (seeds, len(examples)))
        drawn.append(np.take_along_axis(sums, seed_numbers, axis=0).mean(axis=0) / weights[examples].sum(axis=-1))
    low, high = np.quantile(np.concatenate(drawn), [(1 - confidence) / 2, (1 + confidence) / 2])
    estimate = values.mean(axis=0).sum() / weights.sum()
    return Interval(estimate=float(estimate), low=float(low), high=float(high), confidence=confidence)


def _draws(
    generator: np.random.Generator, number: int, *, samples: int, copies: int
) -> Iterator[Integer[np.ndarray, "rounds n"]]:
    """Indices of examples drawn with replacement, in chunks that have room for `copies` of each resample."""
    chunk = max(1, _CHUNK_ELEMENTS // (number * copies))
    for start in range(0, samples, chunk):
        yield generator.integers(0, number, (min(chunk, samples - start), number))


def compare(
    first: str,
    first_evaluations: Sequence[Evaluation],
    second: str,
    second_evaluations: Sequence[Evaluation],
    *,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two models on the answers that both were scored on.

    Args:
        first: label of the first model.
        first_evaluations: results of `BitsPerByte`, one per training seed.
        second: label of the second model.
        second_evaluations: the same seeds in the same order.  A single evaluation, of a
            model that no seed changes, is compared with every seed of the other.
        samples: number of resamples.
        seed: random seed of the resampling.
        confidence: level of the interval.

    Raises:
        ValueError: examples that differ, columns that are missing, or seeds that do not pair up.
    """
    evaluations = [*first_evaluations, *second_evaluations]
    counts = len(first_evaluations), len(second_evaluations)
    if 0 in counts or (counts[0] != counts[1] and 1 not in counts):
        raise ValueError(
            f"first_evaluations and second_evaluations must hold the same seeds, or one of them a single "
            f"evaluation, got {counts[0]} of {first!r} and {counts[1]} of {second!r}."
        )
    for evaluation in evaluations:
        if not {"nats", "bytes"} <= evaluation.per_example.keys():
            raise ValueError(
                f"evaluations must have the columns 'nats' and 'bytes', got {sorted(evaluation.per_example)}. "
                "Evaluate with jaxkd.evals.language.bits_per_byte.BitsPerByte."
            )
        if evaluation.keys != evaluations[0].keys or (
            evaluation.per_example["bytes"] != evaluations[0].per_example["bytes"]
        ):
            shared = len(set(evaluation.keys) & set(evaluations[0].keys))
            raise ValueError(
                f"{first!r} and {second!r} must be scored on the same answers, got {len(evaluations[0].keys)} and "
                f"{len(evaluation.keys)} answers that share {shared} keys. Give both evaluators the same source, "
                "split and limit, and a length that no example exceeds under either tokenizer."
            )
    nats_a, nats_b = np.broadcast_arrays(
        *(
            np.array([one.per_example["nats"] for one in side], np.float64)
            for side in (first_evaluations, second_evaluations)
        )
    )
    byte_counts = np.array(evaluations[0].per_example["bytes"], np.float64)
    interval = paired_bootstrap(nats_a, nats_b, byte_counts, samples=samples, seed=seed, confidence=confidence)
    return Comparison(first=first, second=second, interval=interval)


def _check(nats_a: np.ndarray, nats_b: np.ndarray, byte_counts: np.ndarray, *, samples: int, confidence: float) -> None:
    if nats_a.shape != nats_b.shape:
        raise ValueError(f"nats_b must have the shape of nats_a, got {nats_b.shape} and {nats_a.shape}.")
    if nats_a.shape[-1] != byte_counts.shape[0]:
        raise ValueError(
            f"byte_counts must have one value an example, got {byte_counts.shape[0]} for {nats_a.shape[-1]} examples."
        )
    if byte_counts.shape[0] < 2:
        raise ValueError(f"nats_a must hold at least 2 examples to resample, got {byte_counts.shape[0]}.")
    if not (byte_counts > 0).all():
        raise ValueError(
            f"byte_counts must be at least 1 everywhere, got {byte_counts.min():g}. Leave empty answers out."
        )
    if not (np.isfinite(nats_a).all() and np.isfinite(nats_b).all()):
        raise ValueError("nats_a and nats_b must be finite, got inf or nan. The model gives an answer no probability.")
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence:g}.")
