"""From noisy trajectories to equations: curves, bettered in rounds, then the weak form and a sparse regression."""

import dataclasses
import functools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Float

from jaxkd.dynamics import library
from jaxkd.dynamics.equations import Equations
from jaxkd.dynamics.fourier_fit import FourierFit, fourier_fit
from jaxkd.dynamics.least_squares import independent, subset_fit, triangle
from jaxkd.dynamics.sparse_fit import SparseFit, sparse_fit
from jaxkd.dynamics.sparse_paths import SparsePath
from jaxkd.dynamics.weak_form import weak_form, window_length

SUBDIVISIONS = 4
"""Of the time between two samples, for integrals of what is smooth."""

ROUNDING = 1e-12
"""Of a state's largest value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identified:
    """Equations, and what they were made of."""

    equations: Equations
    fit: SparseFit
    curves: FourierFit
    """Of each trajectory, with a first axis for them: what the samples alone say."""
    states: Float[Array, "trajectories times states"]
    """Smooth, after the rounds: what the terms were taken at."""


def identify(
    states: Float[Array, "trajectories times states"],
    times: Float[Array, " times"],
    *,
    names: tuple[sympy.Symbol, ...],
    terms: tuple[sympy.Expr, ...],
    inputs: Float[Array, "trajectories times inputs"] | None = None,
    input_names: tuple[sympy.Symbol, ...] = (),
    path: SparsePath | None = None,
    window: int | None = None,
    rounds: int = 2,
    folds: int = 8,
) -> Identified:
    """The sparsest equations y' = f(y, u) of a library of terms that trajectories do not contradict.

    States are smoothed by `fourier_fit`, terms are taken at the smooth states and integrated against windows by
    `weak_form`, and `sparse_fit` chooses among them; nothing is set by hand.  In between, smooth states are bettered:
    all terms together are fitted and integrated in time along them, and the samples are smoothed about that integral.
    What turns sharply is in the integral, so that the rest is slow and keeps less of the noise.

    Args:
        states: as measured, float64, each in its own unit, which the coefficients then are in.
        times: of all trajectories, float64, increasing.
        names: of the states.
        terms: candidates for every equation, made of `names` and `input_names`.
        inputs: known without noise at the same times; None where there are none.
        input_names: of the inputs.
        path: the way to choose terms.  None: `BackwardElimination()`.
        window: samples of a window; None: a twelfth of the record, nine at least.
        rounds: of bettering the smooth states.
        folds: of the cross-validation, over trajectories.  Fewer than so many are cut into pieces.

    Returns:
        Equations with the states' names.

    Raises:
        TypeError: arrays of another dtype than float64.
        ValueError: names that do not fit the arrays, times that do not increase or states that are not finite (the
            first one is named), or a record too short.

    Source: SINDy of Brunton, Proctor & Kutz 2016 (doi 10.1073/pnas.1517384113), in the weak form of Messenger & Bortz
    (arXiv 2005.04339); stage 1 of SNODE (arXiv 2503.08059) matches slopes instead, see `fourier_fit`.  Deviation:
    features of smoothed states against measured states, the rounds, and the choice of terms, as said.  The rounds are
    in the spirit of FNODE (arXiv 2405.11542), which simulates between the samples.

    Example:
        >>> import jax
        >>> from jaxkd.dynamics import systems
        >>> with jax.enable_x64(True):
        ...     system = systems.LOTKA_VOLTERRA
        ...     clean = system.trajectories(jax.random.key(0), 16)
        ...     measured = systems.with_noise(clean, jax.random.key(1), level=0.02)
        ...     names = system.equations.states
        ...     terms = library.polynomials(names, degree=3)
        ...     found = identify(measured, system.times(), names=names, terms=terms)
        >>> print(found.equations.rounded(2))
        dx/dt = 1.5 x - x y
        dy/dt = -3 y + x y
    """
    _require_increasing(times)
    _require_finite(states, names, "states")
    if inputs is not None:
        _require_finite(inputs, input_names, "inputs")
    window = window_length(times.size) if window is None else window
    curves, smooth, features, targets = _integrated(
        states, times, inputs, terms=terms, variables=names + input_names, window=window, rounds=rounds
    )
    pieces = -(-folds // states.shape[0])
    features, targets = (_pieces(side, pieces) for side in (features, targets))
    fit = _fitted(features, targets, path=path, folds=folds)
    equations = Equations(states=names, inputs=input_names, terms=terms, coefficients=np.asarray(fit.coefficients))
    return Identified(equations=equations, fit=fit, curves=curves, states=smooth)


@functools.partial(jax.jit, static_argnames=("terms", "variables", "window", "rounds"))
def _integrated(
    states: Float[Array, "trajectories times states"],
    times: Float[Array, " times"],
    inputs: Float[Array, "trajectories times inputs"] | None,
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    window: int,
    rounds: int,
) -> tuple[
    FourierFit,
    Float[Array, "trajectories times states"],
    Float[Array, "trajectories windows terms"],
    Float[Array, "trajectories windows states"],
]:
    """Curves, smooth states, and both sides of the equations in each window."""
    values = library.values(terms, variables)
    fine = _subdivided(times)
    fit = jax.vmap(lambda samples: fourier_fit(samples, times))
    at = jax.vmap(lambda curve: curve.at(fine))
    controls = None if inputs is None else jax.vmap(lambda inputs: _interpolated(inputs, times, fine))(inputs)
    stride = max(1, window // 4)

    def features(smooth: Float[Array, "trajectories fine states"]) -> Float[Array, "trajectories fine terms"]:
        return values(smooth if controls is None else jnp.concatenate([smooth, controls], axis=2))

    def sides(known: Array, smooth: Array, states: Array) -> tuple[Array, Array]:
        # What is smooth between the samples, so that the rule of the integral adds nothing to the noise, and the rest.
        fine_window, fine_stride = SUBDIVISIONS * (window - 1) + 1, SUBDIVISIONS * stride
        left, right = weak_form(known, smooth, fine, window=fine_window, stride=fine_stride)
        rest = states - smooth[::SUBDIVISIONS]
        return left, right + weak_form(rest, rest, times, window=window, stride=stride)[1]

    curves = fit(states)
    smooth = at(curves)
    for _ in range(rounds):
        known = features(smooth)
        slopes = known @ _all_terms(*jax.vmap(sides)(known, smooth, states))
        integral = jax.vmap(lambda slopes: _cumulative(slopes, fine))(slopes)
        smooth = integral + at(fit(states - integral[:, ::SUBDIVISIONS]))
    left, right = jax.vmap(sides)(features(smooth), smooth, states)
    # Of a state that does not move a window sees rounding, which is not to be explained.
    moves = jnp.abs(right) > ROUNDING * jnp.max(jnp.abs(states), axis=(0, 1))[None, None]
    return curves, smooth[:, ::SUBDIVISIONS], left, jnp.where(moves, right, 0.0)


def _subdivided(times: Float[Array, " times"]) -> Float[Array, " fine"]:
    """The times, and SUBDIVISIONS - 1 evenly between each two."""
    shares = jnp.arange(SUBDIVISIONS) / SUBDIVISIONS
    inner = times[:-1, None] + jnp.diff(times)[:, None] * shares[None]
    return jnp.concatenate([jnp.reshape(inner, -1), times[-1:]])


def _interpolated(
    inputs: Float[Array, "times inputs"], times: Float[Array, " times"], fine: Float[Array, " fine"]
) -> Float[Array, "fine inputs"]:
    """Inputs between the samples, by cubics whose slopes look back."""
    curve = diffrax.CubicInterpolation(times, diffrax.backward_hermite_coefficients(times, inputs))
    return jax.vmap(curve.evaluate)(fine)


def _all_terms(
    features: Float[Array, "trajectories windows terms"], targets: Float[Array, "trajectories windows states"]
) -> Float[Array, "terms states"]:
    """Coefficients of all terms, but for those that others make up."""
    terms = features.shape[2]
    whole = triangle(*(jnp.reshape(side, (-1, side.shape[2])) for side in (features, targets)))
    factor = whole[:, :terms]
    own = independent(factor)
    return jax.vmap(lambda target: subset_fit(factor, target, own)[0])(whole[:, terms:].T).T


def _cumulative(slopes: Float[Array, "times states"], times: Float[Array, " times"]) -> Float[Array, "times states"]:
    """Integrals from the first time, by the trapezoidal rule."""
    steps = jnp.diff(times)[:, None] * (slopes[1:] + slopes[:-1]) / 2
    return jnp.concatenate([jnp.zeros_like(slopes[:1]), jnp.cumsum(steps, axis=0)])


_fitted = jax.jit(sparse_fit, static_argnames=("path", "folds"))


def _pieces(rows: Float[Array, "trajectories windows columns"], count: int) -> Float[Array, "blocks rows columns"]:
    """Each trajectory's windows in so many blocks, the last filled up with zeros, which say nothing."""
    trajectories, windows, columns = rows.shape
    length = -(-windows // count)
    filled = jnp.pad(rows, ((0, 0), (0, count * length - windows), (0, 0)))
    return jnp.reshape(filled, (trajectories * count, length, columns))


def _require_increasing(times: Float[Array, " times"]) -> None:
    moments = np.asarray(times)
    wrong = np.flatnonzero(~(np.diff(moments) > 0))
    if wrong.size:
        first = int(wrong[0])
        raise ValueError(
            f"times must increase, got {moments[first + 1]} at sample {first + 1} after {moments[first]}, and "
            f"{wrong.size - 1} more. Sort the samples by time, and keep one of each."
        )


def _require_finite(values: Array, names: tuple[sympy.Symbol, ...], what: str) -> None:
    if values.ndim != 3 or values.shape[2] != len(names):
        raise ValueError(
            f"{what} must be [trajectories, times, {len(names)}] for the names {names}, got {values.shape}."
        )
    missing = np.argwhere(~np.isfinite(np.asarray(values)))
    if missing.size:
        trajectory, time, channel = missing[0]
        raise ValueError(
            f"{what} must be finite, got {values[trajectory, time, channel]} for {names[channel]} of trajectory "
            f"{trajectory} at sample {time}, and {len(missing) - 1} more. Leave those samples out."
        )
