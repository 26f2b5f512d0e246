"""Average precision of detected objects."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Array, UInt8

from jaxkd.data.images.detection.source import DetectionSource
from jaxkd.data.images.source import ImageExample
from jaxkd.evals.vision.image_evaluator import ImageEvaluator
from jaxkd.evals.vision.pictures import evenly_chosen, thumbnail
from jaxkd.metrics import AveragePrecision, ImageMatches, average_precision, match_image
from jaxkd.records import Boxes
from jaxkd.training.evaluator import Column
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.results.matched_image import MatchedImage
from jaxkd.training.results.picture import Box, Overlay, Picture, PictureLayer
from jaxkd.vision.detection.decoding import decode
from jaxkd.vision.detection.detections import Detections
from jaxkd.vision.network import NetworkModel

SHOWN_SCORE = 0.3
"""Smallest score of the boxes that are drawn: average precision counts others too, which would hide the picture."""

_Record = TypeVar("_Record", Boxes, Detections)

_LABEL = "detection"
_LONGEST = 256
"""Largest width and height of a picture's PNG: objects may be small."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionScores(ImageEvaluator):
    """COCO's average precision of boxes, over all sizes of objects, by size, by class and by stratum."""

    data: DetectionSource
    """Images with objects."""
    label: str = _LABEL
    """Name of the evaluation, if a model has several, such as on another stratum."""

    def columns(self) -> tuple[Column, ...]:
        if self.stratum is None and self.label == _LABEL:
            return (Column(metric="ap", name="AP"), Column(metric="ap50", name="AP50"))
        return (Column(metric="ap50", name=f"AP50,\n{self.stratum or self.label}"),)

    def __call__(self, model: NetworkModel) -> Evaluation:
        """Detect the objects in the images.

        Returns:
            `ap`, `ap50`, `ap75`, `ap_small`, `ap_medium` and `ap_large`, in [0, 1]; `class_ap50_NAME` of each class;
            `ap50_NAME` of each stratum, if there are several; the matches of each image, from which intervals are
            computed; and some pictures.  What no object decides is left out, such as the AP of sizes that do not occur.

        Raises:
            ValueError: no images, no object that counts, or a class without a name.
        """
        examples = self.data.examples(self.split)
        results = list(self._results(model))
        matches = [one.matches for one in results]
        scores = average_precision(matches)
        if np.isnan(scores.ap):
            raise ValueError(
                f"data must have an object that is not ignored in {self.split}, got none in {len(results)} images of "
                f"{type(self.data).__name__}."
            )
        metrics = {name: float(getattr(scores, name)) for name in _METRICS} | self._by_class(scores)
        strata = [one.stratum for one in results]
        if len(set(strata)) > 1:
            for name in dict.fromkeys(strata):
                members = [one.matches for one in results if one.stratum == name]
                metrics[f"ap50_{name}"] = float(average_precision(members, ranges=("all",)).ap50)
        return Evaluation(
            metrics={name: value for name, value in metrics.items() if not np.isnan(value)},
            keys=tuple(one.key for one in results),
            matches=tuple(map(MatchedImage.from_matches, matches)),
            pictures=tuple(
                _shown(examples[results[place].place], results[place], self.data.classes)
                for place in evenly_chosen(strata)
            ),
        )

    def _results(self, model: NetworkModel) -> Iterator["_Result"]:
        """Yield the result of each image; those of a batch are in memory at a time."""
        for batch in self.batches():
            found = jax.device_get(_detections(model, self.full_batch([one.image for _, one in batch])))
            for row, (place, example) in enumerate(batch):
                yield self._result(place, example, jax.tree.map(lambda leaf, row=row: leaf[row], found))

    def _result(self, place: int, example: ImageExample, found: Detections) -> "_Result":
        truth: Boxes = _rows(example.target, example.target.mask)
        found = _rows(found, found.mask)
        if truth.classes.size and not 0 <= truth.classes.min() <= truth.classes.max() < len(self.data.classes):
            raise ValueError(
                f"data must name each class of its objects, got {len(self.data.classes)} names and class "
                f"{truth.classes.max()} in {example.key!r}."
            )
        matches = match_image(
            np.asarray(found.corners),
            np.asarray(found.scores),
            np.asarray(found.classes),
            np.asarray(truth.corners),
            np.asarray(truth.classes),
            truth_ignored=np.asarray(truth.ignored),
        )
        return _Result(place=place, key=example.key, stratum=example.stratum, truth=truth, found=found, matches=matches)

    def _by_class(self, scores: AveragePrecision) -> dict[str, float]:
        pairs = zip(scores.classes.tolist(), scores.class_ap50.tolist(), strict=True)
        return {f"class_ap50_{self.data.classes[one]}": value for one, value in pairs if not np.isnan(value)}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Result:
    """Objects of one image, without padding, and what was found."""

    place: int
    key: str
    stratum: str
    truth: Boxes
    found: Detections
    matches: ImageMatches


_METRICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


@jax.jit
def _detections(model: NetworkModel, images: UInt8[Array, "b h w c"]) -> Detections:
    return decode(model(images), image_size=(images.shape[1], images.shape[2]))


def _rows(record: _Record, mask: Array) -> _Record:
    """Drop the padding."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[np.asarray(mask)], record)


def _shown(example: ImageExample, result: _Result, classes: Sequence[str]) -> Picture:
    height, width = example.image.shape[:2]
    truth, found, matches = result.truth, result.found, result.matches
    drawn = np.asarray(found.scores) >= SHOWN_SCORE
    right = (matches.scores >= SHOWN_SCORE) & ~matches.ignored[0, 0]
    hits = int(np.count_nonzero(right & matches.matched[0, 0]))
    return Picture(
        key=example.key,
        group=example.stratum,
        width=width,
        height=height,
        png=thumbnail(example.image[..., :3], longest=_LONGEST),
        layers=(
            (PictureLayer(name="thermal", png=thumbnail(example.image[..., 3], longest=_LONGEST)),)
            if example.image.shape[-1] == 4
            else ()
        ),
        truth=Overlay(
            boxes=_boxes(truth.corners),
            labels=tuple(
                f"{classes[int(one)]}, ignored" if ignored else classes[int(one)]
                for one, ignored in zip(truth.classes.tolist(), truth.ignored.tolist(), strict=True)
            ),
        ),
        found=Overlay(
            boxes=_boxes(np.asarray(found.corners)[drawn]),
            labels=tuple(
                f"{classes[int(one)]} {f'{score:.2f}'.removeprefix('0')}"
                for one, score in zip(found.classes[drawn].tolist(), found.scores[drawn].tolist(), strict=True)
            ),
        ),
        note=f"{hits} of {np.count_nonzero(matches.counted[0])} found, {np.count_nonzero(right) - hits} wrong",
    )


def _boxes(corners: Array | np.ndarray) -> tuple[Box, ...]:
    rounded = np.round(np.asarray(corners, np.float64), 1).tolist()
    return tuple((left, top, right, bottom) for left, top, right, bottom in rounded)
