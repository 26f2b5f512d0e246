"""Fixed-step integration by a scan."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.dynamics.solvers.solve import RightHandSide
from jaxkd.typing import Scalar


@dataclasses.dataclass(frozen=True)
class FixedStep:
    """Explicit Runge-Kutta coefficients, for equal steps between times."""

    nodes: tuple[float, ...]
    """Time of each stage, as a fraction of a step."""
    stages: tuple[tuple[float, ...], ...]
    """Weights of the earlier slopes in each stage."""
    weights: tuple[float, ...]


EULER = FixedStep(nodes=(0.0,), stages=((),), weights=(1.0,))
RK4 = FixedStep(
    nodes=(0.0, 0.5, 0.5, 1.0), stages=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6)
)


def fixed_step(
    vector_field: RightHandSide,
    y0: Float[Array, " states"],
    times: Float[Array, " times"],
    args: Any = None,
    *,
    method: FixedStep = RK4,
    substeps: int = 1,
) -> Float[Array, "times states"]:
    """Solve like `solve`, by a scan of equal steps between times: for the short horizons of a curriculum.

    Args:
        vector_field: as in `solve`.
        y0: state at the first time.
        times: increasing.
        args: as in `solve`.
        method: EULER, RK4, or your own coefficients.
        substeps: steps from one time to the next.

    Returns:
        The states; inf or nan if they diverge.

    Raises:
        ValueError: fewer than one substep.

    Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, section II.1.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> states = fixed_step(lambda t, y, args: -y, jnp.array([1.0]), jnp.array([0.0, 0.5, 1.0]), method=EULER)
        >>> states[:, 0].tolist()
        [1.0, 0.5, 0.25]
    """
    if substeps < 1:
        raise ValueError(f"substeps must be >= 1, got {substeps}.")

    def step(y: Array, start: Scalar, length: Scalar) -> Array:
        slopes: list[Array] = []
        for node, before in zip(method.nodes, method.stages, strict=True):
            inner = y + length * sum((w * k for w, k in zip(before, slopes, strict=True)), jnp.zeros_like(y))
            slopes.append(vector_field(start + node * length, inner, args))
        return y + length * sum((w * k for w, k in zip(method.weights, slopes, strict=True)), jnp.zeros_like(y))

    def interval(y: Array, ends: tuple[Scalar, Scalar]) -> tuple[Array, Array]:
        length = (ends[1] - ends[0]) / substeps
        starts = ends[0] + length * jnp.arange(substeps)
        y, _ = jax.lax.scan(lambda y, start: (step(y, start, length), None), y, starts)
        return y, y

    _, states = jax.lax.scan(interval, y0, (times[:-1], times[1:]))
    return jnp.concatenate([y0[None], states])
