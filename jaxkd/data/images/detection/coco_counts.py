"""Numbers of images and objects of a split, and classes that only one split has."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from jaxkd.data.images.detection.coco_layout import CocoRow
from jaxkd.typing import Split

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CocoCounts:
    """Numbers of a split; as text, one line."""

    images: int
    """Images."""
    without_objects: int
    """Images without objects."""
    black: tuple[tuple[str, int], ...]
    """Folder of each modality, and the number of its images that are all zeros."""
    objects: tuple[tuple[str, int], ...]
    """Name of each class, and the number of its objects, crowds included."""
    crowds: int
    """Objects that are crowds, which are ignored."""
    clipped: int
    """Objects whose boxes went beyond their image and were clipped."""

    def __str__(self) -> str:
        black = "".join(f", {count} black in {name}" for name, count in self.black)
        objects = ", ".join(f"{name} {count}" for name, count in self.objects)
        total = sum(count for _, count in self.objects)
        return (
            f"{self.images} images ({self.without_objects} without objects{black}) and {total} objects "
            f"({self.crowds} crowds, {self.clipped} clipped): {objects}"
        )


def count_objects(classes: Sequence[str], rows: Sequence[CocoRow], *, black: Mapping[str, int]) -> CocoCounts:
    """Return the numbers of a split.

    Args:
        classes: names of the classes.
        rows: images of the split.
        black: number of images that are all zeros, by the folder of their modality.
    """
    found = [int(number) for row in rows for number in row.image.classes]
    return CocoCounts(
        images=len(rows),
        without_objects=sum(not len(row.image.classes) for row in rows),
        black=tuple(black.items()),
        objects=tuple((name, found.count(number)) for number, name in enumerate(classes)),
        crowds=sum(int(row.image.crowds.sum()) for row in rows),
        clipped=sum(row.image.clipped for row in rows),
    )


def require_learnt_classes(classes: Sequence[str], splits: Mapping[Split, Sequence[CocoRow]]) -> None:
    """Reject objects of a class that no training image has; classes that only training has are logged.

    Args:
        classes: names of the classes.
        splits: images of each split.

    Raises:
        ValueError: a class with objects in validation or test and none in training.
    """
    seen = {split: {int(number) for row in rows for number in row.image.classes} for split, rows in splits.items()}
    for split, rows in splits.items():
        unlearnt = sorted(seen[split] - seen["train"])
        if unlearnt:
            example = next(row for row in rows if unlearnt[0] in row.image.classes)
            names = ", ".join(classes[number] for number in unlearnt)
            raise ValueError(
                f"{example.annotations}: every class must have objects in the training split, got {names} in {split} "
                f"alone, for example in {example.image.file_name}. Delete the class, or move some of its images."
            )
        if rows and (missing := sorted(seen["train"] - seen[split])):
            names = ", ".join(classes[number] for number in missing)
            _log.warning("%s has no objects of %s: %s cannot tell how well they are found", split, names, split)
