"""Images with boxes in the format of COCO, of one modality or of a visible and an infrared camera."""

import dataclasses
import functools
import hashlib
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8

from jaxkd.data.images import reading
from jaxkd.data.images.detection.coco_counts import CocoCounts, count_objects, require_learnt_classes
from jaxkd.data.images.detection.coco_json import CocoFile
from jaxkd.data.images.detection.coco_layout import CocoRow, coco_files, coco_rows
from jaxkd.data.images.detection.letterbox import Letterbox
from jaxkd.data.images.detection.padding import pad_boxes
from jaxkd.data.images.detection.source import DetectionSource
from jaxkd.data.images.detection.thermal_range import measure_range, percentile_range, scale_counts
from jaxkd.data.images.file_stamps import Stamp, stamp, stamped_sha256, warn_of_equal_files
from jaxkd.data.images.folder_layout import require_group_pattern
from jaxkd.data.images.lazy_examples import LazyExamples
from jaxkd.data.images.source import ImageExample, require_disjoint_groups
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

Modalities = Literal["visible", "infrared", "both"]
"""Cameras whose images are read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CocoFolder(DetectionSource):
    """Images with boxes that JSON files in the format of COCO list, one file a split.

    ```
    annotations/train.json annotations/validation.json annotations/test.json
    visible/ infrared/                                                        or images/
    ```

    A split without a file is cut out of `train` by a hash of the group: about a tenth of the groups.  The target of an
    image is its `jaxkd.records.Boxes`, padded to the largest number in any image; crowds (`iscrowd`) are ignored
    objects.  An image without objects is an example like any other.

    With both modalities, an image has four channels, thermal last; with `infrared` alone, the thermal one three times.
    The two files of an image have one name, possibly with different endings, and one size; they share the boxes.
    `jaxkd.data.images.reading` says how files are read.  Thermal images of 8 bits stay as they are; those of 16 bits
    are scaled to 8 by `thermal_range`.

    Images are resized to `height` and `width` with their proportions kept, in the middle of black borders
    (`jaxkd.data.images.detection.letterbox`).  Boxes that go beyond an image's edge are clipped to it.  `counts` says
    how many there are, and how many images of a modality are black, which is allowed: a camera may fail.

    Boxes are those of the upright image.  Where an image is turned by EXIF and its size in the JSON file cannot tell
    whether they are, it is refused.
    """

    path: str
    """Path of the folder."""
    train: str | None = None
    """JSON file of the training split, within the folder or absolute; None: `annotations/train.json`."""
    validation: str | None = None
    """JSON file of the validation split; None: `annotations/validation.json`, if there is one."""
    test: str | None = None
    """JSON file of the test split; None: `annotations/test.json`, if there is one."""
    modalities: Modalities = "visible"
    """Cameras whose images are read."""
    visible: str | None = None
    """Folder of visible images within the folder; None: `visible`, or `images` where there is no `visible`."""
    infrared: str = "infrared"
    """Folder of thermal images within the folder."""
    height: int = 512
    """Height of the images, in pixels."""
    width: int = 640
    """Width of the images, in pixels."""
    thermal_range: tuple[float, float] | Literal["train", "image"] = "train"
    """Counts of a 16-bit thermal image that become 0 and 255; those between are scaled linearly.  "train": the 1st and
    the 99th percentile of all pixels of the training split, which is read for it (and logged, to be given instead).
    "image": those of each image, which takes the temperature away from the network."""
    group_pattern: str | None = None
    """Regular expression whose first group names the group, such as a scene, where it is found in a key, the path
    of the file without its ending; None makes each stem a group."""
    memory_mib: int = 256
    """Memory for resized images of each split, in MiB; those beyond it are read again in each epoch."""

    def __post_init__(self) -> None:
        for name, least in {"height": 1, "width": 1, "memory_mib": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.modalities not in get_args(Modalities):
            raise ValueError(f"modalities must be one of {', '.join(get_args(Modalities))}, got {self.modalities!r}.")
        if isinstance(self.thermal_range, str):
            if self.thermal_range not in ("train", "image"):
                raise ValueError(f"thermal_range must be two counts, 'train' or 'image', got {self.thermal_range!r}.")
        elif not 0 <= self.thermal_range[0] < self.thermal_range[1] < 2**16:
            raise ValueError(
                f"thermal_range must be two counts in [0, 65535], the smaller one first, got {self.thermal_range}."
            )
        if self.group_pattern is not None:
            require_group_pattern(self.group_pattern)

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class, in the order of the categories' ids.

        Raises:
            ValueError: a JSON file that cannot be used.
            FileNotFoundError: a missing folder or file.
        """
        return tuple(name for _, name in self._files()["train"].categories)

    def examples(self, split: Split) -> Sequence[ImageExample]:
        """Return the examples of a split, in the order of their keys; images are read when they are indexed.

        Raises:
            ValueError: a JSON file that cannot be used, or files that do not pair; when indexed, an image that cannot
                be used.
            FileNotFoundError: a missing folder or file.
        """
        rows = self._rows()
        return _examples(self, _stamped(rows[split]), _stamped(rows["train"]), _most_objects(rows))

    def groups(self, split: Split) -> list[tuple[str, str]]:
        return [(row.image.key, row.group) for row in self._rows()[split]]

    def validate(self) -> None:
        """Read every file, compare classes and groups of the splits, and log what `counts` returns.

        Equal images in two splits are logged as warnings.

        Raises:
            ValueError: files that cannot be used (all are counted, the first is shown), a group in two splits, or
                objects of a class that no training image has.
            FileNotFoundError: a missing folder or file.
        """
        rows = self._rows()
        require_disjoint_groups(self)
        require_learnt_classes(self.classes, rows)
        stamped = {split: _stamped(members) for split, members in rows.items()}
        _readable(self, tuple(one for members in stamped.values() for one in members))
        for split, members in rows.items():
            _log.info("%s: %s has %s", self.path, split, self.counts(split))
            if not members:
                _log.warning("%s: no group falls into the %s split; it is empty", self.path, split)
        for modality in range(len(self._folders())):
            files = {
                split: [(row.image.key, row.files[modality], stamps[modality]) for row, stamps in members]
                for split, members in stamped.items()
            }
            warn_of_equal_files(files, _log)

    def counts(self, split: Split) -> CocoCounts:
        """Return numbers of images, objects and oddities of a split, for which all of its images are read.

        Raises:
            ValueError: files that cannot be used.
            FileNotFoundError: a missing folder or file.
        """
        rows = self._rows()[split]
        inspected = _readable(self, _stamped(rows))
        black = {
            folder.name: sum(one.black[modality] for one in inspected)
            for modality, folder in enumerate(self._folders())
        }
        return count_objects(self.classes, rows, black=black)

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of the boxes of a split, and of names and contents of its images."""
        whole = hashlib.sha256("\0".join(self.classes).encode())
        for row, stamps in _stamped(self._rows()[split]):
            files = [stamped_sha256(path, stamped) for path, stamped in zip(row.files, stamps, strict=True)]
            whole.update("\0".join([row.image.key, *files]).encode())
            for array in (row.image.corners, row.image.classes, row.image.crowds):
                whole.update(array.tobytes())
        return {"path": whole.hexdigest()}

    def _folder(self) -> Path:
        return Path(self.path).expanduser()

    def _folders(self) -> tuple[Path, ...]:
        """Return the folder of each modality that is read."""
        folder = self._folder()
        name = self.visible or ("visible" if (folder / "visible").is_dir() else "images")
        folders = {"visible": (folder / name,), "infrared": (folder / self.infrared,)}
        return folders["visible"] + folders["infrared"] if self.modalities == "both" else folders[self.modalities]

    def _files(self) -> dict[Split, CocoFile]:
        named: dict[Split, str | None] = {"train": self.train, "validation": self.validation, "test": self.test}
        return coco_files(self._folder(), named)

    def _rows(self) -> dict[Split, tuple[CocoRow, ...]]:
        return coco_rows(self._files(), self._folders(), group_pattern=self.group_pattern)


_Stamped = tuple[tuple[CocoRow, tuple[Stamp, ...]], ...]


def _stamped(rows: Sequence[CocoRow]) -> _Stamped:
    return tuple((row, tuple(map(stamp, row.files))) for row in rows)


def _most_objects(rows: Mapping[Split, Sequence[CocoRow]]) -> int:
    return max(1, *(len(row.image.classes) for members in rows.values() for row in members))


@functools.lru_cache(maxsize=6)
def _examples(folder: CocoFolder, stamped: _Stamped, train: _Stamped, objects: int) -> LazyExamples:
    """Share what was read between all who read a split, until a file changes."""

    def read(index: int) -> ImageExample:
        row, _ = stamped[index]
        image, letterbox = row.image, Letterbox(own=row.image.size, size=folder.size)
        pixels = _pixels(folder, row, train)
        corners = letterbox.corners(image.corners)
        return ImageExample(
            key=image.key,
            group=row.group,
            image=letterbox.image(pixels),
            target=pad_boxes(corners, classes=image.classes, ignored=image.crowds, rows=objects),
        )

    return LazyExamples(read, len(stamped), most_bytes=folder.memory_mib * 2**20)


def _pixels(folder: CocoFolder, row: CocoRow, train: _Stamped) -> UInt8[np.ndarray, "h w c"]:
    """Return the channels of an image in its own size."""
    levels = _levels(folder, row)
    channels = [one if one.ndim == 3 else _grey(folder, one, train)[..., None] for one in levels]
    return np.concatenate(channels, axis=-1) if folder.modalities != "infrared" else channels[0].repeat(3, axis=-1)


def _grey(folder: CocoFolder, thermal: np.ndarray, train: _Stamped) -> UInt8[np.ndarray, "h w"]:
    if thermal.dtype == np.uint8:
        return thermal
    if folder.thermal_range == "image":
        low, high = percentile_range(np.bincount(thermal.ravel()))
    elif folder.thermal_range == "train":
        with _MEASURING:
            low, high = _measured(tuple((row.files[-1], stamps[-1]) for row, stamps in train))
    else:
        low, high = folder.thermal_range
    return scale_counts(thermal, low=low, high=high)


_MEASURING = threading.Lock()
"""Held while the training split is measured, so that one thread does it for all."""


@functools.lru_cache(maxsize=4)
def _measured(files: tuple[tuple[Path, Stamp], ...]) -> tuple[int, int]:
    found = measure_range([path for path, _ in files])
    _log.info("thermal_range=%s: 1st and 99th percentile of %d thermal training images", found, len(files))
    return found


def _levels(folder: CocoFolder, row: CocoRow) -> list[np.ndarray]:
    """Return the colours, the levels of the thermal image or both, after a check of sizes and orientation."""
    kinds = ("visible", "infrared") if folder.modalities == "both" else (folder.modalities,)
    readers = {"visible": reading.read_image, "infrared": reading.read_thermal}
    found: list[np.ndarray] = [readers[kind](path) for kind, path in zip(kinds, row.files, strict=True)]
    (height, width), (first, last) = row.image.size, (found[0].shape[:2], found[-1].shape[:2])
    if first != last:
        raise ValueError(
            f"{row.files[-1]} must have the size of {row.files[0]}, {first[0]} x {first[1]}, got {last[0]} x "
            f"{last[1]}. Resize or crop one, so that both show the same scene."
        )
    if first != (height, width):
        turned = (
            " The image is upright by its EXIF: give the boxes of the upright image."
            if first == (width, height)
            else ""
        )
        raise ValueError(
            f"{row.files[0]} must have the size that {row.annotations} lists, {height} x {width}, got {first[0]} x "
            f"{first[1]}.{turned}"
        )
    for path in row.files:
        orientation = reading.read_orientation(path)
        if orientation in (2, 3, 4) or (orientation > 4 and height == width):
            raise ValueError(
                f"{path} must not be turned by EXIF (orientation {orientation}) in a way that its size does not show: "
                "its boxes may be those of the file or of the upright image. Save it upright, without EXIF."
            )
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Inspected:
    """Properties of the files of one image."""

    black: tuple[bool, ...]
    """Whether the image of each modality is all zeros."""
    bits: int
    """Bits of the last one's levels."""


@functools.lru_cache(maxsize=2**17)
def _inspected(folder: CocoFolder, row: CocoRow, stamps: tuple[Stamp, ...]) -> _Inspected | ValueError:
    """Read an image once per process, until a file changes."""
    del stamps
    try:
        levels = _levels(folder, row)
    except ValueError as error:
        return error
    return _Inspected(black=tuple(not one.any() for one in levels), bits=8 * levels[-1].dtype.itemsize)


def _readable(folder: CocoFolder, stamped: _Stamped) -> list[_Inspected]:
    """Return the properties of images, all of which can be used."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        inspected = list(pool.map(lambda one: _inspected(folder, *one), stamped))
    errors = [one for one in inspected if isinstance(one, ValueError)]
    if errors:
        more = f" {len(errors)} images of {folder.path} cannot be used." if len(errors) > 1 else ""
        raise ValueError(f"{errors[0]}{more}")
    found = [one for one in inspected if isinstance(one, _Inspected)]
    depths = {one.bits: row.files[-1] for (row, _), one in zip(stamped, found, strict=True)}
    if len(depths) > 1:
        raise ValueError(
            f"thermal images must have 8 bits, or 16, in all of {folder.path}, got 8 in {depths[8]} and 16 in "
            f"{depths[16]}. Convert them."
        )
    return found
