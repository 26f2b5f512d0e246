"""Visible light: albedo times illumination, haze, blur and noise."""

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

from jaxkd.data.images.scenes.conditions import Surroundings
from jaxkd.data.images.scenes.figures import MATERIALS, Figure, Material

_SKIN = np.array([[0.78, 0.58, 0.46], [0.6, 0.42, 0.32], [0.36, 0.24, 0.18]], np.float32)
_FIXED: dict[Material, tuple[float, float, float]] = {
    "hair": (0.1, 0.08, 0.07),
    "metal": (0.35, 0.35, 0.37),
    "tyre": (0.06, 0.06, 0.06),
    "glass": (0.16, 0.19, 0.23),
    "lamp": (0.85, 0.82, 0.75),
}
_IS_LAMP = np.array([[material == "lamp"] for material in MATERIALS], np.float32)
_LAMPLIGHT = np.array([1.0, 0.86, 0.62], np.float32)


def draw_albedo(rng: np.random.Generator) -> Float32[np.ndarray, "materials 3"]:
    """Draw the share of red, green and blue light that each material of one figure reflects.

    Clothes and paint are dark or bright more often than of the brightness of a background.
    """
    albedo = np.zeros((len(MATERIALS), 3), np.float32)
    for material, colour in _FIXED.items():
        albedo[MATERIALS.index(material)] = colour
    albedo[MATERIALS.index("skin")] = _SKIN[int(rng.integers(len(_SKIN)))]
    for material in ("top", "trousers", "paint"):
        brightness = rng.uniform(0.04, 0.18) if rng.random() < 0.55 else rng.uniform(0.6, 0.9)
        hue = rng.uniform(0.55, 1.1, size=3)
        albedo[MATERIALS.index(material)] = np.clip(brightness * hue / hue.mean(), 0.02, 0.95)
    albedo[MATERIALS.index("engine")] = 0.8 * albedo[MATERIALS.index("paint")]
    return albedo


def add_figure(
    canvas: Float32[np.ndarray, "h w 3"],
    figure: Figure,
    box: Float32[np.ndarray, "4"],
    values: Float32[np.ndarray, "materials 3"],
) -> Float32[np.ndarray, "h w"]:
    """Draw a figure over a picture of albedo, in place.

    Args:
        canvas: picture.
        figure: figure.
        box: left, top, right and bottom, in pixels.
        values: albedo of each material.

    Returns:
        Share of each pixel that is a lamp of the figure.
    """
    height, width = canvas.shape[:2]
    place, opacity, picture = figure.paint(box, height, width, np.concatenate([values, _IS_LAMP], axis=1))
    canvas[place] += picture[..., :3] - opacity * canvas[place]
    lamps = np.zeros((height, width), np.float32)
    lamps[place] = picture[..., 3]
    return lamps


def add_poster(
    canvas: Float32[np.ndarray, "h w 3"],
    rng: np.random.Generator,
    figure: Figure,
    box: Float32[np.ndarray, "4"],
) -> None:
    """Draw a printed figure on a plain board over a picture of albedo, in place.

    Args:
        canvas: picture.
        rng: source of the colours and of the board's border.
        figure: what is printed.
        box: left, top, right and bottom of the figure, in pixels.
    """
    height, width = canvas.shape[:2]
    border = rng.uniform(0.08, 0.2) * float(box[2] - box[0])
    board = rng.uniform(0.25, 0.8, size=3).astype(np.float32)
    across = np.clip(np.minimum(np.arange(width) + 1 - (box[0] - border), box[2] + border - np.arange(width)), 0, 1)
    down = np.clip(np.minimum(np.arange(height) + 1 - (box[1] - border), box[3] + border - np.arange(height)), 0, 1)
    share = np.outer(down, across).astype(np.float32)[..., None]
    canvas += share * (board - canvas)
    add_figure(canvas, figure, box, draw_albedo(rng))


def illuminate(
    albedo: Float32[np.ndarray, "h w 3"],
    lamps: Float32[np.ndarray, "h w"],
    rng: np.random.Generator,
    surroundings: Surroundings,
    shift: tuple[float, float],
) -> UInt8[np.ndarray, "h w 3"]:
    """Return what the visible sensor gives of a picture of albedo.

    Light of the sky, with a gradient, and of street lamps is reflected; vehicles' lights shine where street lamps do.
    Haze mixes in its mean, and the response to light is its square root.

    Args:
        albedo: share of light that is reflected.
        lamps: share of each pixel that is a vehicle's lamp.
        rng: source of light and noise.
        surroundings: ranges of the condition.
        shift: way to the right and down by which everything is moved, in pixels.
    """
    height, width = albedo.shape[:2]
    columns = (np.arange(width, dtype=np.float32) + 0.5 - np.float32(shift[0])) / height
    rows = (np.arange(height, dtype=np.float32) + 0.5 - np.float32(shift[1])) / height
    slope = np.float32(rng.uniform(-0.15, 0.15))
    light = np.float32(rng.uniform(*surroundings.light)) * (1 + slope * (columns - width / height / 2))
    light = np.broadcast_to(light[None, :, None], albedo.shape).copy()
    glow = np.zeros_like(albedo)
    for _ in range(int(rng.integers(*surroundings.lamps, endpoint=True))):
        x, y = rng.uniform(0, width / height), rng.uniform(0.02, 0.3)
        pool, power = rng.uniform(0.15, 0.3), rng.uniform(0.15, 0.4)
        squared = (columns - np.float32(x)) ** 2 + ((rows - np.float32(y))[:, None] * np.float32(0.7)) ** 2
        light += (np.float32(power) * np.exp(-squared / np.float32(2 * pool**2)))[..., None] * _LAMPLIGHT
        glow += np.exp(-squared / np.float32(2 * 0.015**2))[..., None] * _LAMPLIGHT
    if surroundings.lamps[1] > 0:
        glow += 0.7 * lamps[..., None] * _LAMPLIGHT
    seen = albedo * light + glow
    seen += np.float32(rng.uniform(*surroundings.haze)) * (seen.mean((0, 1)) - seen)
    blur = rng.uniform(*surroundings.visible_blur) * height / 96
    seen = ndimage.gaussian_filter(np.sqrt(np.clip(seen, 0, 1)), (blur, blur, 0), truncate=3)
    noise = rng.standard_normal(albedo.shape, dtype=np.float32) * np.float32(rng.uniform(*surroundings.visible_noise))
    return np.clip(np.rint(255 * seen + noise), 0, 255).astype(np.uint8)
