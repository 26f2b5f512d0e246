"""Bands of forecasts, from the uncertainty of the coefficients and of the start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from jaxkd.dynamics.derivatives.fourier_fit import FourierFit, fourier_fit
from jaxkd.dynamics.identification.simulate import forecasts
from jaxkd.typing import Key


def forecast_band(
    coefficients: Float[Array, "draws terms states"],
    curve: FourierFit,
    times: Float[Array, " times"],
    inputs: Float[Array, "times inputs"] | None = None,
    *,
    key: Key,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    deviation: Float[Array, " states"],
    tail: float,
) -> tuple[Float[np.ndarray, "times states"], Float[np.ndarray, "times states"]]:
    """Band of a record's noise-free states, from its curve's first value and the equations.

    If there are twice as many states as the curve has, the others are their velocities.

    Args:
        coefficients: replicates, as of `bootstrap`.
        curve: curve through the record's samples.
        times: sample times, from the start.
        inputs: values at the times.
        key: random key for the samples of the start.
        terms: terms of the equations.
        variables: states, then inputs.
        deviation: standard deviation of each state, > 0.
        tail: share of the forecasts below the band, and above.

    Returns:
        Lower and upper end, in the states' units; nan where too many forecasts diverge.
    """
    order = len(deviation) // curve.noise.size
    starts = _starts(curve, times, key, count=len(coefficients), order=order)
    bundle = np.asarray(
        forecasts(coefficients, starts, times, inputs, terms=terms, variables=variables, deviation=deviation)
    )
    # A forecast that diverges is beyond any other, on an unknown side.
    low = np.quantile(np.where(np.isfinite(bundle), bundle, -np.inf), tail, axis=0, method="lower")
    high = np.quantile(np.where(np.isfinite(bundle), bundle, np.inf), 1 - tail, axis=0, method="higher")
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


@functools.partial(jax.jit, static_argnames=("count", "order"))
def _starts(
    curve: FourierFit, times: Float[Array, " times"], key: Key, *, count: int, order: int
) -> Float[Array, "count states"]:
    """First values of curves through resampled data: the curve, plus noise of its size."""
    clean = curve.at(times)
    noise = curve.noise[None, None] * jax.random.normal(key, (count, *clean.shape), clean.dtype)
    # Channels with the same times share one decomposition, the main cost of a curve.
    samples = jnp.reshape(jnp.moveaxis(clean[None] + noise, 0, 1), (times.size, -1))
    fits = fourier_fit(samples, times)
    parts = [jnp.reshape(fits.at(times[:1], derivative=derivative)[0], (count, -1)) for derivative in range(order)]
    return jnp.concatenate(parts, axis=1)
