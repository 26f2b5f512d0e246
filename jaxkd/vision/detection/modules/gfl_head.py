"""Head of the Generalized Focal Loss: class scores that are qualities of boxes, and edges as distributions."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.typing import Params
from jaxkd.vision.layers import GroupNorm, conv

PRIOR = 0.01
"""Score of each class at first: nearly all cells are background."""

_NORMAL = nnx.initializers.normal(0.01)


class HeadMaps(NamedTuple):
    """Outputs of the head, a map for each level."""

    class_logits: tuple[Float[Array, "b _ _ classes"], ...]
    edge_logits: tuple[Float[Array, "b _ _ 4 bins"], ...]
    tower: tuple[Float[Array, "b _ _ k"], ...]


class GFLHead(nnx.Module):
    """Two towers of convolutions that all levels share, one for classes and one for boxes.

    `classifier` is the last convolution of the classes and a subtree of parameters of its own.  The logits of the edges
    are multiplied by one learnt number for each level.

    Source: Li et al. (arXiv 2006.04388), section 3, on the head of FCOS and ATSS; weights drawn from Normal(0, 0.01^2),
    and the convolutions of the towers without a bias, as in open-mmlab/mmdetection@0009b6e.  Deviation: none.
    """

    def __init__(
        self,
        before: int,
        width: int = 256,
        *,
        classes: int,
        levels: int = 5,
        stacked: int = 4,
        groups: int = 32,
        bins: int = 17,
        rngs: nnx.Rngs,
    ):
        """Draw the weights.

        Args:
            before: channels of the pyramid.
            width: channels of the towers.
            classes: classes of objects.
            levels: maps of the pyramid.
            stacked: convolutions of each tower, 1 or more.
            groups: groups of each GroupNorm.
            bins: bins of the distance to an edge, which stand for 0 to bins - 1 strides.
            rngs: source of the weights.
        """
        self.levels, self.bins = levels, bins
        self.class_tower = Tower(before, width, stacked=stacked, groups=groups, rngs=rngs)
        self.box_tower = Tower(before, width, stacked=stacked, groups=groups, rngs=rngs)
        self.classifier = conv(
            width,
            classes,
            3,
            kernel_init=_NORMAL,
            bias_init=nnx.initializers.constant(-math.log((1 - PRIOR) / PRIOR)),
            rngs=rngs,
        )
        self.edges = conv(width, 4 * bins, 3, kernel_init=_NORMAL, rngs=rngs)
        self.scales = nnx.Dict({f"level{place}": nnx.Param(jnp.ones(())) for place in range(levels)})

    def __call__(self, maps: tuple[Float[Array, "b _ _ _"], ...]) -> HeadMaps:
        """Return the logits of classes and edges, and the features that the classification reads, for each level."""
        tower = tuple(self.class_tower(values) for values in maps)
        edges = []
        for place, values in enumerate(maps):
            logits = self.edges(self.box_tower(values)) * self.scales[f"level{place}"][...]
            edges.append(logits.reshape(*logits.shape[:3], 4, self.bins))
        return HeadMaps(tuple(self.classifier(values) for values in tower), tuple(edges), tower)


class Tower(nnx.Module):
    """Convolutions of size 3 without a bias, each followed by GroupNorm and ReLU."""

    def __init__(self, before: int, width: int, *, stacked: int, groups: int, rngs: nnx.Rngs):
        self.stacked = stacked
        self.convs = nnx.Dict(
            {
                f"layer{place}": conv(
                    before if not place else width, width, 3, bias=False, kernel_init=_NORMAL, rngs=rngs
                )
                for place in range(stacked)
            }
        )
        self.norms = nnx.Dict({f"layer{place}": GroupNorm(width, groups) for place in range(stacked)})

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w k"]:
        """Return the features."""
        for place in range(self.stacked):
            images = jax.nn.relu(self.norms[f"layer{place}"](self.convs[f"layer{place}"](images)))
        return images


def classified(classifier: Params, tower: Float[Array, "b h w k"]) -> Float[Array, "b h w classes"]:
    """Apply the last convolution of the classification to any features of its width.

    Gradients flow to both arguments.

    Args:
        classifier: "kernel" [3, 3, k, classes] and "bias" [classes] of `GFLHead.classifier`.
        tower: features, such as another network's.

    Source: Wang et al. (arXiv 2306.11369), section 3.2, whose students' features pass the teacher's head.  Deviation:
    none.

    Example:
        >>> import jax.numpy as jnp
        >>> classifier = {"kernel": jnp.ones((3, 3, 2, 1)), "bias": jnp.ones(1)}
        >>> classified(classifier, jnp.ones((1, 1, 2, 2))).ravel().tolist()
        [5.0, 5.0]
    """
    kernel, bias = classifier["kernel"], classifier["bias"]
    logits = jax.lax.conv_general_dilated(
        tower, kernel.astype(tower.dtype), (1, 1), [(1, 1)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return logits + bias.astype(tower.dtype)[None, None, None]
