"""Test whether lagged states explain more than present ones: then states are hidden, or terms are missing."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Bool, Float, Int

from jaxkd.dynamics.derivatives.subdivision import subdivided
from jaxkd.dynamics.derivatives.weak_form import weak_form, window_stride
from jaxkd.dynamics.identification import library
from jaxkd.dynamics.identification.blocks import blocks, gathered
from jaxkd.dynamics.identification.least_squares import independent
from jaxkd.dynamics.identification.sparse_fit import sparse_fit
from jaxkd.dynamics.identification.sparse_paths import SparsePath

FOLDS = 8


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HiddenStateTest:
    """Shares of each state's variation that a fit to other trajectories does not explain."""

    by_present: Float[np.ndarray, " states"]
    """Unexplained share with all terms of the library, at the present states."""
    by_past: Float[np.ndarray, " states"]
    """Unexplained share with the states half a window earlier as further terms, alone and times the present ones."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _All(SparsePath):
    """Path with one candidate: all linearly independent terms."""

    def __call__(
        self, factor: Float[Array, "rows terms"], target: Float[Array, " rows"]
    ) -> Bool[Array, "candidates terms"]:
        return independent(factor)[None]


def hidden_state_test(
    smooth: Float[Array, "trajectories fine variables"],
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    window: int,
    lengths: Sequence[int],
    order: int = 1,
) -> HiddenStateTest:
    """Compare what the library leaves unexplained without and with lagged states.

    If all states of a system are measured, its rates of change are functions of them.  If not, its past carries
    information about what was not measured.

    Args:
        smooth: noise-free variables at the samples, or also at evenly spaced times between them: `Identified.fine`.
            Unevenly spaced samples need the latter: the trapezoidal rule over them alone has errors that look like
            motion that nothing explains.
        states: measured states, float64.
        times: sample times of each trajectory, increasing.
        terms: the library.
        variables: states, then inputs; velocities between them if of order 2.
        window: samples of a window of the weak form.
        lengths: samples of each trajectory.
        order: order of the states' derivatives that the terms are to explain.

    Returns:
        Two shares for each state; 0 for a constant one.

    Raises:
        ValueError: too few windows.

    Source: inferred, from delay coordinates (Takens 1981, doi 10.1007/BFb0091924).  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp, sympy
        >>> x = sympy.Symbol("x")
        >>> with jax.enable_x64(True):  # the place of a pendulum, whose speed nobody measured
        ...     times = jnp.tile(jnp.linspace(0.0, 9.0, 91), (4, 1))
        ...     states = jnp.sin(times + jnp.arange(4.0)[:, None])[..., None]
        ...     known = {"window": 9, "lengths": (91,) * 4}
        ...     shares = hidden_state_test(states, states, times, terms=(x,), variables=(x,), **known)
        >>> bool(shares.by_present[0] > 0.9), bool(shares.by_past[0] < 1e-3)
        (True, True)
    """
    delay, lag = delay_of(times, window=window)
    after = np.asarray(lengths) - lag
    rows = blocks(after, samples=states.shape[1] - lag, window=window, stride=window_stride(window), folds=FOLDS)
    options = {"terms": terms, "variables": variables, "window": window, "lag": lag, "order": order}
    present, both = _shares(smooth, states, times, delay, jnp.asarray(after), rows, **options)
    return HiddenStateTest(by_present=np.asarray(present), by_past=np.asarray(both))


def delay_of(times: Float[Array, "trajectories times"], *, window: int) -> tuple[Float[Array, ""], int]:
    """Return the delay of the lagged states, half a window at the mean step, and how many samples it takes at most.

    Args:
        times: sample times of each trajectory, increasing.
        window: samples of a window of the weak form.
    """
    since = np.asarray(times) - np.asarray(times)[:, :1]
    delay = np.median(since[:, -1]) / (times.shape[1] - 1) * (window // 2)
    # A rounding error is no sample.
    return jnp.asarray(delay), int(np.argmax(np.min(since, axis=0) > (1 - 1e-9) * delay))


@functools.partial(jax.jit, static_argnames=("terms", "variables", "window", "lag", "order"))
def _shares(
    smooth: Float[Array, "trajectories fine variables"],
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    delay: Float[Array, ""],
    after: Int[Array, " trajectories"],
    rows: Int[Array, "blocks rows"],
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    window: int,
    lag: int,
    order: int,
) -> list[Float[Array, " states"]]:
    parts = (smooth.shape[1] - 1) // (times.shape[1] - 1)
    count, stride = states.shape[2], window_stride(window)
    fine = jax.vmap(lambda one: subdivided(one, parts))(times)
    there = jnp.arange(times.shape[1] - lag)[None] < after[:, None]
    deviation = jnp.std(smooth, axis=(0, 1))
    unit = smooth / jnp.where(deviation > 0, deviation, 1.0)[None, None]
    each = jax.vmap(jnp.interp, in_axes=(None, None, 1), out_axes=1)
    before = jax.vmap(lambda t, y: each(t - delay, t, y))(fine, unit[..., : order * count])[:, parts * lag :]
    now, present = unit[:, parts * lag :], library.values(terms, variables)(smooth)[:, parts * lag :]
    products = jnp.reshape(before[..., :, None] * now[..., None, :], (*before.shape[:2], -1))
    rest = (states - smooth[:, ::parts, :count])[:, lag:]

    def sides(features: Array, smooth: Array, fine: Array, rest: Array, times: Array, there: Array) -> tuple:
        options = {"window": parts * (window - 1) + 1, "stride": parts * stride, "order": order}
        fine_there = jnp.repeat(there, parts)[: fine.size]
        left, right = weak_form(features, smooth, fine, mask=fine_there, **options)
        noise = weak_form(rest, rest, times, window=window, stride=stride, order=order, mask=there)[1]
        return left, right + noise

    def unexplained(features: Float[Array, "trajectories samples terms"]) -> Float[Array, " states"]:
        at = (smooth[:, parts * lag :, :count], fine[:, parts * lag :], rest, times[:, lag:], there)
        left, right = (gathered(side, rows) for side in jax.vmap(sides)(features, *at))
        fit = sparse_fit(left, right, path=_All(), folds=FOLDS)
        moves = jnp.sum(right**2, axis=(0, 1)) / jnp.sum(rows >= 0)
        return jnp.mean(fit.errors[:, 0], axis=1) / jnp.where(moves > 0, moves, 1.0)

    return [unexplained(present), unexplained(jnp.concatenate([present, before, products], axis=2))]
