"""Small convolutional network that regresses the joints of one hand from a crop around it."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.hands.prediction import HandPrediction
from jaxkd.vision.layers import GroupNorm, conv, linear, pixelwise
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.pixels import Pixels

GROUP = 8
"""Channels that are normalised together."""

PIXELS_UNIT = 0.25
"""Pixels that an output of 1 stands for, relative to the side of the image: roughly the joints' deviation in a crop."""

POINTS_UNIT = 0.05
"""Metres that an output of 1 stands for: roughly the deviation of a joint's coordinate relative to the wrist."""

TYPICAL_DEPTH = 0.5
"""Distance of the wrist in metres that an output of 0 stands for: an arm's length."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandRegressor(ImageNetwork):
    """Residual network of convolutions of size 3, whose last map is flattened and read by linear heads.

    By default there are 240,426 parameters, and images are 96 x 96; with `size=112` there are 262,474.  The heads are
    of pixels, of points and of the logarithm of the wrist's distance, so that it is positive.

    Maps are normalised by groups of channels within each image, not by BatchNorm: there are no running statistics that
    images of another camera or background would shift, a row's output does not depend on the other rows, and gradients
    of parts of a batch may be added.  Convolutions are plain: on a CPU, inverted residual blocks of as many
    parameters, with their depthwise convolutions, take longer, above all in training.

    Source: the heads of JHands in HANDS23 (arXiv 2403.16428), on a residual network after He et al. (arXiv 1512.03385).
    Deviation: a network of a thousandth of its backbone's size, flattened rather than pooled; the wrist's distance is
    regressed as its logarithm.

    Raises:
        ValueError: a value outside its range.
    """

    pixels: Pixels = "signed"
    """Normalisation of the pixel values."""
    size: int = 96
    """Side of the square images, a multiple of 2 to the number of stages."""
    widths: tuple[int, ...] = (16, 24, 40, 64)
    """Channels of the stages, the finest first, of strides 2, 4, 8 and so on: multiples of 8."""
    blocks: tuple[int, ...] = (0, 1, 2, 1)
    """Residual blocks of each stage, of two convolutions, after the strided one that each begins with."""
    reduced: int = 16
    """Channels of the last map as it is flattened."""
    joints: int = 21
    """Joints of the hand."""
    wrist: int = 0
    """Index of the wrist among the joints, which the points are relative to."""
    root_depth: bool = True
    """Whether the distance of the wrist is estimated."""

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.blocks):
            raise ValueError(
                "widths and blocks must have one number for each of one stage or more, got "
                f"{self.widths} and {self.blocks}."
            )
        if min(self.widths) < GROUP or any(width % GROUP for width in self.widths):
            raise ValueError(
                f"widths must be positive multiples of {GROUP}, the channels that are normalised together, got "
                f"{self.widths}."
            )
        for name, value, least in (
            ("blocks", min(self.blocks), 0),
            ("reduced", self.reduced, 1),
            ("joints", self.joints, 2),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        if not 0 <= self.wrist < self.joints:
            raise ValueError(f"wrist must be the index of one of the {self.joints} joints, got {self.wrist}.")
        stride = 2 ** len(self.widths)
        if self.size < stride or self.size % stride:
            raise ValueError(
                f"size must be a positive multiple of {stride}, the stride of the last of {len(self.widths)} stages, "
                f"got {self.size}."
            )

    @property
    def outputs(self) -> int:
        """Numbers that the heads return for an image."""
        return 5 * self.joints + self.root_depth

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return HandRegressorModule(self, rngs=rngs)

    def require_size(self, height: int, width: int) -> None:
        """Reject images of another size than `size` on both sides."""
        if (height, width) != (self.size, self.size):
            raise ValueError(
                f"images must be of {self.size} x {self.size} pixels, which the heads are for, got {height} x {width}. "
                "Crop or resize them, or set size."
            )


class HandRegressorModule(nnx.Module):
    """Module of `HandRegressor`."""

    def __init__(self, network: HandRegressor, *, rngs: nnx.Rngs):
        self.size, self.joints, self.wrist = network.size, network.joints, network.wrist
        self.estimates_depth = network.root_depth
        # Dicts, not lists: paths of parameters are made of strings.
        self.stages = nnx.Dict(
            {
                f"stage{place}": ConvStage(before, after, blocks=blocks, rngs=rngs)
                for place, (before, after, blocks) in enumerate(
                    zip((3, *network.widths), network.widths, network.blocks, strict=False)
                )
            }
        )
        self.reduce = pixelwise(network.widths[-1], network.reduced, rngs=rngs)
        cells = (network.size // 2 ** len(network.widths)) ** 2
        self.head = linear(cells * network.reduced, network.outputs, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool, rngs: nnx.Rngs | None) -> HandPrediction:
        """Return the joints."""
        del train, rngs
        for stage in self.stages.values():
            images = stage(images)
        rows = images.shape[0]
        outputs = self.head(jax.nn.relu(self.reduce(images)).reshape(rows, -1))
        outputs = outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))  # a crop has more than 256 half pixels
        flat, deep = (
            outputs[:, start : start + count * self.joints] for start, count in ((0, 2), (2 * self.joints, 3))
        )
        points = POINTS_UNIT * deep.reshape(rows, self.joints, 3)
        return HandPrediction(
            pixels=(self.size - 1) / 2 + PIXELS_UNIT * self.size * flat.reshape(rows, self.joints, 2),
            points=points - points[:, self.wrist, None],
            root_depth=TYPICAL_DEPTH * jnp.exp(outputs[:, -1]) if self.estimates_depth else None,
        )


class ConvStage(nnx.Module):
    """Convolution of stride 2, GroupNorm and ReLU, and residual blocks after them."""

    def __init__(self, before: int, after: int, *, blocks: int, rngs: nnx.Rngs):
        self.conv = conv(before, after, 3, stride=2, bias=False, rngs=rngs)
        self.norm = GroupNorm(after, after // GROUP)
        self.blocks = nnx.Dict({f"block{place}": ResidualBlock(after, rngs=rngs) for place in range(blocks)})

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b _ _ k"]:
        """Return the stage's map."""
        images = jax.nn.relu(self.norm(self.conv(images)))
        for block in self.blocks.values():
            images = block(images)
        return images


class ResidualBlock(nnx.Module):
    """Two convolutions of size 3, each normalised by GroupNorm, added to their input."""

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        self.first, self.first_norm = conv(features, features, 3, bias=False, rngs=rngs), _norm(features)
        self.second, self.second_norm = conv(features, features, 3, bias=False, rngs=rngs), _norm(features)

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Return the block's output."""
        values = jax.nn.relu(self.first_norm(self.first(images)))
        return jax.nn.relu(images + self.second_norm(self.second(values)))


def _norm(features: int) -> GroupNorm:
    return GroupNorm(features, features // GROUP)
