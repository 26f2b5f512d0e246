"""Estimators of rates of change from noisy samples, with one interface."""

import abc
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxkd.dynamics.derivatives.periodic_grid import PeriodicGrid
from jaxkd.dynamics.derivatives.trajectories import Trajectories, curves


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlopeEstimator(abc.ABC):
    """Estimator of states and their rates of change at the sample times of trajectories."""

    @abc.abstractmethod
    def __call__(
        self, given: Trajectories
    ) -> tuple[Float[Array, "trajectories times states"], Float[Array, "trajectories times states"]]:
        """Return states, smoothed or as measured, and their slopes; values after a record's end are meaningless."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FourierSlopes(SlopeEstimator):
    """Slopes of a cubic plus sines, with a cut-off fitted to each channel's noise: see `fourier_fit`."""

    def __call__(
        self, given: Trajectories
    ) -> tuple[Float[Array, "trajectories times states"], Float[Array, "trajectories times states"]]:
        return fourier_slopes(given.states, given.times, jnp.asarray(given.there))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CentralDifferences(SlopeEstimator):
    """Slopes of the parabola through a sample and its neighbours; the states stay as measured.

    Source: Fornberg 1988 (doi 10.1090/S0025-5718-1988-0935077-0), of second order on uneven times.  Deviation: none.
    """

    def __call__(
        self, given: Trajectories
    ) -> tuple[Float[Array, "trajectories times states"], Float[Array, "trajectories times states"]]:
        slopes = np.zeros_like(given.states)
        for number, length in enumerate(given.lengths):
            times, states = np.asarray(given.times[number, :length]), np.asarray(given.states[number, :length])
            slopes[number, :length] = np.gradient(states, times, axis=0, edge_order=2)
        return given.states, jnp.asarray(slopes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplineSlopes(SlopeEstimator):
    """Slopes of a cubic smoothing spline, with its stiffness chosen by generalised cross-validation.

    Time is rescaled to unit steps, without which the search for the stiffness fails.

    Source: SciPy's `make_smoothing_spline`, after Woltring 1986 (doi 10.1016/0141-1195(86)90098-7).  Deviation: none.
    """

    def __call__(
        self, given: Trajectories
    ) -> tuple[Float[Array, "trajectories times states"], Float[Array, "trajectories times states"]]:
        from scipy.interpolate import make_smoothing_spline

        smooth, slopes = np.array(given.states), np.zeros_like(given.states)
        for number, length in enumerate(given.lengths):
            times = np.asarray(given.times[number, :length])
            step = (times[-1] - times[0]) / (length - 1)
            for channel in range(smooth.shape[2]):
                curve = make_smoothing_spline(times / step, smooth[number, :length, channel])
                smooth[number, :length, channel] = curve(times / step)
                slopes[number, :length, channel] = curve(times / step, nu=1) / step
        return jnp.asarray(smooth), jnp.asarray(slopes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridSlopes(SlopeEstimator):
    """Slopes of `FourierSlopes`, with spatial noise removed from the samples and from the curves."""

    grid: PeriodicGrid

    def __call__(
        self, given: Trajectories
    ) -> tuple[Float[Array, "trajectories times states"], Float[Array, "trajectories times states"]]:
        cutoffs = self.grid.cutoffs(given.states)
        kept = self.grid.without_shorter(given.states, cutoffs)
        states, slopes = fourier_slopes(kept, given.times, jnp.asarray(given.there))
        return self.grid.without_shorter(states, cutoffs), self.grid.without_shorter(slopes, cutoffs)


@jax.jit
def fourier_slopes(
    states: Float[Array, "trajectories times states"],
    times: Float[Array, "trajectories times"],
    there: Bool[Array, "trajectories times"],
) -> tuple[Float[Array, "trajectories times states"], Float[Array, "trajectories times states"]]:
    """Return smooth states and slopes of each trajectory, from the samples that exist."""
    fits = curves(states, times, there)
    smooth, slopes = (jax.vmap(lambda curve, at, n=n: curve.at(at, derivative=n))(fits, times) for n in (0, 1))
    return smooth, slopes
