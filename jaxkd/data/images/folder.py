"""Folders of images and masks."""

import dataclasses
import functools
import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np

from jaxkd.data.images import reading
from jaxkd.data.images.file_stamps import Stamp, stamp, stamped_sha256, warn_of_equal_files
from jaxkd.data.images.folder_layout import ImagePair, require_group_pattern, split_pairs
from jaxkd.data.images.lazy_examples import LazyExamples
from jaxkd.data.images.source import ImageExample, ImageSource, require_disjoint_groups
from jaxkd.records import UNLABELLED
from jaxkd.typing import Split

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFolder(ImageSource):
    """Images with masks of one foreground class, in one of two layouts.

    ```
    images/ masks/
    train/images/ train/masks/ val/images/ val/masks/ test/images/ test/masks/
    ```

    A folder `unlabelled` beside `images`, or in `train`, has images without masks, for training: all of their pixels
    are `jaxkd.records.UNLABELLED`.

    An image and its mask have the same stem, to which the mask's may add `_segmentation` or `_mask`; files are JPEG,
    PNG, BMP or TIFF.  `jaxkd.data.images.reading` says how each kind is read, and which masks are accepted.

    In the second layout, `val` is the validation split where there is a `test`; without it, `val` is the test split, as
    published results of this layout have it, and `test` may be missing beside it or instead of it.  Splits without a
    folder are cut out of `train`, or of the flat layout, by a hash of the group: about a tenth of the groups each.

    Images are resized to `height` and `width`, bilinearly with antialiasing, without regard to their proportions; masks
    in the same way, as 0 and 1, with foreground from one half on.
    """

    path: str
    """Path of the folder."""
    height: int = 256
    """Height of the images, in pixels."""
    width: int = 256
    """Width of the images, in pixels."""
    group_pattern: str | None = None
    """Regular expression whose first group names the patient, where it is found in a key (`train/ISIC_0000001`); None
    makes each stem a group.  `"(.+)"` makes each file one, for folders that number their images alike."""
    mask_threshold: int | None = None
    """Grey level, from 1 to 255, from which a pixel of an antialiased or JPEG mask is foreground; None refuses such
    masks, since their values may be classes."""
    memory_mib: int = 256
    """Memory for resized images of each split, in MiB; those beyond it are read again in each epoch."""

    def __post_init__(self) -> None:
        for name, least in {"height": 1, "width": 1, "memory_mib": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.mask_threshold is not None and not 1 <= self.mask_threshold <= 255:
            raise ValueError(f"mask_threshold must be in [1, 255], or None, got {self.mask_threshold}.")
        if self.group_pattern is not None:
            require_group_pattern(self.group_pattern)

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    def examples(self, split: Split) -> Sequence[ImageExample]:
        """Return the examples of a split, in the order of their keys; files are read when they are indexed.

        Raises:
            ValueError: files that do not pair, or a folder without images; when indexed, a file that cannot be used.
            FileNotFoundError: a missing folder.
        """
        return _examples(self, _stamped(self._pairs(split)))

    def groups(self, split: Split) -> list[tuple[str, str]]:
        return [(pair.key, pair.group) for pair in self._pairs(split)]

    def validate(self) -> None:
        """Read every file, and compare the groups of the splits; equal images in two splits are logged.

        Raises:
            ValueError: files that cannot be used (all are counted, the first is shown), or a group in two splits.
            FileNotFoundError: a missing folder.
        """
        require_disjoint_groups(self)
        _validate(self, tuple((split, _stamped(self._pairs(split))) for split in get_args(Split)))

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of names and contents of the files of a split."""
        whole = hashlib.sha256()
        for pair, image, mask in _stamped(self._pairs(split)):
            hashed = "" if pair.mask is None or mask is None else stamped_sha256(pair.mask, mask)
            whole.update(f"{pair.key}\0{stamped_sha256(pair.image, image)}\0{hashed}\n".encode())
        return {"path": whole.hexdigest()}

    def _folder(self) -> Path:
        return Path(self.path).expanduser()

    def _pairs(self, split: Split) -> tuple[ImagePair, ...]:
        return split_pairs(self._folder(), group_pattern=self.group_pattern)[split]


_Stamped = tuple[tuple[ImagePair, Stamp, Stamp | None], ...]


def _stamped(pairs: Sequence[ImagePair]) -> _Stamped:
    return tuple((pair, stamp(pair.image), None if pair.mask is None else stamp(pair.mask)) for pair in pairs)


@functools.lru_cache(maxsize=6)
def _examples(folder: ImageFolder, stamped: _Stamped) -> LazyExamples:
    """Share what was read between all who read a split, until a file changes."""

    def read(index: int) -> ImageExample:
        return _read(stamped[index][0], folder)

    return LazyExamples(read, len(stamped), most_bytes=folder.memory_mib * 2**20)


def _read(pair: ImagePair, folder: ImageFolder) -> ImageExample:
    image = reading.read_image(pair.image)
    if pair.mask is None:
        resized = reading.resize_image(image, *folder.size)
        unlabelled = np.full(folder.size, UNLABELLED, np.uint8)
        return ImageExample(key=pair.key, group=pair.group, image=resized, target=unlabelled)
    mask = reading.read_mask(pair.mask, threshold=folder.mask_threshold)
    if mask.shape != image.shape[:2]:
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        turned = " The image is upright by its EXIF: turn the mask too." if mask.shape == image.shape[1::-1] else ""
        raise ValueError(
            f"{pair.mask} must have the size of {pair.image}, {height} x {width}, got {mask_height} x "
            f"{mask_width}.{turned}"
        )
    return ImageExample(
        key=pair.key,
        group=pair.group,
        image=reading.resize_image(image, *folder.size),
        target=reading.resize_mask(mask, *folder.size),
    )


@functools.lru_cache(maxsize=8)
def _validate(folder: ImageFolder, splits: tuple[tuple[Split, _Stamped], ...]) -> None:
    """Check files once per process, until one changes."""
    errors: list[ValueError] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _, stamped in splits:
            errors += filter(None, pool.map(functools.partial(_error, _examples(folder, stamped)), range(len(stamped))))
    if errors:
        more = f" {len(errors)} pairs of image and mask in {folder.path} cannot be used." if len(errors) > 1 else ""
        raise ValueError(f"{errors[0]}{more}")
    for split, stamped in splits:
        _log.info("%s: %d images in %s", folder.path, len(stamped), split)
        if not stamped:
            _log.warning("%s: no group falls into the %s split; it is empty", folder.path, split)
    files = {split: [(pair.key, pair.image, image) for pair, image, _ in stamped] for split, stamped in splits}
    warn_of_equal_files(files, _log)


def _error(examples: Sequence[ImageExample], index: int) -> ValueError | None:
    try:
        examples[index]
    except ValueError as error:
        return error
    return None
