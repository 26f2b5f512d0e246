"""Test whether lagged states explain more than present ones: then states are hidden, or terms are missing."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Bool, Float, Int

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
    smooth: Float[Array, "trajectories times variables"],
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    window: int,
    lengths: Sequence[int],
) -> HiddenStateTest:
    """Compare what the library leaves unexplained without and with lagged states.

    If all states of a system are measured, its rates of change are functions of them.  If not, its past carries
    information about what was not measured.

    Args:
        smooth: noise-free states, then inputs: `Identified.states`.
        states: measured states, float64.
        times: sample times of each trajectory, increasing.
        terms: the library.
        variables: states, then inputs.
        window: samples of a window of the weak form.
        lengths: samples of each trajectory.

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
    lag = window // 2
    after = np.asarray(lengths) - lag
    rows = blocks(after, samples=states.shape[1] - lag, window=window, stride=window_stride(window), folds=FOLDS)
    present, both = _shares(
        smooth, states, times, jnp.asarray(after), rows, terms=terms, variables=variables, window=window, lag=lag
    )
    return HiddenStateTest(by_present=np.asarray(present), by_past=np.asarray(both))


@functools.partial(jax.jit, static_argnames=("terms", "variables", "window", "lag"))
def _shares(
    smooth: Float[Array, "trajectories times variables"],
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    after: Int[Array, " trajectories"],
    rows: Int[Array, "blocks rows"],
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    window: int,
    lag: int,
) -> list[Float[Array, " states"]]:
    there = jnp.arange(times.shape[1] - lag)[None] < after[:, None]
    deviation = jnp.std(smooth, axis=(0, 1))
    unit = smooth / jnp.where(deviation > 0, deviation, 1.0)[None, None]
    now, before = unit[:, lag:], unit[:, :-lag, : states.shape[2]]
    present = library.values(terms, variables)(smooth)[:, lag:]
    products = jnp.reshape(before[..., :, None] * now[..., None, :], (*before.shape[:2], -1))

    def unexplained(features: Float[Array, "trajectories samples terms"]) -> Float[Array, " states"]:
        windows = functools.partial(weak_form, window=window, stride=window_stride(window))
        sides = jax.vmap(lambda f, y, t, there: windows(f, y, t, mask=there))
        left, right = (gathered(side, rows) for side in sides(features, states[:, lag:], times[:, lag:], there))
        fit = sparse_fit(left, right, path=_All(), folds=FOLDS)
        moves = jnp.sum(right**2, axis=(0, 1)) / jnp.sum(rows >= 0)
        return jnp.mean(fit.errors[:, 0], axis=1) / jnp.where(moves > 0, moves, 1.0)

    return [unexplained(present), unexplained(jnp.concatenate([present, before, products], axis=2))]
