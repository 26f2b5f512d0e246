"""Inputs that are known at some times, between them."""

import diffrax
from jaxtyping import Array, Float


def control(times: Float[Array, " times"], inputs: Float[Array, "times inputs"]) -> diffrax.CubicInterpolation:
    """Cubics through the inputs, whose slopes look back: `evaluate(t)` is what a vector field takes."""
    return diffrax.CubicInterpolation(times, diffrax.backward_hermite_coefficients(times, inputs))
