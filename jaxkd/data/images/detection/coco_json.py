"""Images and boxes of a JSON file in the format of COCO, with everything checked that the file alone can tell.

The format is COCO's: `images` with `id`, `file_name`, `height` and `width`; `annotations` with `id`, `image_id`,
`category_id`, `bbox` (left, top, width and height in pixels) and possibly `iscrowd`; `categories` with `id` and `name`.
Other fields, such as masks and `area`, are not read.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxkd.data.images.file_stamps import Stamp, stamp

_LISTS = ("images", "annotations", "categories")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CocoImage:
    """An image of the file, and the objects in it."""

    file_name: str
    """Path within the folder of images."""
    size: tuple[int, int]
    """Height and width, in pixels."""
    corners: Float[np.ndarray, "n 4"]
    """Left, top, right and bottom edge of each object, clipped to the image, in pixels."""
    classes: Int[np.ndarray, " n"]
    """Position of each object's category among those of the file."""
    crowds: Bool[np.ndarray, " n"]
    """Whether each is a crowd that was not taken apart."""
    clipped: int
    """Number of boxes that went beyond the image's edges."""

    @property
    def key(self) -> str:
        """`file_name` without its ending."""
        return str(PurePosixPath(self.file_name).with_suffix(""))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CocoFile:
    """Contents of one file."""

    path: Path
    categories: tuple[tuple[int, str], ...]
    """Id and name of each category, by id."""
    images: tuple[CocoImage, ...]
    """Images, by key."""


def read_coco(path: Path) -> CocoFile:
    """Read a file, once until it changes.

    Raises:
        ValueError: a file in another format, or an image, annotation or category that cannot be right; the file and the
            id are named.
        FileNotFoundError: a missing file.
    """
    return _read(path, stamp(path))


@functools.lru_cache(maxsize=8)
def _read(path: Path, stamp: Stamp) -> CocoFile:
    del stamp  # a changed file is read again
    lists = _lists(path)
    categories = _by_id(path, "category", lists["categories"], {"name": str})
    if not categories:
        raise ValueError(f"{path} must have at least one category, got none.")
    names = [entry["name"] for entry in categories.values()]
    if repeated := _repeated(names):
        raise ValueError(f"{path}: categories must have a name each, got {repeated!r} twice. Rename one.")
    classes = {number: place for place, number in enumerate(sorted(categories))}

    images = _by_id(path, "image", lists["images"], {"file_name": str, "height": int, "width": int})
    if not images:
        raise ValueError(f"{path} must list at least one image, got none.")
    _require_files(path, images)
    annotations: dict[int, list[tuple[int, Mapping[str, Any]]]] = {number: [] for number in images}
    required = {"image_id": int, "category_id": int, "bbox": list}
    for number, entry in _by_id(path, "annotation", lists["annotations"], required).items():
        if entry["image_id"] not in images:
            raise ValueError(
                f"{path}: annotation {number} must be of a listed image, got image_id {entry['image_id']}, which none "
                "of the images has. Add the image, or delete the annotation."
            )
        if entry["category_id"] not in classes:
            listed = ", ".join(f"{one} ({categories[one]['name']})" for one in classes)
            raise ValueError(
                f"{path}: annotation {number} must be of a listed category, got category_id {entry['category_id']}. "
                f"The categories are {listed}."
            )
        annotations[entry["image_id"]].append((number, entry))
    found = [_image(path, entry, annotations[number], classes) for number, entry in images.items()]
    return CocoFile(
        path=path,
        categories=tuple((number, categories[number]["name"]) for number in classes),
        images=tuple(sorted(found, key=lambda image: image.key)),
    )


def _lists(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON in the format of COCO, got {error}.") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in _LISTS):
        got = (
            f"the keys {', '.join(map(str, content)) or 'none'}"
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise ValueError(
            f"{path} must be in the format of COCO, an object with the lists {', '.join(_LISTS)}, got {got}. Convert "
            "the annotations first."
        )
    return content


def _by_id(path: Path, kind: str, entries: Sequence[Any], required: Mapping[str, type]) -> dict[int, Mapping[str, Any]]:
    """Return the entries of a list by their ids, after a check of their fields."""
    found: dict[int, Mapping[str, Any]] = {}
    for place, entry in enumerate(entries):
        fields = entry if isinstance(entry, dict) else {}
        for name, type_ in {"id": int, **required}.items():
            if not isinstance(fields.get(name), type_) or isinstance(fields.get(name), bool):
                raise ValueError(
                    f"{path}: {kind} {fields.get('id', f'number {place}')} must have a field {name} of type "
                    f"{type_.__name__}, got {fields.get(name)!r}."
                )
        if entry["id"] in found:
            raise ValueError(f"{path}: every {kind} must have an id of its own, got {entry['id']} twice. Change one.")
        found[entry["id"]] = entry
    return found


def _require_files(path: Path, images: Mapping[int, Mapping[str, Any]]) -> None:
    """Reject images that share a file, or whose file is not within the folder, or that have no size."""
    listed: dict[str, int] = {}
    for number, entry in images.items():
        name = PurePosixPath(entry["file_name"])
        if not name.name or name.is_absolute() or ".." in name.parts:
            raise ValueError(
                f"{path}: image {number} must have a file_name within the folder of images, got {str(name)!r}. Give "
                "the path relative to that folder."
            )
        other = listed.setdefault(str(name.with_suffix("")), number)
        if other != number:
            raise ValueError(
                f"{path}: a file must be listed once, got {entry['file_name']} as image {other} and image {number}, "
                "with or without its ending. Merge the two."
            )
        if min(entry["height"], entry["width"]) < 1:
            raise ValueError(
                f"{path}: image {number} must be at least 1 pixel high and wide, got {entry['height']} x "
                f"{entry['width']}."
            )


def _image(
    path: Path,
    entry: Mapping[str, Any],
    annotations: Sequence[tuple[int, Mapping[str, Any]]],
    classes: Mapping[int, int],
) -> CocoImage:
    size = entry["height"], entry["width"]
    whole = np.array([_corners(f"{path}: annotation {number}", one, size) for number, one in annotations])
    whole = whole.reshape(-1, 4)
    corners = np.clip(whole, 0, np.array([size[1], size[0]] * 2))
    return CocoImage(
        file_name=entry["file_name"],
        size=size,
        corners=corners,
        classes=np.array([classes[one["category_id"]] for _, one in annotations], np.int32),
        crowds=np.array([_crowd(f"{path}: annotation {number}", one) for number, one in annotations], bool),
        clipped=int((corners != whole).any(axis=1).sum()),
    )


def _corners(name: str, annotation: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the edges of a box, of which some part is within the image."""
    box = annotation["bbox"]
    numbers = [isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one) for one in box]
    if len(box) != 4 or not all(numbers):
        raise ValueError(
            f"{name} must have a bbox of four finite numbers, left, top, width and height, got {box}. Delete it, or "
            "draw it again."
        )
    left, top, width, height = box
    if min(width, height) < 0:
        raise ValueError(
            f"{name} must have a bbox of positive width and height, got {box}: it is inverted. If it holds left, "
            "top, right and bottom, convert it."
        )
    right, bottom = left + width, top + height
    if right == left or bottom == top:
        raise ValueError(f"{name} must have a bbox with an area, got {box}. Delete it, or draw it again.")
    if left >= size[1] or top >= size[0] or right <= 0 or bottom <= 0:
        raise ValueError(
            f"{name} must have a bbox that is at least partly within the image of {size[0]} x {size[1]} pixels (height "
            f"x width), got {box}. If it holds fractions of the size, multiply them."
        )
    return left, top, right, bottom


def _crowd(name: str, annotation: Mapping[str, Any]) -> bool:
    crowd = annotation.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise ValueError(f"{name} must have an iscrowd of 0 or 1, got {crowd!r}.")
    return bool(crowd)


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
