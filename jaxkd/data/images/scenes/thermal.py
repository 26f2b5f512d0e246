"""Thermal light: temperature, blur and noise, at a fixed gain."""

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from scipy import ndimage

from jaxkd.data.images.scenes.conditions import Surroundings
from jaxkd.data.images.scenes.figures import MATERIALS, Figure

_SKIN = 34.0
"""Temperature of skin, in degrees Celsius."""
_GAIN = 6.0
"""Grey levels to a degree."""
_NOISE = (1.5, 3.0)
"""Standard deviation of the sensor's noise, in grey levels."""
_BLUR = (0.5, 0.9)
"""Standard deviation of the blur, in pixels of an image of 96 rows."""
_MOST_HEATERS = 2


def draw_temperatures(
    rng: np.random.Generator, surroundings: Surroundings, ambient: float
) -> Float32[np.ndarray, " materials"]:
    """Draw the temperature of each material of one figure, in degrees Celsius above the air.

    Clothes are between skin and air, by what they insulate: `c (skin - air)` with c from 0.3 to 0.55.  Engines, tyres
    and lamps are warmer than the air by a share of what machines are in this condition, and glass is a little colder.

    Args:
        rng: source of insulation, and of how long a vehicle has run.
        surroundings: ranges of the condition.
        ambient: temperature of the air.
    """
    body, machine = _SKIN - ambient, rng.uniform(*surroundings.machines)
    excess = {
        "skin": 0.85 * body,
        "hair": 0.5 * body,
        "top": rng.uniform(0.3, 0.55) * body,
        "trousers": rng.uniform(0.3, 0.55) * body,
        "metal": 0.15 * machine,
        "tyre": 0.45 * machine,
        "paint": 0.3 * machine,
        "glass": -0.15 * machine,
        "lamp": 0.5 * machine,
        "engine": machine,
    }
    return np.array([excess.get(material, 0.0) for material in MATERIALS], np.float32)


def draw_background(
    rng: np.random.Generator,
    albedo: Float32[np.ndarray, "h w 3"],
    below: Float32[np.ndarray, " h"],
    surroundings: Surroundings,
) -> Float32[np.ndarray, "h w"]:
    """Draw the temperature of the background, in degrees above the air.

    It is a smooth random field with a step at the horizon, and a trace of the photograph's brightness, of random sign:
    what is bright in visible light is sometimes warm and sometimes cold.

    Args:
        rng: source of the field.
        albedo: share of light that the background reflects.
        below: share of each row that is below the horizon.
        surroundings: ranges of the condition.
    """
    height, width = albedo.shape[:2]
    coarse = Image.fromarray(rng.standard_normal((5, 7), dtype=np.float32))
    field = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    brightness = albedo.mean(-1)
    trace = (brightness - brightness.mean()) / np.float32(max(float(brightness.std()), 1e-3))
    field = field + np.float32(rng.uniform(-1.2, 1.2)) * (below[:, None] - below.mean())
    field = field + np.float32(rng.uniform(-0.5, 0.5)) * trace
    field = (field - field.mean()) / np.float32(max(float(field.std()), 1e-3))
    return field * np.float32(rng.uniform(*surroundings.unevenness))


def add_figure(
    field: Float32[np.ndarray, "h w"],
    figure: Figure,
    box: Float32[np.ndarray, "4"],
    excess: Float32[np.ndarray, " materials"],
) -> None:
    """Draw a figure over a field of temperature, in place.

    Args:
        field: temperature above the air.
        figure: figure.
        box: left, top, right and bottom, in pixels.
        excess: temperature of each material above the air.
    """
    place, opacity, picture = figure.paint(box, field.shape[0], field.shape[1], excess[:, None])
    field[place] += (picture - opacity * field[place][..., None])[..., 0]


def add_heaters(field: Float32[np.ndarray, "h w"], rng: np.random.Generator, surroundings: Surroundings) -> None:
    """Draw up to two warm spots that have no trace in visible light, such as pipes and engines that ran, in place.

    Args:
        field: temperature above the air.
        rng: source of places, sizes and warmth.
        surroundings: ranges of the condition.
    """
    height, width = field.shape
    rows, columns = (np.arange(extent, dtype=np.float32)[:, None] + np.float32(0.5) for extent in (height, width))
    for _ in range(int(rng.integers(_MOST_HEATERS, endpoint=True))):
        y, x = rng.uniform(0.1, 0.9) * height, rng.uniform(0.05, 0.95) * width
        down, across = rng.uniform(0.03, 0.14) * height, rng.uniform(0.02, 0.1) * height
        power = 2 * int(rng.integers(1, 4))
        squared = ((rows - np.float32(y)) / np.float32(down)) ** power + (
            ((columns - np.float32(x)) / np.float32(across)) ** power
        ).T
        field += np.float32(rng.uniform(*surroundings.machines) * rng.uniform(0.4, 1.0)) * np.exp(-squared)


def sense(field: Float32[np.ndarray, "h w"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
    """Return what the thermal sensor gives of a field of temperature: 6 grey levels to a degree, blur and noise.

    Args:
        field: temperature above the air.
        rng: source of the level of the air, of blur and of noise.
    """
    level = rng.uniform(80, 120)
    blur = rng.uniform(*_BLUR) * field.shape[0] / 96
    seen = level + _GAIN * ndimage.gaussian_filter(field, blur, truncate=3)
    noise = rng.standard_normal(field.shape, dtype=np.float32) * np.float32(rng.uniform(*_NOISE))
    return np.clip(np.rint(seen + noise), 0, 255).astype(np.uint8)
