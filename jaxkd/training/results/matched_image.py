"""Detections of an image that were matched with its objects, in numbers that a JSON file holds."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from jaxtyping import Bool

from jaxkd.metrics.average_precision import IOU_THRESHOLDS, SIZE_RANGES, ImageMatches

_SHAPE = len(SIZE_RANGES), len(IOU_THRESHOLDS)
_BITS = len(SIZE_RANGES) * len(IOU_THRESHOLDS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchedImage:
    """`jaxkd.metrics.ImageMatches` of one image, with an integer of 40 bits for each detection.

    Bit 10 s + t is that of range s of `jaxkd.metrics.average_precision.SIZE_RANGES` and of IoU threshold t.

    Raises:
        ValueError: numbers of values that differ, or bits that do not exist.
    """

    scores: tuple[float, ...]
    """Score of each detection."""
    classes: tuple[int, ...]
    """Class of each detection."""
    matched: tuple[int, ...]
    """Bits that say where a detection was matched with an object."""
    ignored: tuple[int, ...]
    """Bits that say where a detection does not count."""
    truth_classes: tuple[int, ...]
    """Class of each object."""
    counted: tuple[int, ...]
    """Bits that say in which ranges an object counts."""

    def __post_init__(self) -> None:
        found = {len(one) for one in (self.scores, self.classes, self.matched, self.ignored)}
        if len(found) > 1 or len(self.truth_classes) != len(self.counted):
            raise ValueError(
                f"matches must have one value for each detection and each object, got {sorted(found)} and "
                f"{len(self.truth_classes)} and {len(self.counted)}."
            )
        for limit, bits in ((_BITS, (*self.matched, *self.ignored)), (_SHAPE[0], self.counted)):
            if any(not 0 <= one < 2**limit for one in bits):
                raise ValueError(f"matches must have integers of {limit} bits, got one of {min(bits)} to {max(bits)}.")

    @classmethod
    def from_matches(cls, matches: ImageMatches) -> Self:
        """Return the record of matches in arrays.

        Example:
            >>> import numpy as np
            >>> from jaxkd.metrics import match_image
            >>> box = np.array([[0.0, 0.0, 100.0, 100.0]])
            >>> matches = match_image(box, np.array([0.5], np.float32), np.array([2]), box, np.array([2]))
            >>> MatchedImage.from_matches(matches).counted  # as any object, and as a large one
            (9,)
        """
        return cls(
            # The shortest decimal of a float32: it is another number in float64, but in the same order.
            scores=tuple(float(str(one)) for one in matches.scores),
            classes=tuple(matches.classes.tolist()),
            matched=_packed(matches.matched.reshape(_BITS, len(matches.scores))),
            ignored=_packed(matches.ignored.reshape(_BITS, len(matches.scores))),
            truth_classes=tuple(matches.truth_classes.tolist()),
            counted=_packed(matches.counted),
        )

    def matches(self) -> ImageMatches:
        """Return the matches in arrays, as `jaxkd.metrics.average_precision` takes them."""
        return ImageMatches(
            scores=np.array(self.scores, np.float64),
            classes=np.array(self.classes, np.int64),
            matched=_unpacked(self.matched, _BITS).reshape(*_SHAPE, len(self.scores)),
            ignored=_unpacked(self.ignored, _BITS).reshape(*_SHAPE, len(self.scores)),
            truth_classes=np.array(self.truth_classes, np.int64),
            counted=_unpacked(self.counted, _SHAPE[0]),
        )

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the record whose fields a JSON file holds.

        Raises:
            KeyError, TypeError, ValueError: fields of something else.
        """
        scores, *columns = (tuple(fields[field.name]) for field in dataclasses.fields(cls))
        classes, matched, ignored, truth_classes, counted = (tuple(map(int, column)) for column in columns)
        return cls(
            scores=tuple(map(float, scores)),
            classes=classes,
            matched=matched,
            ignored=ignored,
            truth_classes=truth_classes,
            counted=counted,
        )


def _packed(flags: Bool[np.ndarray, "bits n"]) -> tuple[int, ...]:
    return tuple((2 ** np.arange(len(flags)) @ flags.astype(np.int64)).tolist())


def _unpacked(values: tuple[int, ...], bits: int) -> Bool[np.ndarray, "bits n"]:
    return (np.array(values, np.int64) >> np.arange(bits)[:, None]) & 1 == 1
