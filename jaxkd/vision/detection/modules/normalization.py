"""Normalisation within detection networks: by groups of channels, by the batch, or by fixed statistics."""

import math
from typing import Literal, TypeAlias

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import BatchNorm, GroupNorm

Norm: TypeAlias = Literal["group", "batch", "running"]
"""Normalisation of the backbone.

- `group`: GroupNorm of each image, in 32 groups, or in fewer so that each has at least two channels.  Training from
  random weights takes it: it has no statistics of the batch, so batches may be small and gradients accumulated.
- `batch`: BatchNorm, by the batch in training, which moves the running statistics; for training from random weights
  with large batches.
- `running`: BatchNorm by the running statistics, which stay as they are, also in training; scale and bias are learnt.
  Detectors are fine-tuned so from pretrained weights.  At initialisation the statistics are 0 and 1, which normalise
  nothing.
"""

_MOST_GROUPS = 32


class GroupedNorm(GroupNorm):
    """GroupNorm in 32 groups, or in the most below whose groups have at least two channels."""

    def __init__(self, features: int):
        super().__init__(features, math.gcd(_MOST_GROUPS, max(features // 2, 1)))

    def __call__(self, inputs: Float[Array, "b h w c"], *, train: bool = False) -> Float[Array, "b h w c"]:
        """Return the normalised inputs, which are the same in training."""
        del train
        return super().__call__(inputs)


class RunningNorm(BatchNorm):
    """BatchNorm by the running statistics, which training keeps."""

    def __call__(self, inputs: Float[Array, "b *spatial c"], *, train: bool = False) -> Float[Array, "b *spatial c"]:
        """Return the normalised inputs, which are the same in training."""
        del train
        return super().__call__(inputs, train=False)


def normalization(features: int, norm: Norm, *, zero: bool = False) -> GroupedNorm | BatchNorm:
    """Return the normalisation, called with `train`.

    Args:
        features: channels.
        norm: kind of normalisation.
        zero: whether the scale is 0 at first, so that nothing passes.
    """
    made = {"group": GroupedNorm, "batch": BatchNorm, "running": RunningNorm}[norm](features)
    if zero:
        made.scale = nnx.Param(jnp.zeros(features))
    return made
