"""Validation on held-out trajectories: forecasts, and the residuals of the best of them."""

import dataclasses
import functools
from collections.abc import Sequence

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Bool, Float, Int

from jaxkd.dynamics.derivatives.fourier_fit import FourierFit
from jaxkd.dynamics.derivatives.trajectories import Trajectories, curves, trajectories
from jaxkd.dynamics.identification import simulate
from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.identification.simulate import positive
from jaxkd.dynamics.solvers.solve import Solution, Solver

PIECES = 4
"""Number of pieces of the shortest trajectory; a forecast is one piece long."""

CORRECTIONS = 4
"""Gauss-Newton steps for the start of a piece."""

SOLVER = dataclasses.replace(simulate.SOLVER, adjoint=diffrax.ForwardMode())
"""Solver with forward-mode derivatives, for the corrections."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Forecasts of measured trajectories, in the states' units."""

    curves: FourierFit
    """Curve of each trajectory, fitted to the samples alone."""
    deviation: Float[np.ndarray, " states"]
    """Standard deviation of the samples."""
    noise: Float[np.ndarray, " states"]
    """Standard deviation of a sample about its curve."""
    trajectory: Int[np.ndarray, " pieces"]
    start: Int[np.ndarray, " pieces"]
    """First sample of each piece."""
    measured: Float[np.ndarray, "pieces samples states"]
    forecast: Float[np.ndarray, "pieces samples states"]
    """Forecast from the curve's value at the piece's start; nan if there is none."""
    remainder: Float[np.ndarray, "pieces samples states"]
    """Measured minus the forecast from the best start; nan if there is none."""
    reached: Bool[np.ndarray, " pieces"]
    """Whether the solver reached the piece's end."""

    @property
    def forecast_error(self) -> Float[np.ndarray, " states"]:
        """Root mean square error of forecasts, less the samples' noise, as a share of the standard deviation."""
        square = np.mean((self.forecast - self.measured) ** 2, axis=(0, 1))
        return np.sqrt(np.maximum(square - self.noise**2, 0.0)) / positive(self.deviation)

    @property
    def autocorrelation(self) -> Float[np.ndarray, " states"]:
        """Lag-one autocorrelation of the residuals: about 0 for noise."""
        before, after = self.remainder[:, :-1], self.remainder[:, 1:]
        square = np.mean(self.remainder**2, axis=(0, 1))
        return np.mean(before * after, axis=(0, 1)) / positive(square)

    @property
    def left_over(self) -> Float[np.ndarray, " states"]:
        """Part of the residuals that the next sample shares, as a share of the standard deviation."""
        square = np.mean(self.remainder**2, axis=(0, 1))
        return np.sqrt(np.maximum(self.autocorrelation, 0.0) * square) / positive(self.deviation)


def held_out(
    equations: Equations,
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "*trajectories times"],
    *,
    inputs: Float[Array, "trajectories times inputs"] | None = None,
    lengths: Sequence[int] | None = None,
    order: int = 1,
    solver: Solver | None = None,
) -> HeldOut:
    """Forecast pieces of each trajectory, from their smoothed starts and from the best ones.

    Args:
        equations: equations found on other trajectories.
        states: measured states, float64.
        times: sample times of all trajectories or of each, float64, increasing.
        inputs: values at the same times.
        lengths: samples of each trajectory, if they differ.
        order: 2 if only the first half of the equations' states was measured, and the others are their velocities.
        solver: solver with a forward-mode adjoint.  None: `SOLVER`.

    Returns:
        NumPy arrays.  Divergence raises no error: `reached` reports it.

    Raises:
        ValueError: mismatched arrays, times that do not increase, samples that are not finite, or too few of them.

    Source: free-run validation and tests of residuals as in Billings, Nonlinear System Identification (doi
    10.1002/9781118535561), chapter 5.  Deviation: pieces of a quarter of the shortest trajectory.

    Example:
        >>> import jax, jax.numpy as jnp, sympy
        >>> x = sympy.Symbol("x")
        >>> with jax.enable_x64(True):
        ...     times = jnp.linspace(0.0, 2.0, 33)[None]
        ...     held = held_out(Equations.of([-2 * x], (x,)), jnp.exp(-2 * times)[..., None], times)
        >>> held.forecast.shape, bool(held.forecast_error[0] < 1e-3)
        ((4, 9, 1), True)
    """
    names = equations.states[: len(equations.states) // order]
    given = trajectories(states, times, inputs, lengths, names=names, input_names=equations.inputs)
    fits = curves(given.states, given.times, jnp.asarray(given.there))
    samples = int(given.lengths.min()) // PIECES + 1
    pieces = [
        (index, start)
        for index, length in enumerate(given.lengths)
        for start in range(0, int(length) - samples + 1, samples - 1)
    ]
    trajectory, start = np.array(pieces).T
    rows = start[:, None] + np.arange(samples)[None]
    moments, measured = (side[trajectory[:, None], rows] for side in (given.times, given.states))
    driven = None if given.inputs is None else given.inputs[trajectory[:, None], rows]
    begun = jax.vmap(functools.partial(start_of, order=order))(
        jax.tree.map(lambda leaf: leaf[trajectory], fits), moments[:, 0]
    )
    deviation = np.std(np.asarray(given.states), axis=(0, 1), where=given.there[:, :, None])
    forecast, remainder, reached = _pieces(
        jnp.asarray(equations.coefficients),
        begun,
        moments,
        measured,
        driven,
        jnp.asarray(scales(fits, given, order=order)),
        terms=equations.terms,
        variables=equations.variables,
        solver=SOLVER if solver is None else solver,
    )
    return HeldOut(
        curves=fits,
        deviation=deviation,
        noise=np.sqrt(np.average(np.asarray(fits.noise) ** 2, axis=0, weights=given.lengths)),
        trajectory=trajectory,
        start=start,
        measured=np.asarray(measured),
        forecast=np.where(np.asarray(reached)[:, None, None], forecast, np.nan),
        remainder=np.where(np.asarray(reached)[:, None, None], remainder, np.nan),
        reached=np.asarray(reached),
    )


def start_of(curve: FourierFit, time: Float[Array, ""], *, order: int) -> Float[Array, " states"]:
    """Return the states of a curve at one time, then their velocities if of order 2."""
    return jnp.concatenate([curve.at(time[None], derivative=derivative)[0] for derivative in range(order)])


def scales(fits: FourierFit, measured: Trajectories, *, order: int) -> Float[np.ndarray, " states"]:
    """Return the standard deviation of the samples, then that of their curves' slopes if of order 2; 1 for none."""
    parts = [measured.states]
    if order == 2:
        parts.append(jax.vmap(lambda curve, times: curve.at(times, derivative=1))(fits, measured.times))
    found = [np.std(np.asarray(part), axis=(0, 1), where=measured.there[:, :, None]) for part in parts]
    return positive(np.concatenate(found))


@functools.partial(jax.jit, static_argnames=("terms", "variables", "solver"))
def _pieces(
    coefficients: Float[Array, "terms all_states"],
    begun: Float[Array, "pieces all_states"],
    times: Float[Array, "pieces samples"],
    measured: Float[Array, "pieces samples states"],
    inputs: Float[Array, "pieces samples inputs"] | None,
    deviation: Float[Array, " all_states"],
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    solver: Solver,
) -> tuple[Float[Array, "pieces samples states"], Float[Array, "pieces samples states"], Bool[Array, " pieces"]]:
    """Forecasts, residuals from the best starts, and whether the end is reached."""
    simulated = functools.partial(
        simulate.simulate, terms=terms, variables=variables, deviation=deviation, solver=solver
    )

    count = measured.shape[2]

    def piece(begun: Array, times: Array, measured: Array, inputs: Array | None) -> tuple[Array, Array, Array]:
        def left(start: Array) -> tuple[Array, Solution]:
            solution = simulated(coefficients, start, times, inputs)
            return (measured - solution.states[:, :count]) / deviation[None, :count], solution

        def corrected(_: Array, best: tuple[Array, Array]) -> tuple[Array, Array]:
            start, rest = best
            slopes = jnp.reshape(jax.jacfwd(left, has_aux=True)(start)[0], (-1, start.size))
            better = start - jnp.linalg.solve(slopes.T @ slopes, slopes.T @ jnp.reshape(rest, -1))
            after = left(better)[0]
            closer = jnp.sum(after**2) < jnp.sum(rest**2)
            return jnp.where(closer, better, start), jnp.where(closer, after, rest)

        rest, first = left(begun)
        _, rest = jax.lax.fori_loop(0, CORRECTIONS, corrected, (begun, rest))
        return first.states[:, :count], rest * deviation[None, :count], first.succeeded

    return jax.lax.map(lambda each: piece(*each), (begun, times, measured, inputs))
