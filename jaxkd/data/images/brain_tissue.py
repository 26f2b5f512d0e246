"""Slices of an averaged brain, with its grey or white matter as targets."""

import dataclasses
import functools
import gzip
import struct
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.runtime.packages import PackagedFile, fetch
from jaxkd.typing import Split

MNI152_T1 = PackagedFile(
    package="nilearn",
    version="0.14.1",
    wheel_sha256="725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a",
    wheel_size=11_509_444,
    member="nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
    sha256="421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
)
"""T1-weighted image of the template MNI152, version 2009a, symmetric, without the skull (package: BSD-3-Clause)."""

MNI152_GREY = dataclasses.replace(
    MNI152_T1,
    member="nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
    sha256="97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
)
"""Probability of grey matter in the same template."""

MNI152_WHITE = dataclasses.replace(
    MNI152_T1,
    member="nilearn/datasets/data/mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
    sha256="382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
)
"""Probability of white matter in the same template."""

Tissue = Literal["grey", "white"]
_FILES: dict[Tissue, PackagedFile] = {"grey": MNI152_GREY, "white": MNI152_WHITE}

_SHAPE = (197, 233, 189)
_HEADER_BYTES = 352
_UINT8 = 2
"""Code of the data type in NIfTI-1."""

_LOWEST, _SLABS, _THICKNESS, _GAP = 24, 8, 12, 4
"""Slabs of slices, in millimetres above the lowest slice of the volume: the cerebellum's middle to the crown."""
_SPLITS: tuple[Split, ...] = ("train", "test", "train", "validation")
"""Splits of consecutive slabs."""

_WIDTH = 192
"""Width in millimetres of the square that is cut out of each slice; the brain is 180 mm long."""
_CENTRE = (117, 98)
"""Row and column of the square's centre, in an upright slice."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrainTissue(ImageSource):
    """Axial slices of the T1-weighted template MNI152, with one tissue as the target.

    It is one brain, the average of 152, and symmetric: real tissue, but no patients.  Test slices lie between training
    slices of the same brain, so results tell how well a method learns, and nothing about another person's scan.

    Slices are 1 mm apart.  Slabs of 12 are the groups; 4 slices between slabs are in none, so no neighbour of a test
    slice is in training.  There are 48 training slices, 24 for validation and 24 for testing.  A pixel is foreground
    where the tissue's probability is at least one half.
    """

    tissue: Tissue = "grey"
    """Tissue that is the foreground."""
    side: int = 192
    """Height and width of the images, in pixels, for a square of 192 mm.  At 192, nothing is resampled."""

    def __post_init__(self) -> None:
        if self.tissue not in get_args(Tissue):
            raise ValueError(f"tissue must be one of {', '.join(get_args(Tissue))}, got {self.tissue!r}.")
        if not 16 <= self.side <= _WIDTH:
            raise ValueError(f"side must be in [16, {_WIDTH}], got {self.side}.")

    @property
    def size(self) -> tuple[int, int]:
        return self.side, self.side

    def examples(self, split: Split) -> tuple[ImageExample, ...]:
        """Return the slices of a split, from below.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        return _examples(self, split)

    def groups(self, split: Split) -> list[tuple[str, str]]:
        return [(_key(height), _group(slab)) for slab, height in _slices(split)]

    def validate(self) -> None:
        """Fetch the volumes.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        for file in (MNI152_T1, _FILES[self.tissue]):
            fetch(file)


@functools.lru_cache(maxsize=6)
def _examples(source: BrainTissue, split: Split) -> tuple[ImageExample, ...]:
    image, probability = read_volume(fetch(MNI152_T1)), read_volume(fetch(_FILES[source.tissue]))
    return tuple(
        ImageExample(
            key=_key(height),
            group=_group(slab),
            image=np.repeat(_upright(image[:, :, height], source.side)[..., None], 3, axis=-1),
            target=(_upright(probability[:, :, height], source.side) >= 128).astype(np.uint8),
        )
        for slab, height in _slices(split)
    )


def _slices(split: Split) -> list[tuple[int, int]]:
    """Return slab and height of the slices of a split."""
    slabs = [slab for slab in range(_SLABS) if _SPLITS[slab % len(_SPLITS)] == split]
    first = {slab: _LOWEST + slab * (_THICKNESS + _GAP) for slab in slabs}
    return [(slab, first[slab] + height) for slab in slabs for height in range(_THICKNESS)]


def _key(height: int) -> str:
    return f"slice-{height:03d}"


def _group(slab: int) -> str:
    return f"slab-{slab}"


def _upright(volume_slice: UInt8[np.ndarray, "x y"], side: int) -> UInt8[np.ndarray, "side side"]:
    """Return the square around the brain, with the forehead at the top."""
    top, left = (centre - _WIDTH // 2 for centre in _CENTRE)
    square = np.rot90(volume_slice)[top : top + _WIDTH, left : left + _WIDTH]
    if side == _WIDTH:
        return np.ascontiguousarray(square)
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BOX))


def read_volume(path: Path) -> UInt8[np.ndarray, "x y z"]:
    """Read a volume of the template, from left to right, back to front and below to above, in steps of 1 mm.

    Only what these files have is read: compressed NIfTI-1 of unsigned bytes, without scaling.

    Args:
        path: file of `MNI152_T1`, `MNI152_GREY` or `MNI152_WHITE`.

    Raises:
        ValueError: a file of another kind.
    """
    content = gzip.decompress(path.read_bytes())
    dimensions, kind = struct.unpack_from("<4h", content, 40), struct.unpack_from("<h", content, 70)[0]
    if dimensions != (3, *_SHAPE) or kind != _UINT8 or len(content) != _HEADER_BYTES + np.prod(_SHAPE):
        raise ValueError(
            f"{path} must be a volume of {_SHAPE} unsigned bytes, got {dimensions[1:]} of NIfTI type {kind} in "
            f"{len(content)} bytes. Fetch a file of the template."
        )
    return np.frombuffer(content, np.uint8, offset=_HEADER_BYTES).reshape(_SHAPE, order="F")
