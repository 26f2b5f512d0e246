"""Residual networks as backbones: feature maps of 1/4 to 1/32 of the image's sides."""

from typing import Literal, TypeAlias

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.detection.modules.normalization import Norm, normalization
from jaxkd.vision.layers import conv, overlapping_max_pool

Depth: TypeAlias = Literal[10, 18, 34, 50, 101]
"""Number of layers with weights, by which residual networks are named; the classification's last one is left out.

10 has one block in each stage; it is not in the paper."""

BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}
"""Residual blocks of each stage."""

EXPANSION = 4
"""Ratio of a bottleneck's outputs to its inner channels."""

STAGES = ("c2", "c3", "c4", "c5")
"""Names of the stages: the map of c5 has 1/2^5 of the image's sides."""


class ResNet(nnx.Module):
    """Backbone of 10, 18, 34, 50 or 101 layers, of bottlenecks from 50 on.

    The maps have ceil(side / 4) to ceil(side / 32) cells along each side.  Of width 64 there are 4,905,792,
    11,176,512, 21,284,672, 23,508,032 and 42,500,160 parameters.

    Source: He et al. (arXiv 1512.03385), sections 3.3 and 4.1; in bottlenecks the convolution of size 3 has the stride,
    as in torchvision and in mmdetection's "pytorch" style.  The last normalisation of each block begins with a scale of
    0 (Goyal et al., arXiv 1706.02677, section 5.1), as in mmdetection.  Deviation: GroupNorm instead of BatchNorm where
    `norm` is "group".
    """

    def __init__(self, depth: Depth, *, width: int = 64, norm: Norm = "group", rngs: nnx.Rngs):
        """Draw the weights.

        Args:
            depth: number of layers.
            width: channels of the stem and of the first stage's inner convolutions.
            norm: kind of normalisation.
            rngs: source of the weights.
        """
        self.stem, self.stem_norm = conv(3, width, 7, stride=2, bias=False, rngs=rngs), normalization(width, norm)
        block = BasicBlock if depth < 50 else Bottleneck
        self.channels = stage_channels(depth, width)
        self.blocks = BLOCKS[depth]
        before, stages = width, {}
        for place, (name, after, count) in enumerate(zip(STAGES, self.channels, self.blocks, strict=True)):
            # Dicts, not lists: paths of parameters are made of strings.
            blocks = {}
            for number in range(count):
                stride = 2 if place and not number else 1
                blocks[f"block{number}"] = block(before, after, stride=stride, norm=norm, rngs=rngs)
                before = after
            stages[name] = nnx.Dict(blocks)
        self.stages = nnx.Dict(stages)

    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool) -> tuple[Float[Array, "b _ _ _"], ...]:
        """Return the maps of the four stages, the finest first."""
        values = overlapping_max_pool(jax.nn.relu(self.stem_norm(self.stem(images), train=train)))
        maps = []
        for name, count in zip(STAGES, self.blocks, strict=True):
            for number in range(count):
                values = self.stages[name][f"block{number}"](values, train=train)
            maps.append(values)
        return tuple(maps)


def stage_channels(depth: Depth, width: int) -> tuple[int, int, int, int]:
    """Return the channels of the four maps of `ResNet`.

    Example:
        >>> stage_channels(18, 64), stage_channels(50, 64)
        ((64, 128, 256, 512), (256, 512, 1024, 2048))
    """
    first = width if depth < 50 else EXPANSION * width
    return first, 2 * first, 4 * first, 8 * first


class BasicBlock(nnx.Module):
    """Two convolutions of size 3, added to their input."""

    def __init__(self, before: int, after: int, *, stride: int, norm: Norm, rngs: nnx.Rngs):
        self.first = conv(before, after, 3, stride=stride, bias=False, rngs=rngs)
        self.first_norm = normalization(after, norm)
        self.second = conv(after, after, 3, bias=False, rngs=rngs)
        self.second_norm = normalization(after, norm, zero=True)
        self.shortcut = _shortcut(before, after, stride=stride, norm=norm, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b _ _ k"]:
        """Return the block's output."""
        values = jax.nn.relu(self.first_norm(self.first(images), train=train))
        values = self.second_norm(self.second(values), train=train)
        same = images if self.shortcut is None else self.shortcut(images, train=train)
        return jax.nn.relu(same + values)


class Bottleneck(nnx.Module):
    """Convolutions of sizes 1, 3 and 1, with a quarter of the channels between them, added to their input."""

    def __init__(self, before: int, after: int, *, stride: int, norm: Norm, rngs: nnx.Rngs):
        inner = after // EXPANSION
        self.first, self.first_norm = conv(before, inner, 1, bias=False, rngs=rngs), normalization(inner, norm)
        self.second = conv(inner, inner, 3, stride=stride, bias=False, rngs=rngs)
        self.second_norm = normalization(inner, norm)
        self.third = conv(inner, after, 1, bias=False, rngs=rngs)
        self.third_norm = normalization(after, norm, zero=True)
        self.shortcut = _shortcut(before, after, stride=stride, norm=norm, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b _ _ k"]:
        """Return the block's output."""
        values = jax.nn.relu(self.first_norm(self.first(images), train=train))
        values = jax.nn.relu(self.second_norm(self.second(values), train=train))
        values = self.third_norm(self.third(values), train=train)
        same = images if self.shortcut is None else self.shortcut(images, train=train)
        return jax.nn.relu(same + values)


class NormedConv(nnx.Module):
    """Convolution of size 1 without a bias, and a normalisation."""

    def __init__(self, before: int, after: int, *, stride: int = 1, norm: Norm, rngs: nnx.Rngs):
        self.conv = conv(before, after, 1, stride=stride, bias=False, rngs=rngs)
        self.norm = normalization(after, norm)

    def __call__(self, images: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b _ _ k"]:
        """Return the normalised convolution."""
        return self.norm(self.conv(images), train=train)


def _shortcut(before: int, after: int, *, stride: int, norm: Norm, rngs: nnx.Rngs) -> NormedConv | None:
    """Return what brings a block's input to the shape of its output; None if it has it."""
    return None if stride == 1 and before == after else NormedConv(before, after, stride=stride, norm=norm, rngs=rngs)
