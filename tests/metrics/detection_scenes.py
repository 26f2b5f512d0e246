"""Images with detections and objects, of few boxes or at random, for the tests of average precision."""

import dataclasses

import numpy as np

from jaxkd.metrics.average_precision import AveragePrecision, ImageMatches, average_precision, match_image

SCORES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


@dataclasses.dataclass(frozen=True)
class Scene:
    """Detections and objects of one image."""

    corners: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    truths: np.ndarray
    truth_classes: np.ndarray
    ignored: np.ndarray | None = None
    areas: np.ndarray | None = None

    def matches(self, **options) -> ImageMatches:
        return match_image(
            self.corners,
            self.scores,
            self.classes,
            self.truths,
            self.truth_classes,
            truth_ignored=self.ignored,
            truth_areas=self.areas,
            **options,
        )


def boxes(*rows):
    return np.array(rows, np.float64).reshape(-1, 4)


def simple(found, scores, truths, **fields):
    """One class."""
    found, truths = boxes(*found), boxes(*truths)
    zeros = np.zeros(len(found), int), np.zeros(len(truths), int)
    return Scene(found, np.array(scores, float), zeros[0], truths, zeros[1], **fields)


def random_scene(rng, *, classes=3, ties=False, most=12, crowds=True):
    """Detections near objects and elsewhere, with whole pixels, so that equal overlaps occur."""
    objects = rng.integers(0, 8) * (rng.random() < 0.8)
    found = rng.integers(0, most) * (rng.random() < 0.8)

    def anywhere(number):
        start = rng.integers(0, 160, (number, 2))
        return np.concatenate(
            [start, start + rng.integers(0 if ties else 1, rng.choice([20, 60, 150]), (number, 2))], 1
        )

    truths, corners = anywhere(objects).astype(float), anywhere(found).astype(float)
    truth_classes, found_classes = rng.integers(0, classes, objects), rng.integers(0, classes, found)
    if objects and found:
        near, source = rng.random(found) < 0.7, rng.integers(0, objects, found)
        moved = truths[source] + rng.integers(-6, 7, (found, 4)) * (rng.random((found, 1)) < 0.7)
        corners = np.where(near[:, None], moved, corners)
        corners = np.concatenate(
            [np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])], 1
        )
        found_classes = np.where(near & (rng.random(found) < 0.8), truth_classes[source], found_classes)
    return Scene(
        corners,
        rng.integers(1, 6, found) / 5 if ties else rng.random(found),
        found_classes,
        truths,
        truth_classes,
        rng.random(objects) < 0.15 if crowds else None,
        rng.random(objects) * 2e4 if rng.random() < 0.3 else None,
    )


def scenes(seed, number, **options):
    rng = np.random.default_rng(seed)
    return [random_scene(rng, **options) for _ in range(number)]


def scored(all_scenes, **options) -> AveragePrecision:
    return average_precision([one.matches() for one in all_scenes], **options)


def values(result):
    return np.array([getattr(result, name) for name in SCORES])
