"""Conditions of light and warmth: what each modality can show."""

import dataclasses
from typing import Literal

Condition = Literal["day", "night", "hot", "weak"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Ranges that the properties of a scene are drawn from, uniformly.  Temperatures are in degrees Celsius."""

    light: tuple[float, float]
    """Light from the sky, 1 for a camera's full range on a white surface."""
    lamps: tuple[int, int]
    """Number of street lamps, and whether vehicles have their lights on: where there may be lamps, they do."""
    haze: tuple[float, float]
    """Share of the contrast in visible light that the air takes."""
    visible_noise: tuple[float, float]
    """Standard deviation of the visible sensor's noise, in grey levels of 255."""
    visible_blur: tuple[float, float]
    """Standard deviation of the visible blur, in pixels of an image of 96 rows."""
    ambient: tuple[float, float]
    """Temperature of the air, and in the mean that of the background."""
    unevenness: tuple[float, float]
    """Standard deviation of the background's temperature."""
    machines: tuple[float, float]
    """Temperature of engines, lamps and heaters above that of the air."""


SURROUNDINGS: dict[Condition, Surroundings] = {
    "day": Surroundings(
        light=(0.75, 1.0),
        lamps=(0, 0),
        haze=(0.0, 0.1),
        visible_noise=(2, 4),
        visible_blur=(0.3, 0.6),
        ambient=(12, 20),
        unevenness=(1.0, 2.0),
        machines=(6, 14),
    ),
    "night": Surroundings(
        light=(0.03, 0.08),
        lamps=(0, 2),
        haze=(0.0, 0.1),
        visible_noise=(5, 9),
        visible_blur=(0.6, 1.0),
        ambient=(0, 10),
        unevenness=(0.5, 1.2),
        machines=(8, 16),
    ),
    "hot": Surroundings(
        light=(0.8, 1.05),
        lamps=(0, 0),
        haze=(0.0, 0.15),
        visible_noise=(2, 4),
        visible_blur=(0.3, 0.7),
        ambient=(32, 36),
        unevenness=(1.2, 2.0),
        machines=(0, 2),
    ),
    "weak": Surroundings(
        light=(0.14, 0.24),
        lamps=(0, 0),
        haze=(0.3, 0.5),
        visible_noise=(4, 7),
        visible_blur=(0.8, 1.2),
        ambient=(26, 29),
        unevenness=(1.0, 1.6),
        machines=(2, 5),
    ),
}
"""Ranges of each condition.

By day both modalities show figures, by night the thermal one, in heat, when the air is as warm as bodies are, the
visible one, and both are weak at dusk in warm haze.
"""
