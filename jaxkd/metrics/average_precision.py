"""Average precision of object detection, as COCO defines it: boxes are matched once an image, then accumulated."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

SizeRange: TypeAlias = Literal["all", "small", "medium", "large"]
"""Objects that count, by their area."""

SIZE_RANGES: tuple[SizeRange, ...] = get_args(SizeRange)
"""Order of the ranges in the arrays of `ImageMatches`."""

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""Intersections over union from which a box is found: .50, .55, ... .95."""

_RECALLS = np.linspace(0.0, 1.0, 101)
_AREAS = np.array([(0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10)], np.float64)
"""Smallest and largest area of each of `SIZE_RANGES` in square pixels, both included."""
_CHUNK_ELEMENTS = 2**22
"""Weights of detections held at a time: 32 MiB in float64."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageMatches:
    """Detections of one image, and which of them found an object; result of `match_image`.

    Axes of length 4 are those of `SIZE_RANGES`, axes of length 10 those of `IOU_THRESHOLDS`.
    """

    scores: Float[np.ndarray, " n"]
    """Score of each detection."""
    classes: Integer[np.ndarray, " n"]
    """Class of each detection."""
    matched: Bool[np.ndarray, "4 10 n"]
    """Whether a detection was matched with an object."""
    ignored: Bool[np.ndarray, "4 10 n"]
    """Whether a detection does not count: it matches an ignored object, or none and its own area is out of range."""
    truth_classes: Integer[np.ndarray, " m"]
    """Class of each object."""
    counted: Bool[np.ndarray, "4 m"]
    """Whether an object counts: it is no crowd, and its area is in range."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AveragePrecision:
    """Result of `average_precision`: scalars, or a value for each of several multisets of images.

    Means are over the classes with an object that counts, and NaN where there is no such class.
    """

    ap: Float[np.ndarray, "*rounds"]
    """Mean over the thresholds .50, .55, ... .95 of the intersection over union."""
    ap50: Float[np.ndarray, "*rounds"]
    """At the threshold .50."""
    ap75: Float[np.ndarray, "*rounds"]
    """At the threshold .75."""
    ap_small: Float[np.ndarray, "*rounds"]
    """`ap` of objects of at most 32^2 square pixels."""
    ap_medium: Float[np.ndarray, "*rounds"]
    """`ap` of objects from 32^2 to 96^2 square pixels."""
    ap_large: Float[np.ndarray, "*rounds"]
    """`ap` of objects of at least 96^2 square pixels."""
    classes: Int[np.ndarray, " classes"]
    """Classes with an object or a detection, ascending."""
    class_ap: Float[np.ndarray, "*rounds classes"]
    """`ap` of each of `classes`; NaN for one without an object that counts."""
    class_ap50: Float[np.ndarray, "*rounds classes"]
    """`ap50` of each of `classes`; NaN for one without an object that counts."""


def match_image(
    corners: Float[np.ndarray, "n 4"],
    scores: Float[np.ndarray, " n"],
    classes: Integer[np.ndarray, " n"],
    truth_corners: Float[np.ndarray, "m 4"],
    truth_classes: Integer[np.ndarray, " m"],
    *,
    truth_ignored: Bool[np.ndarray, " m"] | None = None,
    truth_areas: Float[np.ndarray, " m"] | None = None,
    most: int = 100,
) -> ImageMatches:
    """Match the detections of one image with its objects, at each threshold and for each range of sizes.

    Detections of a class choose in the order of falling score, equal ones in their own order.  Each takes the object
    with the largest intersection over union among those of its class that are free, the last one of equals; an ignored
    object only if none that counts reaches the threshold.  An ignored object stands for a crowd: it stays free, and the
    intersection is divided by the area of the detection instead of the union.

    Args:
        corners: left, top, right and bottom edge of each detection in pixels, edges not inclusive.
        scores: score of each detection, on any scale.
        classes: class of each detection.
        truth_corners: edges of the objects.
        truth_classes: class of each object.
        truth_ignored: which objects are crowds; None: none is.
        truth_areas: area of each object in square pixels, such as that of its mask, which decides on its size; None:
            the areas of the boxes.
        most: number of detections of each class that are kept, those with the highest scores.

    Returns:
        Matches of the detections that are kept, class by class in the order of falling score.

    Raises:
        ValueError: numbers of rows that differ, a box whose edges are exchanged, or a number that is not finite.

    Source: Lin et al. (2014), Microsoft COCO, and the evaluation of its benchmark; checked against the package
    pycocotools 2.0.11.  Deviation: none, where an annotation's `ignore` is its `iscrowd`, as that package sets it.

    Example:
        >>> import numpy as np
        >>> truth = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> found = np.array([[0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 10.0]])
        >>> matches = match_image(found, np.array([0.9, 0.8]), np.array([0, 0]), truth, np.array([0]))
        >>> matches.matched[0, [0, 6, 7]].tolist()  # from .50 to .80 the first one, beyond that the second
        [[True, False], [True, False], [False, True]]
    """
    _check_rows("corners", corners, scores=scores, classes=classes)
    ignored = np.zeros(len(truth_corners), bool) if truth_ignored is None else truth_ignored
    areas = _areas(truth_corners) if truth_areas is None else truth_areas.astype(np.float64)
    _check_rows("truth_corners", truth_corners, truth_classes=truth_classes, truth_ignored=ignored, truth_areas=areas)
    if not (np.isfinite(scores).all() and np.isfinite(areas).all()):
        raise ValueError("scores and truth_areas must be finite, got inf or nan. A diverged network finds nothing.")
    counted = ~ignored & _in_range(areas)
    kept = [np.zeros(0, np.int64)]
    matched = [np.zeros((len(SIZE_RANGES), len(IOU_THRESHOLDS), 0), bool)]
    beside = list(matched)
    for one in np.unique(classes):
        rows = np.flatnonzero(classes == one)
        rows = rows[np.argsort(-scores[rows], kind="stable")][:most]
        truths = np.flatnonzero(truth_classes == one)
        overlaps = _overlaps(corners[rows], truth_corners[truths], ignored[truths])
        found, skipped = _matched(overlaps, counted[:, truths], ignored[truths])
        kept.append(rows)
        matched.append(found)
        beside.append(skipped | (~found & ~_in_range(_areas(corners[rows]))[:, None]))
    order = np.concatenate(kept)
    return ImageMatches(
        scores=scores[order],
        classes=classes[order],
        matched=np.concatenate(matched, axis=-1),
        ignored=np.concatenate(beside, axis=-1),
        truth_classes=truth_classes,
        counted=counted,
    )


def average_precision(
    matches: Sequence[ImageMatches],
    *,
    counts: Integer[np.ndarray, "*rounds images"] | None = None,
    ranges: Sequence[SizeRange] = SIZE_RANGES,
) -> AveragePrecision:
    """Return COCO's average precision: the mean over 101 recalls of the best precision at that recall or a higher one.

    It is no mean over images, since detections of all images are sorted by their scores.  For a bootstrap, `counts`
    says how often each image was drawn, for many resamples at once: the images are matched and sorted only once.

    Args:
        matches: matches of each image.  Detections with equal scores are sorted in this order.
        counts: how often each image occurs, for one multiset of images or for several; None: once.
        ranges: ranges of sizes that are computed; fields of the others are NaN.

    Returns:
        Values in [0, 1], float64; NaN where no object counts.  COCO's programs print that as -1.

    Raises:
        ValueError: no image, a number of counts that differs, a negative count, or an unknown range.

    Source: Lin et al. (2014), Microsoft COCO, and the evaluation of its benchmark; checked against the package
    pycocotools 2.0.11.  Deviation: none without `counts`, beyond rounding.  With them, two detections of one image and
    class with equal scores are sorted before their copies, where a list with copies of the image would alternate.

    Example:
        >>> import numpy as np
        >>> truth = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
        >>> matches = match_image(truth[:1], np.array([0.9]), np.array([0]), truth, np.array([0, 0]))
        >>> round(float(average_precision([matches]).ap), 4)  # half of the objects, up to a recall of .50
        0.505
    """
    if not matches:
        raise ValueError("matches must hold at least one image, got none.")
    for one in ranges:
        if one not in SIZE_RANGES:
            raise ValueError(f"ranges must be of {', '.join(SIZE_RANGES)}, got {one!r}.")
    if counts is None:
        counts = np.ones(len(matches), np.int64)
    if counts.shape[-1:] != (len(matches),) or (counts < 0).any():
        raise ValueError(
            f"counts must have a number of at least 0 for each of {len(matches)} images, got shape {counts.shape}"
            f"{f' and {counts.min()}' if counts.size else ''}."
        )
    weights = counts.reshape(-1, len(matches)).astype(np.float64)
    classes = np.unique(np.concatenate([one for image in matches for one in (image.classes, image.truth_classes)]))
    values = np.full((len(SIZE_RANGES), len(weights), len(classes), len(IOU_THRESHOLDS)), np.nan)
    for place, one in enumerate(classes):
        ranking = _ranking(matches, int(one))
        for size in ranges:
            values[SIZE_RANGES.index(size), :, place] = _precisions(ranking, SIZE_RANGES.index(size), weights)
    by_range = dict(
        zip(SIZE_RANGES, values.reshape(len(SIZE_RANGES), *counts.shape[:-1], *values.shape[2:]), strict=True)
    )
    everything = by_range["all"]
    return AveragePrecision(
        ap=_mean(everything.mean(axis=-1)),
        ap50=_mean(everything[..., 0]),
        ap75=_mean(everything[..., 5]),
        ap_small=_mean(by_range["small"].mean(axis=-1)),
        ap_medium=_mean(by_range["medium"].mean(axis=-1)),
        ap_large=_mean(by_range["large"].mean(axis=-1)),
        classes=classes.astype(np.int64),
        class_ap=everything.mean(axis=-1),
        class_ap50=everything[..., 0],
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Ranking:
    """Detections of one class in all images by falling score, and how many objects each image has."""

    images: Int[np.ndarray, " n"]
    matched: Bool[np.ndarray, "4 10 n"]
    ignored: Bool[np.ndarray, "4 10 n"]
    objects: Float[np.ndarray, "4 images"]


def _ranking(matches: Sequence[ImageMatches], which: int) -> _Ranking:
    members = [np.flatnonzero(one.classes == which) for one in matches]
    scores = np.concatenate([one.scores[rows] for one, rows in zip(matches, members, strict=True)])
    order = np.argsort(-scores, kind="stable")

    def sorted_by_score(name: str) -> np.ndarray:
        each = [getattr(one, name)[..., rows] for one, rows in zip(matches, members, strict=True)]
        return np.concatenate(each, axis=-1)[..., order]

    counted = [np.count_nonzero(one.counted[:, one.truth_classes == which], axis=1) for one in matches]
    return _Ranking(
        images=np.repeat(np.arange(len(matches)), [len(rows) for rows in members])[order],
        matched=sorted_by_score("matched"),
        ignored=sorted_by_score("ignored"),
        objects=np.stack(counted, axis=1).astype(np.float64),
    )


def _precisions(
    ranking: _Ranking, size: int, weights: Float[np.ndarray, "rounds images"]
) -> Float[np.ndarray, "rounds thresholds"]:
    """Return the mean precision over the recalls at each threshold; NaN without an object."""
    found = np.empty((len(weights), len(IOU_THRESHOLDS)))
    step = max(1, _CHUNK_ELEMENTS // max(1, len(ranking.images)))
    for start in range(0, len(weights), step):
        chunk = weights[start : start + step]
        objects = chunk @ ranking.objects[size]
        found[start : start + step] = np.stack(list(_at_thresholds(ranking, size, chunk, objects)), axis=1)
    return found


def _at_thresholds(
    ranking: _Ranking, size: int, weights: Float[np.ndarray, "rounds images"], objects: Float[np.ndarray, " rounds"]
) -> Iterator[Float[np.ndarray, " rounds"]]:
    """Yield the mean precision over the recalls at one threshold after another."""
    drawn = weights.T[ranking.images]
    counting = ~ranking.ignored[size]
    # Most detections count at each threshold or at none: their long sums are the same for all.
    totals = np.cumsum(drawn * counting.all(axis=0)[:, None], axis=0)
    for matched, counts in zip(ranking.matched[size], counting, strict=True):
        # Precision falls with each detection that found nothing, at equal recall: its best values are where one found.
        hits = np.flatnonzero(matched & counts)
        right = np.cumsum(drawn[hits], axis=0)
        others = np.flatnonzero(counts & ~counting.all(axis=0))
        sums = np.cumsum(np.concatenate([np.zeros_like(drawn[:1]), drawn[others]]), axis=0)
        before = totals[hits] + sums[np.searchsorted(others, hits, side="right")]
        precisions = right / np.maximum(before, 1.0)
        best = np.maximum.accumulate(precisions[::-1], axis=0)[::-1]
        # Recalls of the 101 that are reached with each hit, and not before.
        reached = np.searchsorted(_RECALLS, right / np.maximum(objects, 1.0), side="right")
        mean = (best * np.diff(reached, axis=0, prepend=0)).sum(axis=0) / len(_RECALLS)
        yield np.where(objects > 0, mean, np.nan)


def _matched(
    overlaps: Float[np.ndarray, "n m"], counted: Bool[np.ndarray, "4 m"], crowds: Bool[np.ndarray, " m"]
) -> tuple[Bool[np.ndarray, "4 10 n"], Bool[np.ndarray, "4 10 n"]]:
    """Return which detections, by falling score, are matched, and which of these with an ignored object."""
    thresholds = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]
    shape = len(SIZE_RANGES), len(IOU_THRESHOLDS), len(overlaps)
    matched, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    free = np.ones((*shape[:2], len(crowds)), bool)
    for row in np.flatnonzero((overlaps >= thresholds[0]).any(axis=1)):
        near = free & (overlaps[row] >= thresholds)
        better = near & counted[:, None]
        near = np.where(better.any(axis=-1, keepdims=True), better, near)
        # The last one of equals.
        chosen = len(crowds) - 1 - np.argmax(np.where(near, overlaps[row], -1.0)[..., ::-1], axis=-1)
        found = near.any(axis=-1)
        matched[..., row] = found
        ignored[..., row] = found & ~np.take_along_axis(counted, chosen, axis=1)
        taken = found[..., None] & ~crowds & (chosen[..., None] == np.arange(len(crowds)))
        free &= ~taken
    return matched, ignored


def _overlaps(
    corners: Float[np.ndarray, "n 4"], truths: Float[np.ndarray, "m 4"], crowds: Bool[np.ndarray, " m"]
) -> Float[np.ndarray, "n m"]:
    """Return intersections over unions; over areas of detections where the object is a crowd."""
    ours, theirs = corners[:, None].astype(np.float64), truths[None].astype(np.float64)
    sides = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    own = _areas(corners)[:, None]
    whole = np.where(crowds, own, own + _areas(truths) - shared)
    return shared / np.where(shared > 0, whole, 1.0)


def _areas(corners: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    return np.prod(corners[:, 2:].astype(np.float64) - corners[:, :2].astype(np.float64), axis=1)


def _in_range(areas: Float[np.ndarray, " n"]) -> Bool[np.ndarray, "4 n"]:
    return (areas >= _AREAS[:, :1]) & (areas <= _AREAS[:, 1:])


def _mean(values: Float[np.ndarray, "*rounds classes"]) -> Float[np.ndarray, "*rounds"]:
    """Mean over the classes that have a value."""
    known = np.count_nonzero(~np.isnan(values), axis=-1)
    return np.where(known > 0, np.nansum(values, axis=-1) / np.maximum(known, 1), np.nan)


def _check_rows(name: str, corners: np.ndarray, **others: Any) -> None:
    for other, values in others.items():
        if values.shape != corners.shape[:1]:
            raise ValueError(
                f"{other} must have one value for each row of {name}, got {values.shape} and {corners.shape}."
            )
    if not np.isfinite(corners).all() or (corners[:, :2] > corners[:, 2:]).any():
        raise ValueError(
            f"{name} must be finite and (left, top, right, bottom), got inf, nan or a row whose edges are exchanged."
        )
