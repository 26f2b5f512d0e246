"""Cell nuclei under a microscope, with the mask that a package ships for them."""

import dataclasses
import functools
import io
import tarfile

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.runtime.packages import SourceArchive, fetch_archive
from jaxkd.typing import Split

STARDIST = SourceArchive(
    package="stardist",
    version="0.9.2",
    sha256="65120fe0a092608f3d76fc664c67cdf147d02ac4a101937fb806a60a7bcb055a",
    size=890_804,
)
"""Source archive of StarDist (BSD-3-Clause).  Its wheels have the image too, but each is for one platform."""

_IMAGE, _MASK = (f"stardist-0.9.2/stardist/data/images/{name}2d.tif" for name in ("img", "mask"))

_WIDTH = 512
_GAP = 32
"""Width in pixels of the strips between regions; no nucleus crosses one."""
_REGION = (_WIDTH - _GAP) // 2
_LOW = _WIDTH - _REGION

_REGIONS: dict[Split, tuple[str, tuple[int, int], tuple[int, int]]] = {
    "train": ("top", (0, _REGION), (0, _WIDTH)),
    "validation": ("bottom-left", (_LOW, _WIDTH), (0, _REGION)),
    "test": ("bottom-right", (_LOW, _WIDTH), (_LOW, _WIDTH)),
}
"""Name, rows and columns of the region of each split."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nuclei(ImageSource):
    """Tiles of one fluorescence image of 512 by 512 pixels with a mask of 125 nuclei.

    The splits are regions, apart by 32 pixels, so no nucleus is in two of them; the region is the group.  Training has
    the upper half (60 nuclei), validation the lower left (38) and testing the lower right (22).  Tiles are spread
    evenly over a region and overlap within it where their size does not divide it.  It is one image: results tell
    whether a method learns from few pixels, and nothing about other images.
    """

    side: int = 128
    """Height and width of the tiles, in pixels."""

    def __post_init__(self) -> None:
        if not 16 <= self.side <= _REGION:
            raise ValueError(f"side must be in [16, {_REGION}], the width of a region, got {self.side}.")

    @property
    def size(self) -> tuple[int, int]:
        return self.side, self.side

    def examples(self, split: Split) -> tuple[ImageExample, ...]:
        """Return the tiles of a split, by row and column.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        return _examples(self, split)

    def validate(self) -> None:
        """Fetch the image.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        read_nuclei()


@functools.lru_cache(maxsize=1)
def read_nuclei() -> tuple[UInt8[np.ndarray, "512 512"], UInt16[np.ndarray, "512 512"]]:
    """Return the image, whose 16-bit values are all below 256, and the number of each pixel's nucleus, 0 for none.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
    """
    with tarfile.open(fetch_archive(STARDIST)) as archive:
        contents = [archive.extractfile(member) for member in (_IMAGE, _MASK)]
        image, numbers = (np.asarray(Image.open(io.BytesIO(file.read()))) for file in contents if file is not None)
    return image.astype(np.uint8), numbers


@functools.lru_cache(maxsize=6)
def _examples(source: Nuclei, split: Split) -> tuple[ImageExample, ...]:
    image, numbers = read_nuclei()
    group, rows, columns = _REGIONS[split]
    tiles = [
        (slice(row, row + source.side), slice(column, column + source.side), f"tile-{row:03d}-{column:03d}")
        for row in _starts(*rows, source.side)
        for column in _starts(*columns, source.side)
    ]
    return tuple(
        ImageExample(
            key=key,
            group=group,
            image=np.repeat(image[down, across, None], 3, axis=-1),
            target=(numbers[down, across] > 0).astype(np.uint8),
        )
        for down, across, key in tiles
    )


def _starts(first: int, end: int, side: int) -> list[int]:
    """Return the first pixels of the fewest tiles that cover [first, end), evenly spread."""
    count = -(-(end - first) // side)
    return [round(float(start)) for start in np.linspace(first, end - side, count)]
