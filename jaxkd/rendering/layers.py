"""Objects on transparent ground, before a background and over time."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.rendering.records import ObjectLayer


def composite(layer: ObjectLayer, background: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Return the linear radiance of an object before a background: radiance + (1 - coverage) * background.

    Args:
        layer: of one image.
        background: linear radiance.

    Returns:
        Exactly the background where nothing is covered.

    Raises:
        ValueError: a background of another shape.

    Source: Porter and Duff, "Compositing digital images" (1984), the operator "over".  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> layer = ObjectLayer(radiance=jnp.full((1, 1, 1), 0.25), coverage=jnp.full((1, 1), 0.5),
        ...                     depth=jnp.ones((1, 1)))
        >>> composite(layer, jnp.ones((1, 1, 1))).tolist()
        [[[0.75]]]
    """
    if background.shape != layer.radiance.shape:
        raise ValueError(
            f"background must have the shape of layer, got {background.shape} and {layer.radiance.shape}. Crop it."
        )
    return layer.radiance + (1 - layer.coverage[..., None]) * background


def exposure(layers: ObjectLayer) -> ObjectLayer:
    """Return the mean over time of the light of a moving object: motion blur.

    Args:
        layers: of t instants, along the first axis, equally far apart over the time that the shutter is open.

    Returns:
        One layer, with the mean radiance and coverage, and the depth of the instant t // 2, in the middle.

    Source: Haeberli and Akeley, "The accumulation buffer" (1990).  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> two = ObjectLayer(radiance=jnp.ones((2, 1, 1, 1)), coverage=jnp.array([[[0.0]], [[1.0]]]),
        ...                   depth=jnp.array([[[jnp.inf]], [[2.0]]]))
        >>> float(exposure(two).coverage[0, 0]), float(exposure(two).depth[0, 0])
        (0.5, 2.0)
    """
    return ObjectLayer(
        radiance=jnp.mean(layers.radiance, axis=0),
        coverage=jnp.mean(layers.coverage, axis=0),
        depth=layers.depth[layers.depth.shape[0] // 2],
    )
