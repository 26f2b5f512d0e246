"""Levels of severity: how a lesion and its skin are put together, and what lies over them."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw

Severity = Literal["mild", "moderate", "severe"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Appearance:
    """Ranges that the properties of an image are drawn from, uniformly.  Lengths are for an image of 128 pixels."""

    contrast: tuple[float, float]
    """Mean brightness of skin minus that of lesion, in grey levels of 255."""
    softness: tuple[float, float]
    """Width of the border, in pixels: opacity is the logistic function of depth / width.  That of a satellite is at
    most a third of its radius, so that it is seen."""
    hairs: tuple[int, int]
    """Number of hairs."""
    vignette: tuple[float, float]
    """Share of light that the corners lose."""
    gradient: tuple[float, float]
    """Share of light that is gained at one side and lost at the other."""


APPEARANCES: dict[Severity, Appearance] = {
    "mild": Appearance(contrast=(60, 95), softness=(0.6, 1.5), hairs=(0, 2), vignette=(0.0, 0.1), gradient=(0.0, 0.05)),
    "moderate": Appearance(
        contrast=(36, 52), softness=(1.8, 3.2), hairs=(4, 9), vignette=(0.15, 0.35), gradient=(0.05, 0.12)
    ),
    "severe": Appearance(
        contrast=(18, 30), softness=(3.5, 5.5), hairs=(10, 18), vignette=(0.35, 0.6), gradient=(0.12, 0.22)
    ),
}
"""Ranges of each level: every one of a worse level lies beyond those of a better level."""

_MOST_STRETCHED = 2.5
_OVERSAMPLING = 3


def opacity(
    depths: Sequence[Float32[np.ndarray, "side side"]], widths: Sequence[float]
) -> Float32[np.ndarray, "side side"]:
    """Return the opacity of a lesion of several parts, the largest of `1 / (1 + exp(-depth / width))`.

    It is one half on the outline of their union.

    Args:
        depths: distance from the outline of each part in pixels, above 0 inside.
        widths: width of the border of each part, in pixels.
    """
    relative = np.max([depth / np.float32(width) for depth, width in zip(depths, widths, strict=True)], axis=0)
    return 1 / (1 + np.exp(-np.clip(relative, -60, 60)))


def with_contrast(
    skin: Float32[np.ndarray, "side side 3"],
    lesion: Float32[np.ndarray, "side side 3"],
    inside: Float32[np.ndarray, "side side"],
    contrast: float,
) -> tuple[Float32[np.ndarray, "side side 3"], float]:
    """Return the lesion's colour moved along the line from the skin's, so that it is `contrast` grey levels darker.

    Args:
        skin: smooth colour of the skin.
        lesion: smooth colour of the lesion.
        inside: weight of each pixel in the mean brightness of the lesion.
        contrast: brightness of the skin minus that of the lesion, in the mean.

    Returns:
        Colour, and the factor by which the difference of the colours was stretched, at most 2.5.
    """
    weights = inside[..., None] / inside.sum() / 3
    factor = min(_MOST_STRETCHED, contrast / max(1.0, float(((skin - lesion) * weights).sum())))
    return skin + np.float32(factor) * (lesion - skin), factor


def draw_light(
    rng: np.random.Generator, side: int, *, vignette: float, gradient: float
) -> Float32[np.ndarray, "side side"]:
    """Return the light on each pixel, around 1: darker towards the corners, and rising in a random direction.

    Args:
        rng: source of the direction.
        side: height and width, in pixels.
        vignette: share of light that the corners lose.
        gradient: share of light that is gained at one side and lost at the other.
    """
    place = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.float32(np.cos(angle)) * place[:, None] + np.float32(np.sin(angle)) * place
    squared = (place[:, None] ** 2 + place**2) / 2
    return (1 - np.float32(vignette) * squared**1.5) * (1 + np.float32(gradient) * slope)


def draw_hairs(rng: np.random.Generator, side: int, count: int) -> Float32[np.ndarray, "side side"]:
    """Return the opacity of hairs: bent lines across the image, about one pixel of 128 wide.

    Args:
        rng: source of their places, bends and widths.
        side: height and width, in pixels.
        count: number of hairs.
    """
    canvas = Image.new("L", (side * _OVERSAMPLING, side * _OVERSAMPLING))
    pen = ImageDraw.Draw(canvas)
    times = np.linspace(0, 1, 24)[:, None]
    main_direction = rng.uniform(0, np.pi)
    for _ in range(count):
        middle = rng.uniform(0.05, 0.95, size=2)
        angle = main_direction + rng.normal() * 0.5
        half = rng.uniform(0.2, 0.6) * np.array([np.cos(angle), np.sin(angle)])
        bend = middle + rng.normal(size=2) * 0.12
        curve = (1 - times) ** 2 * (middle - half) + 2 * times * (1 - times) * bend + times**2 * (middle + half)
        width = max(1, round(rng.uniform(0.7, 1.7) * side * _OVERSAMPLING / 128))
        points = [(float(x), float(y)) for x, y in curve * side * _OVERSAMPLING]
        pen.line(points, fill=int(rng.uniform(150, 245)), width=width, joint="curve")
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX), np.float32) / 255
