"""Coverage of intervals in simulations that take the identified equations as the truth."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jaxtyping import Array, Bool, Float

from jaxkd.dynamics.identification.identify import Identified
from jaxkd.dynamics.identification.simulate import positive, simulate
from jaxkd.dynamics.identification.sparse_fit import Bootstrap, SparseFit, bootstrap
from jaxkd.typing import Key


def simulated_coverage(
    found: Identified,
    times: Float[Array, "trajectories times"],
    inputs: Float[Array, "trajectories times inputs"] | None = None,
    *,
    identified: Callable[[Float[Array, "trajectories times states"]], Identified],
    key: Key,
    simulations: int,
    replicates: int,
    level: float,
) -> float:
    """Share of coefficients within their intervals, for equations identified again from simulated samples.

    The samples are those of `found`'s equations from the start of each trajectory, with noise as estimated.
    `within_intervals` states what is counted.

    Args:
        found: equations that are taken as the truth.
        times: sample times.
        inputs: values at the times.
        identified: identifies equations from samples as `found` was from the measured ones.
        key: random key for the noise and the bootstrap replicates.
        simulations: number of simulations of all trajectories, each with its own noise.
        replicates: number of bootstrap replicates.
        level: level of the intervals.

    Returns:
        The share; nan if a trajectory cannot be simulated to its end.
    """
    system = found.system
    clean = _simulated(
        jnp.asarray(system.coefficients),
        found.states[:, 0],
        times,
        inputs,
        terms=system.terms,
        variables=system.variables,
        deviation=jnp.asarray(positive(np.std(np.asarray(found.states), axis=(0, 1)))),
    )[..., : found.curves.noise.shape[-1]]
    if not jnp.all(jnp.isfinite(clean)):
        return float("nan")
    truth, held = np.asarray(found.fit.coefficients), []
    for one in jax.random.split(key, simulations):
        noise, draws = jax.random.split(one)
        samples = clean + found.curves.noise[:, None] * jax.random.normal(noise, clean.shape, clean.dtype)
        fit = identified(samples).fit
        held.append(within_intervals(fit, bootstrap(fit, draws, replicates=replicates), truth, level=level))
    return float(np.mean(np.concatenate(held)))


def within_intervals(
    fit: SparseFit, drawn: Bootstrap, truth: Float[np.ndarray, "terms channels"], *, level: float
) -> Bool[np.ndarray, " counted"]:
    """Whether the interval of each coefficient that is nonzero or was chosen covers it.

    The interval of a chosen term that is not true must contain 0; a true term that was not chosen is not covered.

    Args:
        fit: fit with the chosen terms.
        drawn: bootstrap of the fit.
        truth: true coefficients of the same terms.
        level: level of the intervals.
    """
    low, high = map(np.asarray, drawn.interval(level))
    return ((low <= truth) & (truth <= high))[(truth != 0) | (np.asarray(fit.coefficients) != 0)]


@functools.partial(jax.jit, static_argnames=("terms", "variables"))
def _simulated(
    coefficients: Float[Array, "terms states"],
    starts: Float[Array, "trajectories states"],
    times: Float[Array, "trajectories times"],
    inputs: Float[Array, "trajectories times inputs"] | None,
    *,
    terms: tuple[sympy.Expr, ...],
    variables: tuple[sympy.Symbol, ...],
    deviation: Float[Array, " states"],
) -> Float[Array, "trajectories times states"]:
    def one(start: Array, times: Array, inputs: Array | None) -> Array:
        options = {"terms": terms, "variables": variables, "deviation": deviation}
        return simulate(coefficients, start, times, inputs, **options).states

    return jax.lax.map(lambda each: one(*each), (starts, times, inputs))
