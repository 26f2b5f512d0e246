"""Branch for weak supervision: which classes a backbone's map shows, and where."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.detection.maps import WeakMaps
from jaxkd.vision.layers import BatchNorm, conv, dropout, dropout_masks, layer_norm, linear

DROPOUT = 0.5
"""Share of the units before the last layer of `ScoreMLP` that is dropped in training."""


class WeakBranch(nnx.Module):
    """Class logits of the image and of each cell, for C3, C4 and C5; training alone calls it.

    Each map is brought to one width.  The logits of the image are a linear map of its mean over cells; those of the
    cells are two convolutions, each followed by BatchNorm, which has statistics of its own whatever the backbone's
    normalisation is.  All three maps share these layers and statistics.  `scores` is `ScoreMLP`, which
    `EarlyFusion.score_logits` applies.

    Source: XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa, by a description of it.  Deviation: none known; the
    initial weights are inferred.
    """

    def __init__(self, channels: Sequence[int], width: int = 256, *, classes: int, rngs: nnx.Rngs):
        """Draw the weights.

        Args:
            channels: channels of C3, C4 and C5.
            width: channels that each map is brought to.
            classes: classes of objects.
            rngs: source of the weights.
        """
        self.project = nnx.Dict(
            {f"c{3 + place}": conv(before, width, 1, bias=False, rngs=rngs) for place, before in enumerate(channels)}
        )
        self.image = linear(width, classes, bias=False, rngs=rngs)
        self.cells, self.cells_norm = conv(width, classes, 1, bias=False, rngs=rngs), BatchNorm(classes)
        self.smooth, self.smooth_norm = conv(classes, classes, 3, bias=False, rngs=rngs), BatchNorm(classes)
        self.scores = ScoreMLP(classes, rngs=rngs)

    def __call__(self, maps: tuple[Float[Array, "b _ _ _"], ...], *, train: bool) -> WeakMaps:
        """Return the logits of each map of the backbone."""
        images, masks = [], []
        for place, values in enumerate(maps):
            values = self.project[f"c{3 + place}"](values)
            images.append(self.image(jnp.mean(values, axis=(1, 2))))
            cells = jax.nn.relu(self.cells_norm(self.cells(values), train=train))
            masks.append(self.smooth_norm(self.smooth(cells), train=train))
        return WeakMaps(image_logits=tuple(images), mask_logits=tuple(masks))


class ScoreMLP(nnx.Module):
    """Class logits from an image-text model's class scores: linear maps of half and all classes, then of all.

    The first two are followed by a layer normalisation and SiLU, and the second by dropout of one half.  With three
    classes or fewer the first has a single unit, which its normalisation makes constant, so that the result does not
    depend on the scores.

    Source: as `WeakBranch`; that the linear maps have biases is inferred.
    """

    def __init__(self, classes: int, *, rngs: nnx.Rngs):
        half = max(classes // 2, 1)
        self.first, self.first_norm = linear(classes, half, rngs=rngs), layer_norm(half, rngs=rngs)
        self.second, self.second_norm = linear(half, classes, rngs=rngs), layer_norm(classes, rngs=rngs)
        self.last = linear(classes, classes, rngs=rngs)

    def __call__(self, scores: Float[Array, "b classes"], *, rngs: nnx.Rngs | None) -> Float[Array, "b classes"]:
        """Return the logits; without `rngs` nothing is dropped."""
        values = jax.nn.silu(self.first_norm(self.first(scores)))
        values = jax.nn.silu(self.second_norm(self.second(values)))
        masks = dropout_masks([values.shape], DROPOUT, rngs)
        return self.last(dropout(values, None if masks is None else masks[0], DROPOUT))
