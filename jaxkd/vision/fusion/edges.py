"""Strength of the edges of an image."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.vision.fusion.separable import separable_filter

_SMOOTHING, _DIFFERENCE = (0.25, 0.5, 0.25), (-0.5, 0.0, 0.5)
"""Factors of Sobel's kernel over 8, the sum of its magnitudes."""
_EPSILON = 1e-6


def sobel_magnitude(images: Float[Array, "b h w c"]) -> Float[Array, "b h w"]:
    """Return sqrt(gx^2 + gy^2 + 1e-6), with g the slopes of the channels' mean by Sobel's kernels, per pixel.

    The kernels are divided by 8, so that a ramp of 1 a pixel has the slope 1; beyond the border the outermost pixels
    are repeated.

    Args:
        images: images of any float dtype and range; gradients reach them, and are 0 where an image is constant.

    Returns:
        Per pixel, float32 (float64 if the input is), at least 1e-3.

    Source: the edges of ShaPE (arXiv 2405.16038), as XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa has them
    from Kornia 0.9.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> ramp = jnp.arange(4.0).reshape(1, 1, 4, 1)
        >>> sobel_magnitude(ramp).round(3).tolist()  # half the slope at the border, where a pixel is repeated
        [[[0.5, 1.0, 1.0, 0.5]]]
    """
    grey = jnp.mean(images.astype(jnp.promote_types(images.dtype, jnp.float32)), axis=-1)
    right = separable_filter(grey, _SMOOTHING, _DIFFERENCE, padding="edge")
    down = separable_filter(grey, _DIFFERENCE, _SMOOTHING, padding="edge")
    # The term under the root also keeps its gradient finite where both slopes are 0.
    return jnp.sqrt(jnp.square(right) + jnp.square(down) + _EPSILON)
