"""Gradient search for symbolic networks: random restarts, a penalty, pruning, and selection on held-out points.

A restart finds a factorisation that fits, not necessarily the right one: `identify` is the default.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import sympy
from jaxtyping import Array, Bool, Float, Int

from jaxkd.dynamics.float64 import require_float64
from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.identification.simplified import simplified
from jaxkd.dynamics.identification.simulate import positive
from jaxkd.dynamics.identification.sparse_fit import NEGLIGIBLE
from jaxkd.dynamics.symbolic.networks import SymbolicNetwork
from jaxkd.dynamics.symbolic.penalties import smoothed_half
from jaxkd.typing import Key, Params

HELD_OUT = 4
"""Interval between held-out blocks, counted back from the last block, which is held out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Training schedule of one restart, for variables and slopes divided by their root mean squares."""

    steps: int = 1000
    """Adam steps in each part: dense, with the growing penalty, and after each pruning."""
    learning_rate: float = 0.02
    """Initial learning rate of each part, with cosine decay to 0."""
    batch: int = 256
    """Points per step."""
    penalty: Callable[[Array], Array] = smoothed_half
    """Penalty of each weight."""
    rate: float = 0.03
    """Final coefficient of the growing penalty, relative to the mean square error."""
    least: float = 0.05
    """Pruning threshold: weights that change the slopes by a smaller share are pruned."""
    prunings: int = 2


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SymbolicFit:
    """Network of each state that best explains held-out points, and the criteria it was chosen by."""

    network: SymbolicNetwork
    params: Params
    """Weights in the units of the data, 0 where pruned."""
    mask: Params
    """True for weights that were not pruned."""
    equations: Equations
    """Equations of the network, without terms of negligible contribution."""
    bic: Float[np.ndarray, "restarts states"]
    """BIC of held-out points, in nats; inf where a restart diverged."""
    active: Int[np.ndarray, "restarts states"]
    """Number of weights that were not pruned."""
    lost: tuple[str, ...]
    """Restarts that were excluded because they diverged."""

    @property
    def chosen(self) -> Int[np.ndarray, " states"]:
        """Index of the chosen restart for each state."""
        return np.argmin(self.bic, axis=0)


def symbolic_search(
    network: SymbolicNetwork,
    variables: Float[Array, "blocks rows variables"],
    slopes: Float[Array, "blocks rows states"],
    key: Key,
    *,
    states: Sequence[sympy.Symbol],
    inputs: Sequence[sympy.Symbol] = (),
    mask: Bool[Array, "blocks rows"] | None = None,
    restarts: int = 16,
    schedule: Schedule | None = None,
) -> SymbolicFit:
    """Fit a polynomial, or other formula, to slopes by training a network with products.

    Every restart is trained densely, then with a growing penalty, then pruned and trained without penalty; all restarts
    run at once.  For each state, the restart with the least BIC on held-out blocks is chosen.

    Args:
        network: `SymNet` or `EQL`.
        variables: states, then inputs, float64, each in its own unit; blocks are trajectories, or long pieces of one.
        slopes: slopes of the states, float64, as estimated by `jaxkd.dynamics.derivatives.slopes`.
        key: random key for the initial weights and the points of each step.
        states: names of the states.
        inputs: names of the inputs.
        mask: True for measured rows; None: all.
        restarts: number of random restarts.
        schedule: training schedule; None: `Schedule()`.

    Returns:
        The fit: NumPy arrays, and equations in the units of the data.  A restart that diverges is not chosen: its `bic`
        is inf, and `lost` names it.

    Raises:
        TypeError: an array is not float64.
        ValueError: names that do not match the arrays, non-finite values, fewer than two blocks, no restarts, or
            restarts that all diverged.

    Source: stage 1 of SNODE (arXiv 2503.08059), whose penalty and threshold are not published; dense, penalised and
    pruned training as in Kim et al. (arXiv 1912.04825); BIC of Schwarz 1978 (doi 10.1214/aos/1176344136).  Deviation:
    inferred: pruning by a weight's effect on the slopes, which is invariant to units and to exchanges of factors
    between weights; errors below NEGLIGIBLE of the mean square count as none.

    Example:
        >>> from jaxkd.dynamics import SymNet
        >>> x, v = names = sympy.symbols("x v")
        >>> with jax.enable_x64(True):
        ...     points = jax.random.normal(jax.random.key(0), (8, 40, 2))
        ...     slopes = jnp.stack([points[..., 1], 2 - points[..., 0] * points[..., 1]], axis=2)
        ...     network, schedule, key = SymNet(products=1), Schedule(steps=400, batch=64), jax.random.key(1)
        ...     found = symbolic_search(network, points, slopes, key, states=names, restarts=4, schedule=schedule)
        >>> print(found.equations.rounded(2))
        dx/dt = v
        dv/dt = 2 - v x
    """
    require_float64(variables=variables, slopes=slopes)
    schedule = Schedule() if schedule is None else schedule
    there = np.ones(slopes.shape[:2], bool) if mask is None else np.asarray(mask)
    _require_records(variables, slopes, there, (*states, *inputs), states)
    if restarts < 1:
        raise ValueError(f"restarts must be >= 1, got {restarts}.")
    held = np.zeros(len(there), bool)
    held[::-HELD_OUT] = True
    train, test = (tuple(side[there & part[:, None]] for side in (variables, slopes)) for part in (~held, held))
    scales = tuple(jnp.asarray(positive(np.sqrt(np.mean(np.asarray(side) ** 2, axis=0)))) for side in train)
    sides = [side / scale[None] for part in (train, test) for side, scale in zip(part, scales, strict=True)]
    params, kept, error = _restarts(network, schedule, restarts, key, *sides)
    count = len(test[0])
    active = np.asarray(_count(kept))
    bic = count * np.log(np.maximum(error, NEGLIGIBLE)) + active * np.log(count)
    bic = np.where(np.isfinite(error), bic, np.inf)
    diverged = np.argwhere(np.isinf(bic))
    if np.any(hopeless := np.all(np.isinf(bic), axis=0)):
        raise ValueError(
            f"restarts must leave a network of each state, got {restarts} that all diverged for "
            f"{states[int(np.argmax(hopeless))]}. Lower the learning rate, or leave out units that grow fast."
        )
    chosen = np.argmin(bic, axis=0)
    best, kept = (jax.tree.map(lambda leaf: leaf[chosen, np.arange(len(chosen))], tree) for tree in (params, kept))
    best = network.rescaled(best, *scales)
    equations = simplified(network.equations(best, states, inputs), train[0])
    return SymbolicFit(
        network=network,
        params=best,
        mask=kept,
        equations=equations,
        bic=bic,
        active=active,
        lost=tuple(f"restart {restart} of {states[state]} diverged" for restart, state in diverged),
    )


def _require_records(
    variables: Array, slopes: Array, there: np.ndarray, names: Sequence[sympy.Symbol], states: Sequence[sympy.Symbol]
) -> None:
    if variables.shape[-1] != len(names) or slopes.shape[-1] != len(states):
        raise ValueError(
            f"variables and slopes must have a column for each of {', '.join(map(str, names))} and of "
            f"{', '.join(map(str, states))}, got {variables.shape[-1]} and {slopes.shape[-1]}."
        )
    if len(there) < 2:
        raise ValueError("variables must have at least 2 blocks, one to hold out, got 1. Cut it into pieces.")
    for what, values in (("variables", variables), ("slopes", slopes)):
        wrong = np.argwhere(~np.isfinite(values) & there[:, :, None])
        if wrong.size:
            block, row, _ = wrong[0]
            raise ValueError(
                f"{what} must be finite, got {values[tuple(wrong[0])]} in row {row} of block {block}, and "
                f"{len(wrong) - 1} more. Leave those rows out, with a mask."
            )


@functools.partial(jax.jit, static_argnames=("network", "schedule", "restarts"))
def _restarts(
    network: SymbolicNetwork,
    schedule: Schedule,
    restarts: int,
    key: Key,
    variables: Float[Array, "points variables"],
    slopes: Float[Array, "points states"],
    held_variables: Float[Array, "held variables"],
    held_slopes: Float[Array, "held states"],
) -> tuple[Params, Params, Float[Array, "restarts states"]]:
    """Return weights, masks of those that were not pruned, and mean square errors of held-out points."""
    starts, key = jax.random.split(key)

    def drawn(key: Key) -> tuple[Array, Array]:
        points = jax.random.randint(key, (schedule.batch,), 0, slopes.shape[0])
        return variables[points], slopes[points]

    def errors(params: Params, points: Array, slopes: Array) -> Float[Array, " states"]:
        return jnp.mean((network.values(params, points) - slopes) ** 2, axis=0)

    def trained(params: Params, kept: Params, rates: Float[Array, " steps"], key: Key) -> Params:
        optimizer = optax.adam(optax.cosine_decay_schedule(schedule.learning_rate, schedule.steps))

        def loss(params: Params, rate: Array, key: Key) -> Array:
            penalties = [jnp.sum(schedule.penalty(leaf)) for leaf in jax.tree.leaves(params)]
            return jnp.sum(errors(params, *drawn(key))) + rate * sum(penalties)

        def step(carry: tuple[Params, Any], at: tuple[Array, Array]) -> tuple[tuple[Params, Any], None]:
            params, state = carry
            rate, number = at
            updates, state = optimizer.update(jax.grad(loss)(params, rate, jax.random.fold_in(key, number)), state)
            moved = jax.tree.map(jnp.add, params, updates)
            return (_masked(moved, kept), state), None

        begun = (params, optimizer.init(params))
        return jax.lax.scan(step, begun, (rates, jnp.arange(schedule.steps)))[0][0]

    def contributions(params: Params, points: Array) -> Params:
        """Return each weight's root mean square effect on the slopes, to first order."""

        def moved(params: Params, point: Array) -> Params:
            # A state's weights affect only its own slope.
            gradient = jax.grad(lambda params: jnp.sum(network.values(params, point)))(params)
            return jax.tree.map(jnp.multiply, params, gradient)

        return jax.tree.map(
            lambda leaf: jnp.sqrt(jnp.mean(leaf**2, axis=0)), jax.vmap(moved, in_axes=(None, 0))(params, points)
        )

    # Parts: dense, with the growing penalty, and after each pruning.
    growing = jnp.linspace(0.0, schedule.rate, schedule.steps)
    parts = jnp.arange(2 + schedule.prunings)

    def restart(start: Key) -> tuple[Params, Params, Array]:
        def trained_part(carry: tuple[Params, Params], part: Array) -> tuple[tuple[Params, Params], None]:
            params, kept = carry
            # The same points for all restarts.
            for_points, for_steps = jax.random.split(jax.random.fold_in(key, part))
            moved = contributions(params, drawn(for_points)[0])
            # Weights with non-finite effects are retained, so that divergence shows.
            kept = jax.tree.map(lambda leaf, kept: kept & ~((leaf < schedule.least) & (part >= 2)), moved, kept)
            params = trained(_masked(params, kept), kept, jnp.where(part == 1, growing, 0.0), for_steps)
            return (params, kept), None

        params = network.init(start, variables.shape[1], slopes.shape[1])
        begun = (params, jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params))
        params, kept = jax.lax.scan(trained_part, begun, parts)[0]
        return params, kept, errors(params, held_variables, held_slopes)

    return jax.vmap(restart)(jax.random.split(starts, restarts))


def _masked(params: Params, kept: Params) -> Params:
    return jax.tree.map(lambda leaf, kept: jnp.where(kept, leaf, 0.0), params, kept)


def _count(kept: Params) -> Int[Array, "restarts states"]:
    leaves = [jnp.reshape(leaf, (*leaf.shape[:2], -1)) for leaf in jax.tree.leaves(kept)]
    return jnp.sum(jnp.concatenate(leaves, axis=2), axis=2)
