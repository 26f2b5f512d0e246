"""Inverse of a map of the plane: Newton's method with a fixed number of steps, differentiated implicitly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

NEWTON_STEPS = 8
"""Steps of Newton's method.  From a start that is right up to the tangential terms, five reach rounding in float64."""

SMALLEST_RESIDUAL = 200
"""Residual that counts as a solution, in units of rounding: 2e-5 of a focal length in float32, 4e-14 in float64."""

Map = Callable[[Float[Array, "*b 2"]], Float[Array, "*b 2"]]


def inverse(
    function: Map, target: Float[Array, "*b 2"], *, start: Float[Array, "*b 2"]
) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
    """Return the x with function(x) = target, and whether it was found where the Jacobian's determinant is positive.

    Derivatives come from the implicit function theorem, dx = J^-1 (dtarget - dfunction), not through the steps: they
    are as exact as the solution, of any order, in both modes, and cost no memory for the steps.

    Args:
        function: of each row by itself, differentiable; the identity at 0 to first order.
        target: values.
        start: first guess; no gradient passes.

    Returns:
        The solution, and whether it is one; where it is none the solution is 0, with a gradient of 0.
    """
    frozen_target, start = jax.lax.stop_gradient((target, start))

    def step(_: object, x: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
        value, columns = value_and_columns(function, x)
        return x - _solved(columns, value - frozen_target)

    x = jax.lax.stop_gradient(jax.lax.fori_loop(0, NEWTON_STEPS, step, start))
    value, columns = value_and_columns(function, x)
    residual = jnp.max(jnp.abs(value - frozen_target), axis=-1)
    bound = SMALLEST_RESIDUAL * jnp.finfo(target.dtype).eps * (1 + jnp.max(jnp.abs(frozen_target), axis=-1))
    found = jax.lax.stop_gradient((residual <= bound) & (determinant(columns) > 0))
    # Both sides are replaced where no solution was found: its Jacobian may be singular, and 0 / 0 poisons sums.
    x, target = (jnp.where(found[..., None], one, 0) for one in (x, target))

    def solve_linear(linear: Map, y: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
        return _solved(jnp.stack([linear(one) for one in _basis(y)]), y)

    return jax.lax.custom_root(lambda x: function(x) - target, x, lambda _, x: x, solve_linear), found


def value_and_columns(function: Map, x: Float[Array, "*b 2"]) -> tuple[Float[Array, "*b 2"], Float[Array, "2 *b 2"]]:
    """Return the value of a map of each row, and the two columns of its Jacobian."""
    value, columns = jax.vmap(lambda tangent: jax.jvp(function, (x,), (tangent,)), out_axes=(None, 0))(_basis(x))
    return value, columns


def determinant(columns: Float[Array, "2 *b 2"]) -> Float[Array, "*b"]:
    """Return the determinant of each Jacobian."""
    return _cross(columns[0], columns[1])


def _solved(columns: Float[Array, "2 *b 2"], target: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
    solution = jnp.stack([_cross(target, columns[1]), _cross(columns[0], target)], axis=-1)
    return solution / determinant(columns)[..., None]


def _basis(like: Float[Array, "*b 2"]) -> Float[Array, "2 *b 2"]:
    one, zero = jnp.ones_like(like[..., 0]), jnp.zeros_like(like[..., 0])
    return jnp.stack([jnp.stack([one, zero], axis=-1), jnp.stack([zero, one], axis=-1)])


def _cross(first: Float[Array, "*b 2"], second: Float[Array, "*b 2"]) -> Float[Array, "*b"]:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
