"""Pairs of image and mask files in a folder, and their splits."""

import dataclasses
import functools
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from jaxkd.data.examples import stable_split
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
"""Endings of files that are read, in any case."""

MASK_ENDINGS = ("_segmentation", "_mask")
"""Endings of a mask's stem beyond that of its image."""

UNLABELLED_FOLDER = "unlabelled"
"""Folder of training images without masks."""

_PARTS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagePair:
    """An image file, and its mask."""

    key: str
    """Path of the image within the folder, without `images` and the suffix: `train/ISIC_0000001`, or
    `train/unlabelled/ISIC_0000002`."""
    group: str
    """Group, all of whose pairs are in one split."""
    image: Path
    mask: Path | None
    """None for an image that is unlabelled."""


def split_pairs(folder: Path, *, group_pattern: str | None = None) -> dict[Split, tuple[ImagePair, ...]]:
    """Return the pairs of each split, in the order of their keys; `ImageFolder` says which are where.

    Args:
        folder: folder with `images` and `masks`, or with `train`, `val` and `test`, which have them; beside those for
            training there may be a folder `unlabelled`, of training images without masks.
        group_pattern: regular expression whose first group, where it is found in a key, is the pair's group.  None: the
            stem of the image.

    Raises:
        ValueError: neither layout or both, a folder without images, files that do not pair, or a key without a group.
        FileNotFoundError: a missing folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"ImageFolder.path must name an existing folder, got {str(folder)!r} ({folder.absolute()})."
        )
    flat = [name for name in ("images", "masks") if (folder / name).is_dir()]
    parts = [name for name in _PARTS if (folder / name).is_dir()]
    if bool(flat) == bool(parts) or (parts and "train" not in parts):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise ValueError(
            f"{folder} must hold images/ and masks/, or train/ and possibly val/ and test/, each of which holds "
            f"images/ and masks/, got {found}."
        )
    found = _split_pairs(folder, parts, group_pattern)
    unlabelled = _unlabelled(folder / "train" if parts else folder, "train/" if parts else "", group_pattern)
    found["train"] += unlabelled
    return found


def _split_pairs(folder: Path, parts: Sequence[str], group_pattern: str | None) -> dict[Split, tuple[ImagePair, ...]]:
    """Return the pairs that have masks."""
    if not parts:
        return _by_hash(_pairs(folder, "", group_pattern), ("train", "validation", "test"))
    train, *others = (_pairs(folder / part, f"{part}/", group_pattern) for part in parts)
    splits: dict[Split, tuple[ImagePair, ...]] = {}
    if others:
        splits["test"] = others[-1]
    if len(others) == 2:
        splits["train"], splits["validation"] = train, others[0]
        return splits
    cut: tuple[Split, ...] = ("train", "validation") if others else ("train", "validation", "test")
    return _by_hash(train, cut) | splits


def _by_hash(pairs: Sequence[ImagePair], splits: Sequence[Split]) -> dict[Split, tuple[ImagePair, ...]]:
    """Divide pairs by the hash of their group; what falls into a split that is not asked for is for training."""
    found: dict[Split, list[ImagePair]] = {split: [] for split in splits}
    for pair in pairs:
        split = stable_split(pair.group)
        found[split if split in found else "train"].append(pair)
    return {split: tuple(members) for split, members in found.items()}


def _pairs(folder: Path, prefix: str, group_pattern: str | None) -> tuple[ImagePair, ...]:
    images, masks = _by_stem(folder / "images"), {}
    for stem, path in _by_stem(folder / "masks").items():
        endings = (stem.removesuffix(ending) for ending in MASK_ENDINGS)
        owner = next((one for one in (stem, *endings) if one in images), None)
        if owner is None:
            raise ValueError(
                f"{path} must have an image, got none named {stem}, with or without {' or '.join(MASK_ENDINGS)}, in "
                f"{folder / 'images'}. Add it, or delete the mask."
            )
        if owner in masks:
            raise ValueError(
                f"{images[owner]} must have one mask, got {masks[owner].name} and {path.name}. Delete one."
            )
        masks[owner] = path
    missing = [path for stem, path in images.items() if stem not in masks]
    if missing:
        raise ValueError(
            f"{missing[0]} must have a mask, got none in {folder / 'masks'} with its name, with or without "
            f"{' or '.join(MASK_ENDINGS)}; {len(missing)} of {len(images)} images have none. Add them: the mask of "
            "an image without foreground is all zeros."
        )
    return tuple(
        ImagePair(key=prefix + stem, group=group_of(prefix + stem, path, group_pattern), image=path, mask=masks[stem])
        for stem, path in images.items()
    )


def _unlabelled(folder: Path, prefix: str, group_pattern: str | None) -> tuple[ImagePair, ...]:
    if not (folder / UNLABELLED_FOLDER).is_dir():
        return ()
    keys = {f"{prefix}{UNLABELLED_FOLDER}/{stem}": path for stem, path in _by_stem(folder / UNLABELLED_FOLDER).items()}
    return tuple(
        ImagePair(key=key, group=group_of(key, path, group_pattern), image=path, mask=None)
        for key, path in keys.items()
    )


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by their stems, sorted."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} must exist: it holds the {folder.name} of {folder.parent}.")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    found: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() in SUFFIXES:
            if path.stem in found:
                raise ValueError(f"{path} must have a name of its own, got {found[path.stem].name} too. Delete one.")
            found[path.stem] = path
    ignored = [path.name for path in files if path.suffix.lower() not in SUFFIXES]
    if not found:
        other = f"files named {', '.join(ignored[:4])}" if ignored else "an empty folder"
        raise ValueError(f"{folder} must hold at least one file of {', '.join(SUFFIXES)}, got {other}.")
    if ignored:
        _log_ignored(folder, tuple(ignored))
    return dict(sorted(found.items()))


def require_group_pattern(pattern: str) -> None:
    """Reject a pattern that cannot name a group.

    Raises:
        ValueError: no regular expression, or one without a group.
    """
    try:
        groups = re.compile(pattern).groups
    except re.error:
        groups = 0
    if not groups:
        raise ValueError(
            f"group_pattern must be a regular expression with a group, got {pattern!r}. Put parentheses around the "
            "name of the patient, or of whatever else is to be in one split."
        )


def group_of(key: str, image: Path, pattern: str | None) -> str:
    """Return what the first group of a pattern finds in a key; the stem of the image without a pattern.

    Raises:
        ValueError: a key in which it finds nothing.
    """
    if pattern is None:
        return image.stem
    found = re.search(pattern, key)
    if found is None or not found[1]:
        raise ValueError(
            f"group_pattern must be found in every key, with its first group, got {pattern!r} for {key!r} ({image})."
        )
    return found[1]


@functools.cache
def _log_ignored(folder: Path, names: tuple[str, ...]) -> None:
    """Log once per process."""
    _log.info("%s: %d files are not images and are ignored: %s", folder, len(names), ", ".join(names[:4]))
