"""Weights of two modalities by the edges that each sees."""

from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.vision.fusion.edges import sobel_magnitude
from jaxkd.vision.fusion.structural_similarity import ssim_map

EdgeNorm: TypeAlias = Literal["l2", "none", "max"]
"""Divisor of each map of edges, before they are compared.

- `l2`: its Euclidean norm over the image, as released.
- `none`: nothing.
- `max`: its greatest value.
"""

_EPSILON = 1e-12


def shape_weights(
    visible: Float[Array, "b h w c"],
    thermal: Float[Array, "b h w c2"],
    *,
    edge_norm: EdgeNorm = "l2",
    temperature: float = 1.0,
) -> Float[Array, "b h w 2"]:
    """Return softmax((s_visible, s_thermal) / temperature), s_m = SSIM(e / norm(e), e_m / norm(e_m)), per pixel.

    e_m are the edges of a modality by `sobel_magnitude`, and e are those of both: the greater of the two, and of that
    the greatest around each pixel, 3 x 3.  SSIM is `ssim_map`.  So the modality whose edges are more like those of both
    has the greater weight.  SSIM lies in [-1, 1]: at temperature 1, no weight is above sigmoid(2) = 0.88.

    Args:
        visible: visible images, of any float dtype and number of channels, scaled as for the network; gradients reach
            them.
        thermal: thermal images of the same scenes, aligned; gradients reach them.
        edge_norm: what edges are divided by; `l2` is the released form, which hardly distinguishes the modalities.
        temperature: divides the similarities, > 0.

    Returns:
        Per pixel, float32 (float64 if an input is): the weight of the visible image and that of the thermal one, which
        sum to 1.

    Raises:
        ValueError: images of different sizes or of fewer than 4 pixels a side, an unknown norm, or a temperature that
            is not positive.

    Source: ShaPE of arXiv 2405.16038, from the code XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa.  That is
    `l2` at temperature 1, which saturates: edges that are divided by their norm over h x w pixels are about
    1 / sqrt(h w), small beside SSIM's constants, the more so the larger the image.  Between a photograph of 500 x 741
    pixels and its disparity the weights have a standard deviation of 0.004 around 1/2, and where the photograph is 50
    times darker its mean weight is 0.498, beside 0.5005 in the rest; with `none`, 0.446 and 0.556.  Deviation: `none`
    and `max`, where SSIM compares edges of its range, and the temperature are inferred.

    Example:
        >>> import jax.numpy as jnp
        >>> step = jnp.zeros((1, 8, 8, 1)).at[:, :, 4:].set(1.0)  # an edge that the thermal image does not show
        >>> shape_weights(step, 0 * step, edge_norm="none")[0, 4, 4].round(2).tolist()
        [0.5999999642372131, 0.3999999761581421]
    """
    if visible.ndim != 4 or thermal.ndim != 4 or visible.shape[:-1] != thermal.shape[:-1]:
        raise ValueError(
            f"visible and thermal must be [images, height, width, channels] of one size, got {visible.shape} and "
            f"{thermal.shape}. Align and resize the images of a pair first."
        )
    if edge_norm not in get_args(EdgeNorm):
        raise ValueError(f"edge_norm must be one of {', '.join(get_args(EdgeNorm))}, got {edge_norm!r}.")
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    dtype = jnp.result_type(visible, thermal)
    of_visible, of_thermal = (sobel_magnitude(images.astype(dtype)) for images in (visible, thermal))
    of_both = _normalised(_greatest_around(jnp.maximum(of_visible, of_thermal)), edge_norm)
    similarities = [ssim_map(of_both, _normalised(edges, edge_norm)) for edges in (of_visible, of_thermal)]
    return jax.nn.softmax(jnp.stack(similarities, axis=-1) / temperature, axis=-1)


def _normalised(edges: Float[Array, "b h w"], edge_norm: EdgeNorm) -> Float[Array, "b h w"]:
    match edge_norm:
        case "none":
            return edges
        case "l2":
            size = jnp.sqrt(jnp.sum(jnp.square(edges), axis=(1, 2), keepdims=True))
        case "max":
            size = jnp.max(edges, axis=(1, 2), keepdims=True)
    return edges / jnp.maximum(size, _EPSILON)


def _greatest_around(edges: Float[Array, "b h w"]) -> Float[Array, "b h w"]:
    """Return the maximum over the 3 x 3 pixels around each that lie in the image.

    Maxima of shifted images, because XLA's gradient of a window's maximum is slow on a CPU.
    """
    for axis in (1, 2):
        sides = [(1, 1) if one == axis else (0, 0) for one in range(3)]
        padded, length = jnp.pad(edges, sides, constant_values=-jnp.inf), edges.shape[axis]
        before, after = (jax.lax.slice_in_dim(padded, start, start + length, axis=axis) for start in (0, 2))
        edges = jnp.maximum(edges, jnp.maximum(before, after))
    return edges
