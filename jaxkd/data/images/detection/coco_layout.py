"""Files of a data set in the format of COCO: which JSON file has which split, and which files belong to an image."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from jaxkd.data.examples import stable_split
from jaxkd.data.images.detection.coco_json import CocoFile, CocoImage, read_coco
from jaxkd.data.images.folder_layout import SUFFIXES, group_of
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class CocoRow:
    """An image with its objects, its files and its group."""

    annotations: Path
    """JSON file that lists it."""
    image: CocoImage
    group: str
    """Group, all of whose images are in one split."""
    files: tuple[Path, ...]
    """File of each modality that is read."""


def coco_files(folder: Path, named: Mapping[Split, str | None]) -> dict[Split, CocoFile]:
    """Return the contents of the JSON file of each split that has one, the training split at least.

    Args:
        folder: folder of the data set.
        named: path of each split's file, within the folder or absolute; None: `annotations/SPLIT.json`, which only the
            training split must have.

    Raises:
        ValueError: as `read_coco`, or files of different categories.
        FileNotFoundError: a missing folder, or a missing file that is named or that of the training split.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"CocoFolder.path must name an existing folder, got {str(folder)!r} ({folder.absolute()})."
        )
    found: dict[Split, CocoFile] = {}
    for split, name in named.items():
        path = folder / Path(name or f"annotations/{split}.json").expanduser()
        if path.is_file():
            found[split] = read_coco(path)
        elif name is not None or split == "train":
            raise FileNotFoundError(
                f"{path} must exist: it has the boxes of the {split} split. If it has another name, give it as "
                f"CocoFolder.{split}."
            )
    for split, file in found.items():
        if file.categories != found["train"].categories:
            own, train = set(file.categories), set(found["train"].categories)
            differing = ", ".join(f"{number} ({name})" for number, name in sorted(own ^ train))
            raise ValueError(
                f"{file.path} must have the categories of {found['train'].path}, got others for the {split} split: "
                f"{differing} is in one of the two alone. List all categories in each file."
            )
    return found


def coco_rows(
    files: Mapping[Split, CocoFile], folders: Sequence[Path], *, group_pattern: str | None = None
) -> dict[Split, tuple[CocoRow, ...]]:
    """Return the images of each split, by key; those of a split without a file are cut out of training by group.

    Args:
        files: result of `coco_files`.
        folders: folder of each modality that is read.
        group_pattern: regular expression whose first group, where it is found in a key, is the image's group.  None:
            the stem of its file.

    Raises:
        ValueError: an image without a file in one of several folders, several files of one name, or a key without a
            group.
        FileNotFoundError: a missing folder, or an image without a file.
    """
    found: dict[Split, list[CocoRow]] = {split: [] for split in get_args(Split)}
    for split, file in files.items():
        for image, paths in zip(file.images, _paired(file, folders), strict=True):
            group = group_of(image.key, paths[0], group_pattern)
            row = CocoRow(annotations=file.path, image=image, group=group, files=paths)
            cut = stable_split(group) if split == "train" else split
            found["train" if split == "train" and cut in files else cut].append(row)
    return {split: tuple(rows) for split, rows in found.items()}


def _paired(file: CocoFile, folders: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return the files of each image, one in each folder."""
    by_folder = [_found(file, folder) for folder in folders]
    pairs = list(zip(*by_folder, strict=True))
    lonely = [place for place, paths in enumerate(pairs) if any(paths) and not all(paths)]
    if lonely:
        image, paths = file.images[lonely[0]], pairs[lonely[0]]
        there = next(path for path in paths if path is not None)
        other = next(folder for folder, path in zip(folders, paths, strict=True) if path is None)
        raise ValueError(
            f"{there} must have its pair, got no image named {image.key} in {other}; {len(lonely)} of {len(pairs)} "
            f"images of {file.path} have none. Add it, or read one modality alone."
        )
    missing = [place for place, paths in enumerate(pairs) if not all(paths)]
    if missing:
        image = file.images[missing[0]]
        raise FileNotFoundError(
            f"{folders[0] / image.file_name} must exist, with this or another ending: {file.path} lists it, with "
            f"{len(image.classes)} annotations; {len(missing)} of {len(pairs)} images are missing. Add it, or delete "
            "the image and its annotations from the list."
        )
    return [tuple(path for path in paths if path is not None) for paths in pairs]


def _found(file: CocoFile, folder: Path) -> list[Path | None]:
    """Return the file of each image in a folder; None where there is none."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} must exist: it holds images of {file.path}. If it has another name, give it as "
            "CocoFolder.visible or CocoFolder.infrared."
        )
    listed: dict[Path, dict[str, list[Path]]] = {}
    found: list[Path | None] = []
    for image in file.images:
        path = folder / image.file_name
        if path.parent not in listed:
            listed[path.parent] = _by_stem(path.parent)
        same = listed[path.parent].get(path.stem, [])
        exact = [one for one in same if one.name == path.name]
        if len(same) > 1 and not exact:
            names = " and ".join(sorted(one.name for one in same))
            raise ValueError(
                f"{path} must be one file, got {names}, and {file.path} names neither. Delete one, or give its ending."
            )
        found.append(next(iter(exact or same), None))
    return found


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found
