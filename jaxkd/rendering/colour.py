"""Pixel values and the light that they stand for."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue."""


def linear_light(image: UInt8[Array, "*b"]) -> Float[Array, "*b"]:
    """Return the linear radiance, in [0, 1], of pixel values in sRGB.

    Args:
        image: pixel values of any number of channels; one channel has the same curve.

    Returns:
        float32.

    Raises:
        TypeError: pixel values that are not uint8.

    Source: IEC 61966-2-1.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> linear_light(jnp.array([0, 188, 255], jnp.uint8)).round(3).tolist()
        [0.0, 0.503000020980835, 1.0]
    """
    if image.dtype != jnp.uint8:
        raise TypeError(f"image must be uint8, values of sRGB from 0 to 255, got {image.dtype}. Convert it first.")
    return jnp.asarray(_curve())[image.astype(jnp.int32)]


def pixel_values(radiance: Float[Array, "*b"]) -> UInt8[Array, "*b"]:
    """Return pixel values in sRGB, rounded, of linear radiance; what is brighter than 1 becomes 255.

    Args:
        radiance: linear; values below 0 become 0, and so does NaN.

    Source: IEC 61966-2-1.  Deviation: none; `pixel_values(linear_light(image))` is `image`.

    Example:
        >>> import jax.numpy as jnp
        >>> pixel_values(jnp.array([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist()
        [0, 0, 188, 255, 255]
    """
    radiance = jnp.clip(jnp.nan_to_num(radiance, nan=0.0), 0, 1)
    low, high = 12.92 * radiance, 1.055 * jnp.maximum(radiance, 0.0031308) ** (1 / 2.4) - 0.055
    return jnp.round(255 * jnp.where(radiance <= 0.0031308, low, high)).astype(jnp.uint8)


def grey(image: UInt8[Array, "*b 3"]) -> UInt8[Array, "*b 1"]:
    """Return the image of a camera without colours: luminance 0.2126 r + 0.7152 g + 0.0722 b of linear light.

    Args:
        image: red, green and blue in sRGB.

    Raises:
        ValueError: another number of channels than 3.

    Source: ITU-R BT.709.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> grey(jnp.array([[255, 255, 255], [0, 255, 0]], jnp.uint8)).tolist()
        [[255], [220]]
    """
    if image.shape[-1:] != (3,):
        raise ValueError(f"image must have the channels red, green and blue, got the shape {image.shape}.")
    linear = linear_light(image)
    return pixel_values(jnp.matmul(linear, jnp.array(LUMINANCE)[:, None], precision="highest"))


@functools.cache
def _curve() -> np.ndarray:
    """Radiance of each of 256 values."""
    values = np.arange(256) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)
