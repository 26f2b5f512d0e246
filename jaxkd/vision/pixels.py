"""Normalisation of pixel values, a part of each network: teacher and student may read one batch differently."""

from typing import Literal, TypeAlias, get_args

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

Pixels: TypeAlias = Literal["min_max", "unit", "signed"]
"""Range that the values of an image are mapped to.

- `min_max`: [0, 255] for each image, its least value becoming 0 and its greatest 255.
- `unit`: [0, 1], by division by 255.
- `signed`: [-1, 1], by division by 127.5.
"""


def normalised(images: UInt8[Array, "b h w c"], pixels: Pixels, dtype: DTypeLike) -> Float[Array, "b h w c"]:
    """Return images in the range that a network reads.

    Args:
        images: images.
        pixels: range.  A constant image has no least and greatest value to map apart: `min_max` gives 0 throughout.
        dtype: dtype of the result.

    Raises:
        ValueError: an unknown range.

    Source: for `min_max`, the data pipeline of JCruan519/EGE-UNet@f52ba30 and 11penguins/VFFM-UNet@dcfb562, where a
    mean and a deviation are taken off before, which cancels.  Deviation: a constant image divides by 0 there.

    Example:
        >>> import jax.numpy as jnp
        >>> image = jnp.array([[[[50], [100], [150]]]], jnp.uint8)
        >>> normalised(image, "min_max", jnp.float32).ravel().tolist()
        [0.0, 127.5, 255.0]
    """
    if pixels not in get_args(Pixels):
        raise ValueError(f"pixels must be one of {', '.join(get_args(Pixels))}, got {pixels!r}.")
    values = images.astype(jnp.promote_types(dtype, jnp.float32))
    if pixels == "min_max":
        least = jnp.min(values, axis=(1, 2, 3), keepdims=True)
        spread = jnp.max(values, axis=(1, 2, 3), keepdims=True) - least
        values = (values - least) * (255 / jnp.maximum(spread, 1))
    elif pixels == "unit":
        values = values / 255
    else:
        values = values / 127.5 - 1
    return values.astype(dtype)
