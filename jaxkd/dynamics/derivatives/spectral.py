"""Spatial derivatives on a periodic grid, by multiplication in Fourier space."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.dynamics.float64 import require_float64


def spectral_derivative(
    field: Float[Array, "*grid"], *, orders: tuple[int, ...], lengths: tuple[float, ...]
) -> Float[Array, "*grid"]:
    """Differentiate a field on a periodic grid: multiply by (i k)^order on each of its last axes.

    Args:
        field: float64; the last len(orders) axes are spatial, evenly spaced, without the point at the period's end.
        orders: order of the derivative on each spatial axis, 0 or more: (0, 2) is d²/dy² of a field [..., x, y].
        lengths: period of each spatial axis, > 0.

    Returns:
        The derivative, in the field's unit over the lengths' units to their orders.  Exact for waves that the grid
        resolves; an odd order drops the Nyquist wave, whose slope the grid does not see.

    Raises:
        TypeError: a field of another dtype than float64.
        ValueError: orders and lengths that do not match the field or each other.

    Source: Trefethen, Spectral Methods in MATLAB, chapters 3 and 4.  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     x = 2 * jnp.pi * jnp.arange(16) / 16
        ...     slope = spectral_derivative(jnp.sin(3 * x), orders=(1,), lengths=(2 * jnp.pi,))
        ...     bool(jnp.allclose(slope, 3 * jnp.cos(3 * x), atol=1e-12))
        True
    """
    require_float64(field=field)
    if not 1 <= len(orders) == len(lengths) <= field.ndim:
        raise ValueError(
            f"orders and lengths must be one each for the last axes of the field, got {orders} and {lengths} for "
            f"{field.shape}."
        )
    if min(orders) < 0 or not min(lengths) > 0:
        raise ValueError(f"orders must be >= 0 and lengths > 0, got {orders} and {lengths}.")
    for axis, order, length in zip(range(-len(orders), 0), orders, lengths, strict=True):
        if order:
            field = _along(field, axis, _factor(field.shape[axis], order, length))
    return field


def low_pass(field: Float[Array, "*grid"], *, cutoffs: tuple[int | Int[Array, ""], ...]) -> Float[Array, "*grid"]:
    """Remove the waves that are shorter than an axis's period over its cut-off.

    Args:
        field: float64; the last len(cutoffs) axes are periodic.
        cutoffs: shortest wave retained on each axis, in waves per period.  With at most a third of the points, a
            product of two fields has no aliasing on the retained waves (the 2/3 rule).

    Returns:
        The filtered field, of the same shape.

    Raises:
        TypeError: a field of another dtype than float64.
        ValueError: more cut-offs than axes.

    Source: Orszag 1971 (doi 10.1175/1520-0469(1971)028<1074:OTEOAI>2.0.CO;2), for the 2/3 rule.  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     x = 2 * jnp.pi * jnp.arange(16) / 16
        ...     kept = low_pass(jnp.sin(x) + jnp.sin(6 * x), cutoffs=(5,))
        ...     bool(jnp.allclose(kept, jnp.sin(x), atol=1e-12))
        True
    """
    require_float64(field=field)
    if not 1 <= len(cutoffs) <= field.ndim:
        raise ValueError(f"cutoffs must be one each for the last axes of the field, got {cutoffs} for {field.shape}.")
    for axis, cutoff in zip(range(-len(cutoffs), 0), cutoffs, strict=True):
        waves = jnp.arange(field.shape[axis] // 2 + 1)
        field = _along(field, axis, (waves <= cutoff).astype(field.dtype))
    return field


def spectral_cutoff(fields: Float[Array, "samples x"], *, shortest: int = 2) -> Int[Array, ""]:
    """Choose the cut-off of `low_pass` for noisy fields, by the least generalised cross-validation error.

    Args:
        fields: float64, with one periodic axis; the spectrum is averaged over the samples.  With more axes, move one
            last and flatten the others into samples.
        shortest: smallest cut-off, in waves per period.

    Returns:
        The cut-off in waves per period, such that the 2 cutoff + 1 parameters are at most 0.9 of the points.

    Raises:
        TypeError: fields of another dtype than float64.
        ValueError: fewer than eight points.

    Source: Craven & Wahba 1979 (doi 10.1007/BF01404567), for periodic samples.  Deviation: the spectrum is a mean over
    samples, which share their noise.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     x = 2 * jnp.pi * jnp.arange(32) / 32
        ...     noise = 0.01 * jax.random.normal(jax.random.key(0), (20, 32))
        ...     int(spectral_cutoff(jnp.sin(4 * x) + noise))
        4
    """
    require_float64(fields=fields)
    points = fields.shape[-1]
    if points < 8:
        raise ValueError(f"fields must have at least 8 points in space, got {points}.")
    power = jnp.mean(jnp.abs(jnp.fft.rfft(fields)) ** 2, axis=0)
    # A real field has each wave twice, except the constant and the Nyquist wave.
    power = power * jnp.where((jnp.arange(power.size) * 2 == points) | (jnp.arange(power.size) == 0), 1.0, 2.0)
    beyond = jnp.cumsum(power[::-1])[::-1] - power
    cutoffs = jnp.arange(power.size)
    free = 1 - (2 * cutoffs + 1) / points
    score = jnp.where(free >= 0.1, beyond / jnp.where(free >= 0.1, free, 1.0) ** 2, jnp.inf)
    return jnp.argmin(jnp.where(cutoffs >= shortest, score, jnp.inf))


def _factor(points: int, order: int, length: float) -> np.ndarray:
    waves = np.arange(points // 2 + 1)
    factor = (2j * np.pi * waves / length) ** order
    if points % 2 == 0 and order % 2 == 1:
        factor[-1] = 0.0
    return factor


def _along(field: Float[Array, "*grid"], axis: int, factor: np.ndarray | Float[Array, " waves"]) -> Array:
    """Multiply the field's spectrum along one axis."""
    shape = [1] * field.ndim
    shape[axis] = factor.shape[0]
    spectrum = jnp.fft.rfft(field, axis=axis) * jnp.reshape(jnp.asarray(factor), shape)
    return jnp.fft.irfft(spectrum, n=field.shape[axis], axis=axis)
