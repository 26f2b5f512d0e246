"""Normalisation of pixel values, a part of each network: teacher and student may read one batch differently."""

import dataclasses
import math
from typing import Literal, TypeAlias, get_args

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

Range: TypeAlias = Literal["min_max", "unit", "signed"]
"""Range that the values of an image are mapped to.

- `min_max`: [0, 255] for each image, the least value of its channels becoming 0 and the greatest 255.
- `unit`: [0, 1], by division by 255.
- `signed`: [-1, 1], by division by 127.5.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standardised:
    """Pixels of mean 0 and deviation 1 in each channel: (value - mean) / deviation, by the statistics of many images.

    Raises:
        ValueError: tuples of another length than 1, 3 or 4, or of different lengths; values that are not finite; a
            deviation that is not positive.
    """

    mean: tuple[float, ...]
    """Mean of red, green and blue, from 0 to 255, and of thermal where there is a fourth channel; one value is that of
    all channels."""
    deviation: tuple[float, ...]
    """Standard deviation of each of these channels."""

    def __post_init__(self) -> None:
        if len(self.mean) not in (1, 3, 4) or len(self.deviation) != len(self.mean):
            raise ValueError(
                "mean and deviation must have one value each, or one for each of 3 or 4 channels, "
                f"got {len(self.mean)} and {len(self.deviation)} values."
            )
        if not all(math.isfinite(value) for value in self.mean):
            raise ValueError(f"mean must be finite, got {self.mean}.")
        if not all(0 < value < math.inf for value in self.deviation):
            raise ValueError(f"deviation must be positive and finite, got {self.deviation}.")


Pixels: TypeAlias = Range | Standardised
"""Normalisation of the pixel values: a range, or a mean and a deviation for each channel."""

SIGNED = Standardised(mean=(127.5,), deviation=(127.5,))
"""Pixels in [-1, 1], for any number of channels, as `signed` has them."""

M3FD = Standardised(mean=(128.2, 129.3, 125.3, 84.1), deviation=(49.1, 50.2, 53.5, 50.6))
"""Statistics of M3FD, as the data preparation of XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa has them."""

FLIR = Standardised(mean=(149.4, 148.7, 141.7, 135.7), deviation=(49.3, 52.8, 59.0, 63.6))
"""Statistics of FLIR-aligned, of the same source."""


def normalised(images: UInt8[Array, "b h w c"], pixels: Pixels, dtype: DTypeLike) -> Float[Array, "b h w c"]:
    """Return images with the pixel values that a network reads.

    Args:
        images: images.
        pixels: normalisation.  A constant image has no least and greatest value to map apart: `min_max` gives 0
            throughout.
        dtype: dtype of the result.

    Raises:
        ValueError: an unknown range, or statistics of another number of channels.

    Source: for `min_max`, the data pipeline of JCruan519/EGE-UNet@f52ba30 and 11penguins/VFFM-UNet@dcfb562, where a
    mean and a deviation are taken off before, which cancels.  Deviation: a constant image divides by 0 there.

    Example:
        >>> import jax.numpy as jnp
        >>> image = jnp.array([[[[50], [100], [150]]]], jnp.uint8)
        >>> normalised(image, "min_max", jnp.float32).ravel().tolist()
        [0.0, 127.5, 255.0]
    """
    if isinstance(pixels, Standardised):
        return _standardised(images, pixels, dtype)
    if pixels not in get_args(Range):
        raise ValueError(f"pixels must be Standardised or one of {', '.join(get_args(Range))}, got {pixels!r}.")
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


def _standardised(images: UInt8[Array, "b h w c"], pixels: Standardised, dtype: DTypeLike) -> Float[Array, "b h w c"]:
    if len(pixels.mean) not in (1, images.shape[-1]):
        raise ValueError(
            f"pixels must have the statistics of {images.shape[-1]} channels, those of the images, "
            f"got {len(pixels.mean)}."
        )
    wide = jnp.promote_types(dtype, jnp.float32)
    mean, deviation = (jnp.asarray(values, wide)[None, None, None] for values in (pixels.mean, pixels.deviation))
    return ((images.astype(wide) - mean) / deviation).astype(dtype)
