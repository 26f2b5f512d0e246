"""Early fusion: the visible and the thermal image as one image of three channels."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.fusion.shape_weights import EdgeNorm, shape_weights
from jaxkd.vision.layers import blocked_convolution, conv

COLOURS = 3
"""Channels of a visible image."""


class FusionStem(nnx.Module):
    """Convolution of size 7 from the two images, three channels each, to three channels: 882 parameters.

    With `weighted`, each image is multiplied before by its weight at each pixel, which follows from where its edges
    are alike to those of both images together.  Without, the weights are 1.

    Source: "Rethinking Early-Fusion Strategies for Improved Multispectral Object Detection" (arXiv 2405.16038), as
    XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa has it; zero padding and the initial weights are inferred.
    Deviation: none with `weighted`.  The plain stem that the paper compares with is not known: this one differs from
    the weighted one in the weights alone.
    """

    def __init__(self, *, weighted: bool, edge_norm: EdgeNorm, temperature: float, rngs: nnx.Rngs):
        self.weighted, self.temperature = weighted, temperature
        self.edge_norm: EdgeNorm = edge_norm
        self.conv = conv(2 * COLOURS, COLOURS, 7, bias=False, rngs=rngs)

    def __call__(
        self, images: Float[Array, "b h w 4"]
    ) -> tuple[Float[Array, "b h w 3"], Float[Array, "b h w 2"] | None]:
        """Return the fused image, and the weights of the visible and the thermal image if there are any."""
        visible, thermal = split_modalities(images)
        weights = None
        if self.weighted:
            weights = shape_weights(visible, thermal, edge_norm=self.edge_norm, temperature=self.temperature)
            factors = weights.astype(images.dtype)
            visible, thermal = visible * factors[..., :1], thermal * factors[..., 1:]
        # The thermal image has three equal channels, whose weights may be added first.
        colours, greys = jnp.split(self.conv.kernel[...], [COLOURS], axis=2)
        kernel = jnp.concatenate([colours, jnp.sum(greys, axis=2, keepdims=True)], axis=2)
        return blocked_convolution(jnp.concatenate([visible, thermal[..., :1]], axis=-1), kernel), weights


def split_modalities(images: Float[Array, "b h w 4"]) -> tuple[Float[Array, "b h w 3"], Float[Array, "b h w 3"]]:
    """Return the visible image, and the thermal one repeated to three channels.

    Example:
        >>> import jax.numpy as jnp
        >>> visible, thermal = split_modalities(jnp.arange(4.0).reshape(1, 1, 1, 4))
        >>> visible.ravel().tolist(), thermal.ravel().tolist()
        ([0.0, 1.0, 2.0], [3.0, 3.0, 3.0])
    """
    return images[..., :COLOURS], jnp.repeat(images[..., COLOURS:], COLOURS, axis=-1)
