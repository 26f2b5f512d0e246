"""Radiance of surfaces."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.rendering.normals import unit
from jaxkd.rendering.records import Light

LEAST = 1e-6
"""Cosine below which there is no highlight: its logarithm, and the gradient of that, stay finite."""


def shade(
    normals: Float[Array, "*b 3"], positions: Float[Array, "*b 3"], albedo: Float[Array, "*b c"], *, light: Light
) -> Float[Array, "*b c"]:
    """Return radiance: albedo (ambient + colour max(n.l, 0)) + specular colour max(n.h, 0)^shininess.

    n is the normal, l the direction to the light, and h lies half way between l and the direction to the camera.  The
    factor 1 / pi of a diffuse surface is part of the light's unit.

    Args:
        normals: of any length, so that interpolated ones will do, on the side that is seen.
        positions: in camera coordinates, any unit.
        albedo: share of the light that is reflected in each channel, in [0, 1].
        light: of one scene; use `jax.vmap` for several.

    Returns:
        Linear radiance, >= 0, which may be above 1.  Surfaces turned away from the light have no highlight.

    Raises:
        ValueError: shapes that do not agree.

    Source: Lambert (1760); Blinn, "Models of light reflection for computer synthesized pictures" (1977).  Deviation:
    none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.rendering import Light
        >>> light = Light(direction=jnp.array([0.0, 0.0, -1.0]), colour=jnp.array([0.5]), ambient=jnp.array([0.25]),
        ...               specular=jnp.array(0.5), shininess=jnp.array(8.0))
        >>> normals, positions = jnp.array([[0.0, 0.0, -2.0], [0.0, 0.0, 1.0]]), jnp.array([[0.0, 0.0, 1.0]] * 2)
        >>> shade(normals, positions, jnp.ones((2, 1)), light=light).tolist()
        [[1.0], [0.25]]
    """
    channels = albedo.shape[-1:]
    if normals.shape != positions.shape or normals.shape[-1:] != (3,) or albedo.shape[:-1] != normals.shape[:-1]:
        raise ValueError(
            "normals, positions and albedo must be [..., 3], [..., 3] and [..., c], got "
            f"{normals.shape}, {positions.shape} and {albedo.shape}."
        )
    if light.direction.shape != (3,) or not light.colour.shape == light.ambient.shape == channels:
        raise ValueError(
            f"light must have a direction of [3] and a colour and ambient light of {list(channels)}, as albedo has "
            f"channels, got {light.direction.shape}, {light.colour.shape} and {light.ambient.shape}. Use jax.vmap for "
            "several lights."
        )
    lead = (1,) * (normals.ndim - 1)
    colour, ambient, towards = (one.reshape(*lead, -1) for one in (light.colour, light.ambient, unit(light.direction)))
    normals, half = unit(normals), unit(unit(-positions) + towards)
    facing = jnp.maximum(jnp.sum(normals * towards, axis=-1), 0)
    aligned = jnp.maximum(jnp.sum(normals * half, axis=-1), 0)
    # aligned^shininess, by vectorised functions: XLA calls a scalar `pow` for each number.
    highlight = jnp.exp(light.shininess * jnp.log(jnp.maximum(aligned, LEAST)))
    highlight = light.specular * jnp.where((facing > 0) & (aligned > LEAST), highlight, 0)
    return albedo * ambient + (albedo * facing[..., None] + highlight[..., None]) * colour
