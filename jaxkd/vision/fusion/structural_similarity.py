"""Structural similarity of two images, pixel by pixel."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.vision.fusion.separable import separable_filter

_EPSILON = 1e-12


def ssim_map(
    first: Float[Array, "b h w"],
    second: Float[Array, "b h w"],
    *,
    window: int = 7,
    sigma: float = 1.5,
    data_range: float = 1.0,
) -> Float[Array, "b h w"]:
    """Return SSIM = (2 m1 m2 + c1) (2 s12 + c2) / ((m1^2 + m2^2 + c1) (s1^2 + s2^2 + c2) + 1e-12), per pixel.

    m, s^2 and s12 are the means, variances and covariance around a pixel, weighted by a Gaussian; beyond the border
    images are mirrored.  c1 = (0.01 data_range)^2 and c2 = (0.03 data_range)^2.  Where images are much smaller than
    sqrt(c1) and sqrt(c2), the constants decide, and the result is near 1 whatever the images show.

    Args:
        first: images of any float dtype; gradients reach them.
        second: the images that they are compared with; gradients reach them.
        window: weights along each side of the Gaussian, odd; they are normalised to the sum 1.
        sigma: standard deviation of the Gaussian in pixels, > 0.
        data_range: difference between the greatest and the least value that images can have, > 0.  Values far beyond
            it lose their variance in float32.

    Returns:
        Per pixel, float32 (float64 if an input is); 1 where the images agree, at least -1, both up to rounding.

    Raises:
        ValueError: shapes that differ, images of at most window // 2 pixels a side, or an option out of its range.

    Source: Wang et al., Image quality assessment: from error visibility to structural similarity (2004), equation 13;
    boundary, variances and 1e-12 as in Kornia 0.9, from its documented settings.  Deviation: variances that rounding
    makes negative are 0.

    Example:
        >>> import jax.numpy as jnp
        >>> dark, light = jnp.zeros((1, 4, 4)), jnp.ones((1, 4, 4))
        >>> ssim_map(light, light).max().item(), round(ssim_map(dark, light).max().item(), 6)  # c1 / (1 + c1)
        (1.0, 0.0001)
    """
    _require_comparable(first.shape, second.shape)
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and at least 1, so that it has a centre, got {window}.")
    for name, value in (("sigma", sigma), ("data_range", data_range)):
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}.")
    if min(first.shape[1:]) <= window // 2:
        raise ValueError(
            f"images must have more than window // 2 = {window // 2} pixels a side, which are mirrored at the border, "
            f"got {first.shape[1]} x {first.shape[2]}. Take larger images or a smaller window."
        )
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(first, second))
    first, second = first.astype(dtype), second.astype(dtype)
    weights = _gaussian(window, sigma)
    moments = jnp.stack([first, second, first * first, second * second, first * second])
    mean_1, mean_2, square_1, square_2, product = separable_filter(moments, weights, weights, padding="reflect")
    variance_1 = jnp.maximum(square_1 - mean_1 * mean_1, 0.0)
    variance_2 = jnp.maximum(square_2 - mean_2 * mean_2, 0.0)
    covariance = product - mean_1 * mean_2
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    alike = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)
    size = (mean_1 * mean_1 + mean_2 * mean_2 + c1) * (variance_1 + variance_2 + c2)
    return alike / (size + _EPSILON)


def _require_comparable(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    if len(first) != 3 or first != second:
        raise ValueError(
            f"first and second must be [images, height, width] of one shape, got {first} and {second}. "
            "Compare channels one by one, or their mean."
        )


def _gaussian(window: int, sigma: float) -> list[float]:
    offsets = np.arange(window) - window // 2
    weights = np.exp(-np.square(offsets) / (2 * sigma**2))
    return (weights / weights.sum()).tolist()
