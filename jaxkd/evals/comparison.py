"""Comparison of two models by a headline, on the examples that both were scored on."""

import dataclasses
from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Float

from jaxkd.evals.bootstrap import Interval, paired_bootstrap
from jaxkd.evals.detection_comparison import SAMPLES, PrecisionMetric, paired_average_precision
from jaxkd.evals.headline import Headline
from jaxkd.training.results.evaluation import Evaluation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Headline of `first` minus that of `second`, on the same examples."""

    first: str
    second: str
    interval: Interval
    headline: Headline
    """Metric that is compared: its title, its unit, and which direction is better."""

    def __str__(self) -> str:
        """One plain sentence: better, worse, or not distinguishable."""
        interval, unit = self.interval, self.headline.unit
        level = f"{100 * interval.confidence:g} % interval"
        if not interval.excludes_zero:
            return (
                f"{self.first} and {self.second} are not distinguishable: they differ by "
                f"{interval.estimate:+.3f} {unit}, and the {level} from {interval.low:+.3f} to "
                f"{interval.high:+.3f} includes 0."
            )
        lower = interval.estimate < 0
        word = "better" if lower == (self.headline.better == "lower") else "worse"
        near, far = sorted((abs(interval.low), abs(interval.high)))
        return (
            f"{self.first} is {word} than {self.second} by {abs(interval.estimate):.3f} {unit}: "
            f"the {level} from {near:.3f} to {far:.3f} excludes 0."
        )


def compare(
    first: str,
    first_evaluations: Sequence[Evaluation],
    second: str,
    second_evaluations: Sequence[Evaluation],
    *,
    headline: Headline,
    samples: int | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two models on the examples that both were scored on.

    Several answers to one example, which have its key, are resampled together.

    Args:
        first: label of the first model.
        first_evaluations: results of the headline's evaluator, one per training seed.
        second: label of the second model.
        second_evaluations: the same seeds in the same order.  A single evaluation, of a
            model that no seed changes, is compared with every seed of the other.
        headline: metric that is compared; it must name columns, or be an average precision.
        samples: number of resamples; None: 10,000, and 1,000 of an average precision.
        seed: random seed of the resampling.
        confidence: level of the interval.

    Raises:
        ValueError: examples that differ, columns or matches that are missing, or seeds that do not pair up.
    """
    evaluations = [*first_evaluations, *second_evaluations]
    counts = len(first_evaluations), len(second_evaluations)
    if 0 in counts or (counts[0] != counts[1] and 1 not in counts):
        raise ValueError(
            f"first_evaluations and second_evaluations must hold the same seeds, or one of them a single "
            f"evaluation, got {counts[0]} of {first!r} and {counts[1]} of {second!r}."
        )
    for evaluation in evaluations:
        _require_columns(evaluation, headline)
        if evaluation.keys != evaluations[0].keys or _fixed(evaluation, headline) != _fixed(evaluations[0], headline):
            shared = len(set(evaluation.keys) & set(evaluations[0].keys))
            raise ValueError(
                f"{first!r} and {second!r} must be scored on the same {headline.examples}, got "
                f"{len(evaluations[0].keys)} and {len(evaluation.keys)} that share {shared} keys. Give both evaluators "
                "the same source, split and limit; of texts, a length that none exceeds under either tokenizer."
            )
    interval = _interval(
        first_evaluations, second_evaluations, headline, samples=samples, seed=seed, confidence=confidence
    )
    return Comparison(first=first, second=second, interval=interval, headline=headline)


def _interval(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    headline: Headline,
    *,
    samples: int | None,
    seed: int,
    confidence: float,
) -> Interval:
    if headline.form == "average_precision":
        seeds = max(len(first), len(second))
        pairs = ([[one.matches() for one in evaluation.matches] for evaluation in side] for side in (first, second))
        # A single evaluation counts at each seed.
        ours, theirs = (side * (seeds // len(side)) for side in pairs)
        return paired_average_precision(
            ours,
            theirs,
            metric=cast(PrecisionMetric, headline.metric),
            samples=SAMPLES if samples is None else samples,
            seed=seed,
            confidence=confidence,
        )
    ours, theirs = np.broadcast_arrays(
        *(
            np.array([_by_example(one, one.per_example[headline.columns[0]]) for one in side])
            for side in (first, second)
        )
    )
    return paired_bootstrap(
        ours,
        theirs,
        _by_example(first[0], _denominators(first[0], headline)),
        unit_size=headline.unit_size,
        form=headline.form,
        samples=10_000 if samples is None else samples,
        seed=seed,
        confidence=confidence,
    )


def _by_example(evaluation: Evaluation, column: Sequence[float]) -> Float[np.ndarray, " n"]:
    """Return the sum over all answers to each example: those to one prompt depend on one another."""
    places: dict[str, int] = {}
    index = [places.setdefault(key, len(places)) for key in evaluation.keys]
    return np.bincount(index, weights=column, minlength=len(places))


def _fixed(evaluation: Evaluation, headline: Headline) -> tuple[object, ...]:
    """Return the values of each example that are the same under all models."""
    if headline.form == "average_precision":
        return tuple((one.truth_classes, one.counted) for one in evaluation.matches)
    return _denominators(evaluation, headline)


def _denominators(evaluation: Evaluation, headline: Headline) -> tuple[float, ...]:
    if headline.denominator is None:
        return (1.0,) * len(evaluation.keys)
    return evaluation.per_example[headline.denominator]


def _require_columns(evaluation: Evaluation, headline: Headline) -> None:
    if headline.form == "average_precision":
        if not evaluation.matches:
            raise ValueError(
                f"{headline.measured_by} must have matches of its images, from which {headline.metric} is compared, "
                "got none. Evaluate with jaxkd.evals.vision.DetectionScores."
            )
        return
    if headline.numerator is None or not set(headline.columns) <= evaluation.per_example.keys():
        wanted = " and ".join(map(repr, headline.columns)) or "of its headline"
        found = ", ".join(map(repr, sorted(evaluation.per_example))) or "none"
        raise ValueError(
            f"{headline.measured_by} must have the columns {wanted} for each example, from which {headline.metric} is "
            f"compared, got {found}. Name columns that it has in the headline, or compare by another one."
        )
