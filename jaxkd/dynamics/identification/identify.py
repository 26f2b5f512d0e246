"""Identification of equations from noisy trajectories: refined smoothing, the weak form and sparse regression."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Bool, Float, Int

from jaxkd.dynamics.derivatives.fourier_fit import FourierFit
from jaxkd.dynamics.derivatives.subdivision import subdivided
from jaxkd.dynamics.derivatives.trajectories import curves, trajectories
from jaxkd.dynamics.derivatives.weak_form import weak_form, window_length, window_stride
from jaxkd.dynamics.identification import library
from jaxkd.dynamics.identification.blocks import blocks, gathered
from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.identification.least_squares import independent, subset_fit, triangle
from jaxkd.dynamics.identification.second_order import first_order
from jaxkd.dynamics.identification.sparse_fit import SparseFit, sparse_fit
from jaxkd.dynamics.identification.sparse_paths import SparsePath
from jaxkd.dynamics.solvers.control import control
from jaxkd.typing import Scalar

SUBDIVISIONS = 4
"""Number of steps between two samples, for integrals of smooth curves."""

ROUNDING = 1e-12
"""Rounding error, relative to a state's largest absolute value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identified:
    """Identified equations, with the fit and the curves behind them."""

    equations: Equations
    """Equations of the states' rates of change; or of their second derivatives, with velocities as the first inputs."""
    fit: SparseFit
    curves: FourierFit
    """Curves fitted to the samples alone, with a leading axis for the trajectories."""
    states: Float[Array, "trajectories times all_states"]
    """Smooth states after the last round, at which the terms are evaluated; then their velocities if of order 2."""
    fine: Float[Array, "trajectories fine variables"]
    """The same, then the inputs, at `SUBDIVISIONS` steps between two samples, where the windows are integrated."""
    window: int
    """Window length of the weak form, in samples."""
    order: int = 1
    """Order of the derivatives that the equations are of."""

    @property
    def system(self) -> Equations:
        """The equations as a system of first order, to solve."""
        return self.equations if self.order == 1 else first_order(self.equations)


def identify(
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "*trajectories times"],
    *,
    names: tuple[sympy.Symbol, ...],
    terms: tuple[sympy.Expr, ...],
    inputs: Float[Array, "trajectories times inputs"] | None = None,
    input_names: tuple[sympy.Symbol, ...] = (),
    velocities: tuple[sympy.Symbol, ...] = (),
    lengths: Sequence[int] | None = None,
    known: Equations | None = None,
    signs: Int[Array, "terms states"] | None = None,
    path: SparsePath | None = None,
    window: int | None = None,
    rounds: int = 2,
    folds: int = 8,
) -> Identified:
    """Identify the sparsest equations y' = f(y, u), over a library of terms, that fit the trajectories.

    `fourier_fit` smooths the states, `weak_form` integrates the terms at the smooth states against windows, and
    `sparse_fit` chooses among the terms; nothing is set by hand.  In between, the smooth states are refined: all terms
    together are fitted and integrated in time along them, and the samples are smoothed about that integral.  The
    integral contains the sharp turns, so that the rest is slow and retains less of the noise.

    With `velocities` the equations are of second order, y'' = f(y, y', u), and y' is that of the smooth states: windows
    are differentiated twice and samples never, and the refinement integrates twice.

    Args:
        states: measured states, float64, each in its own unit, which the coefficients inherit.
        times: sample times of all trajectories or of each, float64, increasing.
        names: symbols of the states.
        terms: candidates for every equation, in `names`, `velocities` and `input_names`.
        inputs: noise-free inputs at the same times; None if there are none.
        input_names: symbols of the inputs.
        velocities: symbols of the states' rates of change, one per state, for equations of second order; empty: first.
        lengths: samples of each trajectory, if they differ; what follows them is not read.  None: all.
        known: known part of the right-hand sides, with its coefficients.  No coefficient is fitted for a term that an
            equation has here.
        signs: 1 or -1 if a coefficient must not have the other sign, 0 if it may.
        path: method of choosing terms.  None: `BackwardElimination()`.
        window: samples of a window; None: `window_length`.  Shorter trajectories contribute none.
        rounds: number of refinements of the smooth states.
        folds: folds of the cross-validation over trajectories.  Fewer trajectories are cut into pieces.

    Returns:
        Equations in the given names, with the fit and the curves behind them.

    Raises:
        TypeError: arrays of another dtype than float64.
        ValueError: names that do not fit the arrays, times that do not increase or states that are not finite (the
            first one is named), or too few samples.

    Source: SINDy of Brunton, Proctor & Kutz 2016 (doi 10.1073/pnas.1517384113), in the weak form of Messenger & Bortz
    (arXiv 2005.04339); stage 1 of SNODE (arXiv 2503.08059) matches slopes instead, see `fourier_fit`.  Deviation:
    features of smoothed states against measured states, the rounds, and the choice of terms, as above.  The rounds are
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
    measured = trajectories(states, times, inputs, lengths, names=names, input_names=input_names)
    if velocities and len(velocities) != len(names):
        raise ValueError(f"velocities must be one per state, got {velocities} for {names}. Name {len(names)}, or none.")
    order = 2 if velocities else 1
    there = jnp.asarray(measured.there)
    fits = curves(measured.states, measured.times, there)
    timescale = _timescale(fits, measured.states, measured.times, there)
    if window is None:
        window = window_length(order * int(np.median(measured.lengths)), float(timescale))
    stride = window_stride(window)
    fine, features, targets = _integrated(
        fits,
        measured.states,
        measured.times,
        measured.inputs,
        jnp.asarray(measured.lengths),
        terms=terms,
        variables=names + velocities + input_names,
        known=known,
        window=window,
        stride=stride,
        rounds=rounds,
        order=order,
    )
    table = blocks(measured.lengths, samples=times.shape[-1], window=window, stride=stride, folds=folds)
    features, targets = (gathered(side, table) for side in (features, targets))
    fit = _fitted(features, targets, path=path, folds=folds, allowed=_allowed(terms, names, known), signs=signs)
    equations = Equations(
        states=names, inputs=velocities + input_names, terms=terms, coefficients=np.asarray(fit.coefficients)
    )
    if known is not None:
        equations = equations + known
    return Identified(
        equations=equations,
        fit=fit,
        curves=fits,
        states=fine[:, ::SUBDIVISIONS, : order * len(names)],
        fine=fine,
        window=window,
        order=order,
    )


@jax.jit
def _timescale(
    fits: FourierFit,
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    there: Bool[Array, "trajectories times"],
) -> Scalar:
    """Timescale of the state that varies fastest, in samples."""
    smooth, slopes = (jax.vmap(lambda c, t, n=n: c.at(t, derivative=n))(fits, times) for n in (0, 1))
    present = there[:, :, None]
    deviation = jnp.std(smooth, axis=(0, 1), where=present)
    speed = jnp.sqrt(jnp.mean(slopes**2, axis=(0, 1), where=present))
    moves = deviation > ROUNDING * jnp.max(jnp.abs(states), axis=(0, 1))
    timescale = jnp.min(jnp.where(moves, deviation / jnp.where(moves, speed, 1.0), jnp.inf))
    return timescale / jnp.median(jnp.diff(times, axis=1))


@functools.partial(jax.jit, static_argnames=("terms", "variables", "known", "window", "stride", "rounds", "order"))
def _integrated(
    fits: FourierFit,
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    inputs: Float[Array, "trajectories times inputs"] | None,
    lengths: Int[Array, " trajectories"],
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    known: Equations | None,
    window: int,
    stride: int,
    rounds: int,
    order: int,
) -> tuple[
    Float[Array, "trajectories fine variables"],
    Float[Array, "trajectories windows terms"],
    Float[Array, "trajectories windows states"],
]:
    """Variables of the terms between the samples, and both sides of the equations' unknown part in each window."""
    values, count = library.values(terms, variables), states.shape[2]
    there = jnp.arange(times.shape[1])[None] < lengths[:, None]
    fine = jax.vmap(lambda one: subdivided(one, SUBDIVISIONS))(times)
    # A curve is meaningless beyond its end.
    within = jnp.minimum(fine, jnp.take_along_axis(times, lengths[:, None] - 1, axis=1))
    controls = None if inputs is None else jax.vmap(_interpolated)(inputs, times, fine)

    def at(fits: FourierFit) -> Float[Array, "trajectories fine all_states"]:
        derivatives = [jax.vmap(lambda c, t, n=n: c.at(t, derivative=n))(fits, within) for n in range(order)]
        return jnp.concatenate(derivatives, axis=2)

    def integrals(slopes: Float[Array, "trajectories fine states"]) -> Float[Array, "trajectories fine all_states"]:
        found = [jax.vmap(_cumulative)(slopes, within)]
        for _ in range(order - 1):
            found.insert(0, jax.vmap(_cumulative)(found[0], within))
        return jnp.concatenate(found, axis=2)

    def variables_at(
        smooth: Float[Array, "trajectories fine all_states"],
    ) -> Float[Array, "trajectories fine variables"]:
        return smooth if controls is None else jnp.concatenate([smooth, controls], axis=2)

    def known_at(smooth: Float[Array, "trajectories fine all_states"]) -> Float[Array, "trajectories fine states"]:
        if known is None:
            return jnp.zeros_like(smooth[..., :count])
        return library.values(known.terms, variables)(variables_at(smooth)) @ known.coefficients

    def sides(features: Array, given: Array, smooth: Array, states: Array, times: Array, fine: Array, there: Array):
        # The smooth part on the fine grid, so that quadrature errors do not add to the noise; then the rest.
        fine_there = jnp.repeat(there, SUBDIVISIONS)[: fine.size]
        windows = {"window": SUBDIVISIONS * (window - 1) + 1, "stride": SUBDIVISIONS * stride, "mask": fine_there}
        both, right = weak_form(jnp.concatenate([features, given], axis=1), smooth, fine, order=order, **windows)
        left, right = both[:, : len(terms)], right - both[:, len(terms) :]
        rest = states - smooth[::SUBDIVISIONS]
        noise = weak_form(rest, rest, times, window=window, stride=stride, order=order, mask=there)[1]
        return left, right + noise

    def equations(smooth: Array) -> tuple[Array, Array]:
        features = values(variables_at(smooth))
        return jax.vmap(sides)(features, known_at(smooth), smooth[..., :count], states, times, fine, there)

    smooth = at(fits)
    for _ in range(rounds):
        slopes = values(variables_at(smooth)) @ _all_terms(*equations(smooth)) + known_at(smooth)
        integral = integrals(slopes)
        smooth = integral + at(curves(states - integral[:, ::SUBDIVISIONS, :count], times, there))
    left, right = equations(smooth)
    # Windows of a constant state contain only rounding errors, which must not be fitted.
    unit = jnp.median(jnp.diff(times, axis=1)) ** (order - 1)
    moves = jnp.abs(right) > ROUNDING / unit * jnp.max(jnp.abs(states), axis=(0, 1))[None, None]
    return variables_at(smooth), left, jnp.where(moves, right, 0.0)


def _interpolated(
    inputs: Float[Array, "times inputs"], times: Float[Array, " times"], fine: Float[Array, " fine"]
) -> Float[Array, "fine inputs"]:
    return jax.vmap(control(times, inputs).evaluate)(fine)


def _all_terms(
    features: Float[Array, "trajectories windows terms"], targets: Float[Array, "trajectories windows states"]
) -> Float[Array, "terms states"]:
    """Fit all terms, except those that depend linearly on earlier ones."""
    terms = features.shape[2]
    whole = triangle(*(jnp.reshape(side, (-1, side.shape[2])) for side in (features, targets)))
    factor = whole[:, :terms]
    own = independent(factor)
    return jax.vmap(lambda target: subset_fit(factor, target, own)[0])(whole[:, terms:].T).T


def _cumulative(slopes: Float[Array, "times states"], times: Float[Array, " times"]) -> Float[Array, "times states"]:
    """Cumulative integrals from the first time, by the trapezoidal rule."""
    steps = jnp.diff(times)[:, None] * (slopes[1:] + slopes[:-1]) / 2
    return jnp.concatenate([jnp.zeros_like(slopes[:1]), jnp.cumsum(steps, axis=0)])


_fitted = jax.jit(sparse_fit, static_argnames=("path", "folds"))


def _allowed(
    terms: tuple[sympy.Expr, ...], names: tuple[sympy.Symbol, ...], known: Equations | None
) -> Bool[Array, "terms states"]:
    allowed = np.ones((len(terms), len(names)), bool)
    if known is not None:
        if known.states != names:
            raise ValueError(f"known must be equations of {names}, got those of {known.states}.")
        for term, coefficients in zip(known.terms, known.coefficients, strict=True):
            if term in terms:
                allowed[terms.index(term)] = np.asarray(coefficients) == 0
    return jnp.asarray(allowed)
