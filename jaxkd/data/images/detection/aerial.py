"""Tiles of aerial photographs of forests, with boxes around the trees."""

import dataclasses
import functools
import math
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from jaxkd.data.images.detection import aerial_photographs
from jaxkd.data.images.detection.aerial_photographs import AerialPhotograph
from jaxkd.data.images.detection.padding import pad_boxes
from jaxkd.data.images.detection.source import DetectionSource
from jaxkd.data.images.source import ImageExample
from jaxkd.typing import Split

_SMALLEST = 400
"""Height and width of the smallest photographs, in pixels."""

Reduction = Literal[1, 2, 4]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Region:
    """Part of a photograph."""

    photograph: AerialPhotograph
    name: str
    top: int
    bottom: int
    width: int


_REGIONS: dict[Split, tuple[_Region, ...]] = {
    "train": (
        _Region(photograph=aerial_photographs.YELLOWSTONE_WEST, name="north", top=0, bottom=1920, width=2299),
        _Region(photograph=aerial_photographs.YELLOWSTONE_EAST, name="whole", top=0, bottom=1035, width=1249),
    ),
    # The gap of 128 pixels is wider than any tree.
    "validation": (
        _Region(photograph=aerial_photographs.YELLOWSTONE_WEST, name="south", top=2048, bottom=2472, width=2299),
    ),
    "test": (
        _Region(photograph=aerial_photographs.ORDWAY_SWISHER, name="whole", top=0, bottom=400, width=400),
        _Region(photograph=aerial_photographs.SOAPROOT_SADDLE, name="whole", top=0, bottom=400, width=400),
    ),
}
"""Rows of the photographs, in pixels of the whole."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AerialTrees(DetectionSource):
    """Tiles of four aerial photographs with boxes around 951 trees: two of one site to learn from, two others to test.

    Training and validation tiles are of Yellowstone, validation from the south of one photograph, apart by 128 pixels
    (13 m) from the training tiles.  Test tiles are of a pine forest in Florida (61 trees) and of a hillside in
    California where most trees are dead (37): other light, ground and species.  So results on the test split tell how
    a method carries over to other forests, from few trees; those on validation tell about the forest that was learnt.
    `stratum` is the site.

    Training tiles overlap; tiles of validation and test do not, are centred, and leave out the strips at the
    photograph's edges that hold no whole tile.  A tree that a tile's edge cuts is learnt and counted, by the part of
    its box within the tile, where at least `least_visible` of the box's area is; otherwise that part is ignored.
    """

    height: int = 96
    """Height of the tiles, in pixels."""
    width: int = 128
    """Width of the tiles, in pixels."""
    reduction: Reduction = 1
    """Factor by which the photographs are shrunk, which are of about 10 cm a pixel: trees are 40 pixels wide at 1."""
    overlap: float = 0.5
    """Smallest part of a training tile's height and width that the next one repeats; 0 for tiles side by side."""
    least_visible: float = 0.5
    """Smallest part of a box's area within a tile with which the tree is learnt and counted there."""

    def __post_init__(self) -> None:
        if self.reduction not in get_args(Reduction):
            raise ValueError(f"reduction must be one of {get_args(Reduction)}, got {self.reduction}.")
        for name in ("height", "width"):
            if not 32 <= getattr(self, name) <= _SMALLEST // self.reduction:
                raise ValueError(
                    f"{name} must be in [32, {_SMALLEST // self.reduction}], which a photograph of {_SMALLEST} pixels "
                    f"shrunk by {self.reduction} holds, got {getattr(self, name)}."
                )
        if not 0 <= self.overlap <= 0.9:
            raise ValueError(f"overlap must be in [0, 0.9], got {self.overlap}.")
        if not 0 < self.least_visible <= 1:
            raise ValueError(f"least_visible must be in (0, 1], got {self.least_visible}.")

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class: the only one."""
        return ("tree",)

    def examples(self, split: Split) -> tuple[ImageExample, ...]:
        """Return the tiles of a split, by photograph, row and column.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        return _examples(self, split)

    def groups(self, split: Split) -> list[tuple[str, str]]:
        return [(tile.key, tile.group) for tile in _tiles(self, split)]

    def validate(self) -> None:
        """Fetch the photographs.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        aerial_photographs.fetch_photographs()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tile:
    """Place of a tile in its shrunken photograph."""

    region: _Region
    top: int
    left: int

    @property
    def key(self) -> str:
        return f"{self.region.photograph.name}-{self.top:04d}-{self.left:04d}"

    @property
    def group(self) -> str:
        return f"{self.region.photograph.name}-{self.region.name}"


def _tiles(source: AerialTrees, split: Split) -> list[_Tile]:
    found = []
    for region in _REGIONS[split]:
        rows = math.ceil(region.top / source.reduction), region.bottom // source.reduction
        columns = 0, region.width // source.reduction
        starts = functools.partial(_starts, overlap=source.overlap) if split == "train" else _separate_starts
        found += [
            _Tile(region=region, top=top, left=left)
            for top in starts(*rows, source.height)
            for left in starts(*columns, source.width)
        ]
    return found


def _starts(first: int, end: int, length: int, *, overlap: float) -> list[int]:
    """Return the starts of the fewest tiles, evenly spread, that cover [first, end) and overlap by at least a part."""
    step = max(1, math.floor(length * (1 - overlap)))
    count = 1 + math.ceil((end - first - length) / step)
    return [round(float(start)) for start in np.linspace(first, end - length, count)]


def _separate_starts(first: int, end: int, length: int) -> list[int]:
    """Return the starts of as many tiles as [first, end) holds side by side, in its middle."""
    count = (end - first) // length
    margin = (end - first - count * length) // 2
    return [first + margin + number * length for number in range(count)]


def _cut(
    corners: Float[np.ndarray, "n 4"], tile: _Tile, source: AerialTrees
) -> tuple[Float[np.ndarray, "m 4"], Bool[np.ndarray, " m"]]:
    """Return the parts of boxes within a tile, and whether each is too small a part to count."""
    size = np.array([source.width, source.height] * 2, np.float32)
    moved = corners / source.reduction - np.array([tile.left, tile.top] * 2, np.float32)
    parts = np.clip(moved, 0, size)
    visible = _areas(parts) / _areas(moved)
    inside = visible > 0
    return parts[inside], visible[inside] < source.least_visible


def _areas(corners: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    return (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])


@functools.lru_cache(maxsize=2)
def _rows(source: AerialTrees) -> int:
    """Return the largest number of boxes in a tile, of all splits."""
    return max(
        len(_cut(aerial_photographs.read_boxes(tile.region.photograph), tile, source)[0])
        for split in get_args(Split)
        for tile in _tiles(source, split)
    )


@functools.lru_cache(maxsize=6)
def _examples(source: AerialTrees, split: Split) -> tuple[ImageExample, ...]:
    return tuple(_example(source, tile) for tile in _tiles(source, split))


def _example(source: AerialTrees, tile: _Tile) -> ImageExample:
    photograph = tile.region.photograph
    picture = aerial_photographs.read_picture(photograph, source.reduction)
    corners, ignored = _cut(aerial_photographs.read_boxes(photograph), tile, source)
    return ImageExample(
        key=tile.key,
        group=tile.group,
        image=picture[tile.top : tile.top + source.height, tile.left : tile.left + source.width],
        target=pad_boxes(corners, classes=np.zeros(len(corners), np.int32), ignored=ignored, rows=_rows(source)),
        stratum=photograph.site,
    )
