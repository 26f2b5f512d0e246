"""Average precision of a detector, and the difference between two, with intervals over images and training seeds."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Integer

from jaxkd.evals.bootstrap import Interval, statistic_interval
from jaxkd.metrics.average_precision import ImageMatches, SizeRange, average_precision

PrecisionMetric: TypeAlias = Literal["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
"""Fields of `jaxkd.metrics.AveragePrecision` that are means over the classes."""

SAMPLES = 1000
"""Default number of resamples: each sorts the detections of all images anew."""

_RANGES: dict[PrecisionMetric, SizeRange] = {"ap_small": "small", "ap_medium": "medium", "ap_large": "large"}


def paired_average_precision(
    first: Sequence[Sequence[ImageMatches]],
    second: Sequence[Sequence[ImageMatches]],
    *,
    metric: PrecisionMetric = "ap",
    samples: int = SAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a difference in average precision, first model minus second.

    Images are drawn with replacement, the same ones for both models, and both average precisions are recomputed.  With
    several training seeds, seeds are drawn with replacement too, so that the interval covers both.  Dependence between
    images, such as frames of one film, is ignored.

    Args:
        first: matches of each image under the first model, for each training seed.
        second: the same images and seeds, in the same order, under the second model.
        metric: average precision that is compared.
        samples: number of resamples.
        seed: random seed of the resampling; equal inputs give an equal interval.
        confidence: nominal probability that the interval covers the truth.

    Returns:
        Difference, and its interval.  A resample without an object that counts has a difference of 0.

    Raises:
        ValueError: numbers of seeds or images that differ, other objects in an image, fewer than 2 images, or a setting
            out of range.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> from jaxkd.metrics import match_image
        >>> box, one = np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([0])
        >>> right, wrong = (match_image(box + far, np.array([0.9]), one, box, one) for far in (0.0, 50.0))
        >>> print(paired_average_precision([[right, right]], [[wrong, wrong]], samples=10))
        +1.0000 [+1.0000, +1.0000] at 95 %
    """
    _check(first, second)

    def differences(counts: Integer[np.ndarray, "rounds n"]) -> Float[np.ndarray, "seeds rounds"]:
        found = [
            _values(ours, counts, metric) - _values(theirs, counts, metric)
            for ours, theirs in zip(first, second, strict=True)
        ]
        return np.nan_to_num(np.stack(found), nan=0.0)

    return _interval(differences, first, samples=samples, seed=seed, confidence=confidence)


def average_precision_interval(
    matches: Sequence[Sequence[ImageMatches]],
    *,
    metric: PrecisionMetric = "ap",
    samples: int = SAMPLES,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a model's average precision, over images and training seeds as in a comparison.

    Args:
        matches: matches of each image, for each training seed.
        metric: average precision.
        samples: number of resamples.
        seed: random seed of the resampling.
        confidence: nominal probability that the interval covers the truth.

    Returns:
        Mean over the seeds, and its interval.  A resample without an object that counts has a value of 0.

    Raises:
        ValueError: as `paired_average_precision`.

    Source: as `paired_average_precision`.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> from jaxkd.metrics import match_image
        >>> box, one = np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([0])
        >>> right = match_image(box, np.array([0.9]), one, box, one)
        >>> print(average_precision_interval([[right, right]], samples=10))
        +1.0000 [+1.0000, +1.0000] at 95 %
    """
    _check(matches, matches)

    def values(counts: Integer[np.ndarray, "rounds n"]) -> Float[np.ndarray, "seeds rounds"]:
        return np.nan_to_num(np.stack([_values(one, counts, metric) for one in matches]), nan=0.0)

    return _interval(values, matches, samples=samples, seed=seed, confidence=confidence)


def _values(
    matches: Sequence[ImageMatches], counts: Integer[np.ndarray, "rounds n"], metric: PrecisionMetric
) -> Float[np.ndarray, " rounds"]:
    return getattr(average_precision(matches, counts=counts, ranges=(_RANGES.get(metric, "all"),)), metric)


def _interval(
    statistic: Callable[[Integer[np.ndarray, "rounds n"]], Float[np.ndarray, "seeds rounds"]],
    matches: Sequence[Sequence[ImageMatches]],
    *,
    samples: int,
    seed: int,
    confidence: float,
) -> Interval:
    """Return the interval of a statistic of how often each image was drawn."""

    def of_images(images: Integer[np.ndarray, "rounds n"]) -> Float[np.ndarray, "seeds rounds"]:
        rows = images.shape[1] * np.arange(len(images))[:, None]
        return statistic(np.bincount((rows + images).ravel(), minlength=images.size).reshape(images.shape))

    return statistic_interval(
        of_images, examples=len(matches[0]), seeds=len(matches), samples=samples, seed=seed, confidence=confidence
    )


def _check(first: Sequence[Sequence[ImageMatches]], second: Sequence[Sequence[ImageMatches]]) -> None:
    if len(first) != len(second) or not first:
        raise ValueError(f"first and second must have the same training seeds, got {len(first)} and {len(second)}.")
    numbers = sorted({len(one) for one in (*first, *second)})
    if len(numbers) > 1 or numbers[0] < 2:
        raise ValueError(
            f"first and second must have the same images, at least 2, got {' and '.join(map(str, numbers))}."
        )
    for matches in (*first, *second):
        for place, (one, other) in enumerate(zip(matches, first[0], strict=True)):
            if not (
                np.array_equal(one.truth_classes, other.truth_classes) and np.array_equal(one.counted, other.counted)
            ):
                raise ValueError(
                    f"first and second must have the same objects in each image, got {len(one.truth_classes)} and "
                    f"{len(other.truth_classes)} in image {place}, or others. Give both the same source and split."
                )
