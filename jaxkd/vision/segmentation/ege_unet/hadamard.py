"""Grouped multi-axis Hadamard product attention, the block of EGE-UNet's coarse stages."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import Depthwise, gelu, layer_norm, pixelwise, resize, uniform_by_inputs

EPSILON = 1e-6
"""Added to the variance of layer normalisations."""

GROUPS = 4
"""Parts that channels fall into: three attended to along two axes each, and one that is convolved."""

_FAN_OUT = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class HadamardAttention(nnx.Module):
    """Multiply three quarters of the channels by learnt maps, and convolve the fourth.

    For the quarters x1, x2, x3, x4 of the normalised input,

        LN(x1 * m_hw, x2 * m_h, x3 * m_w, dw(GELU(linear(x4)))),  then  linear(GELU(dw(.)))

    m_hw [h, w, c/4], m_h [h, 1, c/4] and m_w [1, w, c/4] are each resized from 8 positions an axis, with the corners
    aligned, then linear(GELU(dw(.))): a depthwise convolution over 3 positions an axis.

    Source: Ruan et al. (arXiv 2307.08473), Group multi-axis Hadamard Product Attention;
    JCruan519/EGE-UNet@f52ba30.  Deviation: none.
    """

    def __init__(self, before: int, after: int, *, positions: int, rngs: nnx.Rngs):
        """Draw the weights.

        Args:
            before: channels of the inputs, a multiple of 4.
            after: channels of the outputs.
            positions: learnt positions of the maps along each axis, at least 2.
            rngs: source of the weights.
        """
        quarter = before // GROUPS
        self.norm = layer_norm(before, epsilon=EPSILON, rngs=rngs)
        self.plane = AxisMap(quarter, (positions, positions), rngs=rngs)
        self.rows = AxisMap(quarter, (positions, 1), rngs=rngs)
        self.columns = AxisMap(quarter, (1, positions), rngs=rngs)
        self.local_mix = pixelwise(quarter, quarter, rngs=rngs)
        self.local = Depthwise(quarter, 3, rngs=rngs)
        self.joint_norm = layer_norm(before, epsilon=EPSILON, rngs=rngs)
        self.joint = Depthwise(before, 3, rngs=rngs)
        self.out = pixelwise(before, after, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w before"]) -> Float[Array, "b h w after"]:
        """Return the block's output."""
        height, width = images.shape[1:3]
        first, second, third, fourth = jnp.split(self.norm(images), GROUPS, axis=-1)
        parts = (
            first * self.plane(height, width),
            second * self.rows(height, 1),
            third * self.columns(1, width),
            self.local(gelu(self.local_mix(fourth))),
        )
        joint = self.joint(self.joint_norm(jnp.concatenate(parts, axis=-1)))
        return self.out(gelu(joint))


class AxisMap(nnx.Module):
    """Learnt factors over one axis or two, at any resolution."""

    def __init__(self, features: int, positions: tuple[int, int], *, rngs: nnx.Rngs):
        """Draw the weights; the factors start as 1.

        Args:
            features: channels.
            positions: learnt rows and columns; 1 along an axis that the factors do not vary along.
            rngs: source of the weights.
        """
        self.factors = nnx.Param(jnp.ones((1, *positions, features)))
        rows, columns = (3 if length > 1 else 1 for length in positions)
        size = (rows, columns)
        if 1 in positions:
            # Released code draws 1-D kernels as if they were not grouped, and leaves their biases as torch draws them.
            self.smooth = Depthwise(features, size, kernel_init=_FAN_OUT, bias_init=uniform_by_inputs(3), rngs=rngs)
        else:
            self.smooth = Depthwise(features, size, rngs=rngs)
        bias_init = uniform_by_inputs(features) if 1 in positions else nnx.initializers.zeros
        self.mix = nnx.Linear(features, features, kernel_init=_FAN_OUT, bias_init=bias_init, rngs=rngs)

    def __call__(self, height: int, width: int) -> Float[Array, "1 h w c"]:
        """Return the factors at `height` rows and `width` columns."""
        factors = resize(self.factors[...], (height, width), align_corners=True)
        return self.mix(gelu(self.smooth(factors)))
