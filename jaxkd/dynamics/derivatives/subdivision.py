"""States between the samples, by a vector field from both sides."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.dynamics.solvers.fixed_step import RK4, fixed_step
from jaxkd.dynamics.solvers.solve import RightHandSide


def subdivided(times: Float[Array, " times"], parts: int) -> Float[Array, " fine"]:
    """The times, and parts - 1 evenly between each two of them."""
    shares = jnp.arange(parts) / parts
    inner = times[:-1, None] + jnp.diff(times)[:, None] * shares[None]
    return jnp.concatenate([jnp.reshape(inner, -1), times[-1:]])


def interpolate(
    vector_field: RightHandSide,
    states: Float[Array, "times states"],
    times: Float[Array, " times"],
    args: Any = None,
    *,
    parts: int,
) -> Float[Array, "fine states"]:
    """What a field makes of the time between samples, forwards from the one and backwards from the other.

    Both are solved by one RK4 step a part, and blended: the nearer sample counts for more.

    Args:
        vector_field: as of `solve`.
        states: at the times.
        times: increasing.
        args: of the field.
        parts: of the time between two samples.

    Returns:
        States at the times of `subdivided`, where those at the samples are as given.

    Raises:
        ValueError: fewer than one part.

    Source: FNODE (arXiv 2405.11542) puts predicted states between the observed ones and estimates slopes anew; the
    blend of both directions is our own.  Deviation: inferred, as said.

    Example:
        >>> import jax.numpy as jnp
        >>> times = jnp.array([0.0, 1.0])
        >>> fine = interpolate(lambda t, y, args: -y, jnp.exp(-times)[:, None], times, parts=2)
        >>> fine.shape, bool(jnp.allclose(fine[1], jnp.exp(-0.5), atol=1e-3))
        ((3, 1), True)
    """
    if parts < 1:
        raise ValueError(f"parts must be >= 1, got {parts}.")
    steps = jnp.diff(times)[:, None] * jnp.arange(parts + 1)[None] / parts

    def run(start: Float[Array, " states"], times: Float[Array, " parts"]) -> Float[Array, "parts states"]:
        return fixed_step(vector_field, start, times, args, method=RK4)

    forwards = jax.vmap(run)(states[:-1], times[:-1, None] + steps)
    backwards = jax.vmap(run)(states[1:], times[1:, None] - steps)[:, ::-1]
    share = (jnp.arange(parts) / parts)[None, :, None]
    # What is blended with nothing is left out, so that one side may diverge where it does not count.
    inner = (1 - share) * forwards[:, :parts] + jnp.where(share > 0, share * backwards[:, :parts], 0.0)
    return jnp.concatenate([jnp.reshape(inner, (-1, states.shape[1])), states[-1:]])
