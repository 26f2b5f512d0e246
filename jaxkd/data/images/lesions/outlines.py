"""Outlines of lesions: star-shaped curves given by Fourier series, and small satellites beside them."""

import dataclasses

import numpy as np
from jaxtyping import Float32

_HARMONICS = 9


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """Closed curve of radius `radius (1 + sum_k a_k cos(k angle) + b_k sin(k angle))` around a centre."""

    row: float
    """Row of the centre, in pixels."""
    column: float
    """Column of the centre, in pixels."""
    radius: float
    """Mean radius, in pixels."""
    cosines: tuple[float, ...]
    """Coefficients a_1, a_2, ..."""
    sines: tuple[float, ...]
    """Coefficients b_1, b_2, ..."""

    def depth(self, side: int) -> Float32[np.ndarray, "side side"]:
        """Return the distance of each pixel's centre from the curve, in pixels: above 0 inside.

        The distance is that to the tangent at the curve's point of the same angle, and exactly 0 on the curve.
        """
        rows, columns = np.mgrid[:side, :side].astype(np.float32)
        rows, columns = rows - np.float32(self.row), columns - np.float32(self.column)
        distance, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
        # Powers of exp(i angle): cheaper than a cosine and a sine of each harmonic.
        turn = np.exp(1j * angle.astype(np.complex64))
        power = np.ones_like(turn)
        relative, slope = np.ones_like(distance), np.zeros_like(distance)
        for harmonic, (cosine, sine) in enumerate(zip(self.cosines, self.sines, strict=True), start=1):
            power *= turn
            relative += np.float32(cosine) * power.real + np.float32(sine) * power.imag
            slope += np.float32(harmonic) * (np.float32(sine) * power.real - np.float32(cosine) * power.imag)
        return (np.float32(self.radius) * relative - distance) / np.hypot(np.float32(1), slope / relative)


def draw_outlines(rng: np.random.Generator, side: int) -> tuple[Outline, ...]:
    """Draw the outline of a lesion, nearly always within the image, and of none to three satellites beside it.

    Args:
        rng: source of randomness.
        side: height and width of the image, in pixels.
    """
    radius = side * rng.uniform(0.17, 0.33)
    row, column = side / 2 + side * rng.uniform(-0.12, 0.12, size=2)
    irregularity = rng.uniform(0.06, 0.26)
    lesion = _outline(rng, row, column, radius, irregularity)
    satellites = []
    for _ in range(rng.choice(4, p=(0.6, 0.2, 0.12, 0.08))):
        angle, distance = rng.uniform(0, 2 * np.pi), radius * rng.uniform(1.25, 1.6)
        place = row + distance * np.sin(angle), column + distance * np.cos(angle)
        satellites.append(_outline(rng, *place, radius * rng.uniform(0.08, 0.18), 0.08))
    return lesion, *satellites


def _outline(rng: np.random.Generator, row: float, column: float, radius: float, irregularity: float) -> Outline:
    harmonics = np.arange(1, _HARMONICS + 1)
    # The first harmonic moves the whole curve, the second stretches it, and higher ones make notches and lobes.
    falloff = np.where(harmonics == 1, 0.3, harmonics**-1.2)
    amplitudes = irregularity * falloff * rng.normal(size=(2, _HARMONICS))
    # A sum of amplitudes below 1 keeps the radius above 0.
    amplitudes *= min(1.0, 0.65 / np.hypot(*amplitudes).sum())
    cosines, sines = (tuple(float(value) for value in row_of) for row_of in amplitudes)
    return Outline(row=float(row), column=float(column), radius=float(radius), cosines=cosines, sines=sines)
