"""Interpolation of sampled inputs."""

import diffrax
from jaxtyping import Array, Float


def control(times: Float[Array, " times"], inputs: Float[Array, "times inputs"]) -> diffrax.CubicInterpolation:
    """Interpolate inputs by cubics with backward slopes; `evaluate(t)` returns what a vector field takes."""
    return diffrax.CubicInterpolation(times, diffrax.backward_hermite_coefficients(times, inputs))
