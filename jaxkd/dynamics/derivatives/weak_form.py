"""Equations in integrated form, which differentiates only a known window."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.dynamics.float64 import require_float64

TIMESCALES = 1.5
"""Maximum window length in time scales: over a longer window, oscillations of the states cancel."""

POWER = 4
"""Exponent of a window, (1 - s^2)^POWER on s from -1 to 1."""


def weak_form(
    features: Float[Array, "times terms"],
    states: Float[Array, "times channels"],
    times: Float[Array, " times"],
    *,
    window: int,
    stride: int = 1,
    order: int = 1,
    mask: Bool[Array, " times"] | None = None,
) -> tuple[Float[Array, "windows terms"], Float[Array, "windows channels"]]:
    """Integrate y' = f(y) c times windows w(t): the integral of w f, and minus that of w' y.

    For y'' = f(y, y') c, of order 2, the second is the integral of w'' y.

    Windows average white noise and never differentiate it.

    Args:
        features: f at the samples, preferably of smoothed states: a product of noisy states is biased.
        states: y as measured.  They enter unsmoothed, without bias.
        times: increasing, not necessarily evenly spaced: integrals use the trapezoidal rule.
        window: samples per window, odd and at least 5.
        stride: samples from one window to the next.
        order: order of the derivative, 1 or 2.
        mask: True for samples that exist; None: all.  A window with a missing sample is zero on both sides.

    Returns:
        Both sides for each window, in units of features times time, and of states (over time if of order 2); a window
        is dimensionless.

    Raises:
        TypeError: an array is not float64.
        ValueError: a window or stride that does not fit the record, or another order.

    Source: Schaeffer & McCalla 2017 (doi 10.1103/PhysRevE.96.023302); windows of Messenger & Bortz, Weak SINDy (arXiv
    2005.04339), equation 4.1 with equal powers, of order 2 as in their Weak SINDy for PDEs (arXiv 2007.02848).
    Deviation: rows are not whitened by the covariance of overlapping windows.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> with jax.enable_x64(True):
        ...     times = jnp.linspace(0.0, 1.0, 41)
        ...     states = jnp.exp(-2 * times)[:, None]
        ...     left, right = weak_form(states, states, times, window=21, stride=20)
        ...     [round(float(c), 3) for c in right[:, 0] / left[:, 0]]
        [-2.0, -2.0]
    """
    require_float64(features=features, states=states, times=times)
    count = times.size
    if not 5 <= window <= count or window % 2 == 0 or not stride >= 1:
        raise ValueError(
            f"window must be odd, at least 5 and at most the {count} samples, and stride at least 1, got {window} and "
            f"{stride}."
        )
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order}. Write equations of higher order as several of these.")
    rows = jnp.arange(0, count - window + 1, stride)[:, None] + jnp.arange(window)[None]
    moments = times[rows]
    half = (moments[:, -1:] - moments[:, :1]) / 2
    place = (moments - moments[:, :1]) / half - 1
    inner = 1 - place**2
    present = jnp.ones((rows.shape[0], 1), bool) if mask is None else jnp.all(mask[rows], axis=1, keepdims=True)
    weights = _trapezoids(moments)
    bump = jnp.where(present, weights * inner**POWER, 0.0)
    if order == 1:
        change = weights * -2 * POWER * place * inner ** (POWER - 1) / half
    else:
        change = weights * 2 * POWER * (2 * (POWER - 1) * place**2 - inner) * inner ** (POWER - 2) / half**2
    change = jnp.where(present, change, 0.0)
    if mask is not None:
        features, states = (jnp.where(mask[:, None], side, 0.0) for side in (features, states))
    left = jnp.einsum("wn,wnf->wf", bump, features[rows])
    # The integral of w'' is 0, its quadrature is not quite.
    moved = states[rows] if order == 1 else states[rows] - states[rows][:, :1]
    right = (-1) ** order * jnp.einsum("wn,wnc->wc", change, moved)
    return left, right


def window_length(samples: int, timescale: float = math.inf) -> int:
    """Choose the samples per window: a twelfth of a record, at most 1.5 of its time scales, odd, and at least nine.

    Long relative to the noise's correlation, short relative to the states' variation.

    Args:
        samples: samples per record.
        timescale: standard deviation of the fastest state over that of its rate of change, in samples.

    Returns:
        An odd number of samples.

    Source: inferred, on a damped oscillator and the Van der Pol, FitzHugh-Nagumo and Duffing systems.
    Deviation: none.

    Example:
        >>> window_length(81), window_length(251), window_length(1201, timescale=8.0)
        (9, 21, 13)
    """
    longest = max(9, int(min(samples // 12, TIMESCALES * timescale)))
    return longest + 1 - longest % 2


def window_stride(window: int) -> int:
    """Return the samples from one window to the next: a quarter of a window, as more overlap is not worth its rows."""
    return max(1, window // 4)


def _trapezoids(times: Float[Array, "windows samples"]) -> Float[Array, "windows samples"]:
    steps = jnp.diff(times, axis=1)
    nothing = jnp.zeros_like(steps[:, :1])
    return (jnp.concatenate([nothing, steps], axis=1) + jnp.concatenate([steps, nothing], axis=1)) / 2
