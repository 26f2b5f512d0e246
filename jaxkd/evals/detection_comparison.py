"""Difference between two detectors in average precision, with an interval over images and training seeds."""

from collections.abc import Sequence
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
    number = len(first[0])
    ranges: tuple[SizeRange, ...] = (_RANGES.get(metric, "all"),)

    def values(
        matches: Sequence[ImageMatches], counts: Integer[np.ndarray, "rounds n"]
    ) -> Float[np.ndarray, " rounds"]:
        return getattr(average_precision(matches, counts=counts, ranges=ranges), metric)

    def differences(images: Integer[np.ndarray, "rounds n"]) -> Float[np.ndarray, "seeds rounds"]:
        rows = number * np.arange(len(images))[:, None]
        counts = np.bincount((rows + images).ravel(), minlength=images.size).reshape(images.shape)
        found = [values(ours, counts) - values(theirs, counts) for ours, theirs in zip(first, second, strict=True)]
        return np.nan_to_num(np.stack(found), nan=0.0)

    return statistic_interval(
        differences, examples=number, seeds=len(first), samples=samples, seed=seed, confidence=confidence
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
