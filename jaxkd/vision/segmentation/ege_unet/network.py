"""EGE-UNet, a U-Net of 53,374 parameters."""

import dataclasses

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import conv, max_pool, resize
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.segmentation.ege_unet.aggregation import GroupAggregationBridge
from jaxkd.vision.segmentation.ege_unet.hadamard import GROUPS, HadamardAttention
from jaxkd.vision.segmentation.maps import SegmentationMaps

STAGES = 6
"""Stages of the encoder; all but the last halve the size."""

PLAIN = 3
"""Stages, the finest, that convolve; the others are `HadamardAttention`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EGEUNet(ImageNetwork):
    """U-Net with attention by Hadamard products, and a prediction at each stage of the decoder.

    `SegmentationMaps.auxiliary` has those five predictions, from 1/32 to 1/2 of the size, resized to the images' with the
    corners aligned; the released training weighs them .1, .2, .3, .4 and .5.  `features` has the six maps of the encoder,
    from 1/2 to 1/32, and the five of the decoder, from 1/32 to 1/2.  53,374 parameters and 0.072 G multiply-adds for
    images of 256 x 256.

    Source: Ruan et al. (arXiv 2307.08473); JCruan519/EGE-UNet@f52ba30.  Deviation: outputs are logits, not
    probabilities; more than one class is possible.
    """

    classes: int = 1
    """Channels of the predictions; one is foreground against background."""
    widths: tuple[int, int, int, int, int, int] = (8, 16, 24, 32, 48, 64)
    """Channels of the encoder's stages."""
    positions: int = 8
    """Learnt positions of the factors along each axis, at least 2."""

    def __post_init__(self):
        """Reject widths that do not fall into equal groups, and factors that cannot vary.

        Raises:
            ValueError: a number of stages other than 6, a width that is no multiple of 4, or too few positions.
        """
        if len(self.widths) != STAGES or any(width % GROUPS for width in self.widths):
            raise ValueError(
                f"widths must be {STAGES} multiples of {GROUPS}, since channels fall into that many groups, got "
                f"{self.widths}."
            )
        if self.positions < 2:
            raise ValueError(f"positions must be at least 2, one for each end of an axis, got {self.positions}.")

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        return _EGEUNet(self, rngs=rngs)

    def require_size(self, height: int, width: int) -> None:
        multiple = 2 ** (STAGES - 1)
        if height % multiple or width % multiple:
            raise ValueError(
                f"height and width must be multiples of {multiple}, since the size is halved {STAGES - 1} times, got "
                f"{height} x {width}. Resize or pad the images."
            )


class _EGEUNet(nnx.Module):
    def __init__(self, network: EGEUNet, *, rngs: nnx.Rngs):
        widths, classes = network.widths, network.classes
        self.encoder = nnx.List(
            [
                _stage(before, after, plain=stage < PLAIN, positions=network.positions, rngs=rngs)
                for stage, (before, after) in enumerate(zip((3, *widths), widths, strict=False))
            ]
        )
        self.encoder_norms = nnx.List([_group_norm(width, rngs) for width in widths[:-1]])
        # All that follows is in the decoder's order, the coarsest first.
        levels = [(widths[level + 1], widths[level], level >= PLAIN - 1) for level in reversed(range(STAGES - 1))]
        self.decoder = nnx.List(
            [
                _stage(before, after, plain=not attends, positions=network.positions, rngs=rngs)
                for before, after, attends in levels
            ]
        )
        self.decoder_norms = nnx.List([_group_norm(after, rngs) for _, after, _ in levels])
        self.heads = nnx.List([conv(after, classes, 1, rngs=rngs) for _, after, _ in levels])
        self.bridges = nnx.List(
            [GroupAggregationBridge(before, after, classes, rngs=rngs) for before, after, _ in levels]
        )
        self.final = conv(widths[0], classes, 1, rngs=rngs)

    def __call__(
        self, images: Float[Array, "b h w 3"], *, train: bool = False, rngs: nnx.Rngs | None = None
    ) -> SegmentationMaps:
        del train, rngs
        size = (images.shape[1], images.shape[2])
        encoded = []
        for stage, norm in zip(self.encoder, self.encoder_norms, strict=False):
            images = _gelu(max_pool(norm(stage(images)), 2))
            encoded.append(images)
        images = _gelu(self.encoder[-1](images))
        encoded.append(images)
        merged, decoded, auxiliary = images, [], []
        for number, (skip, stage, norm) in enumerate(
            zip(reversed(encoded[:-1]), self.decoder, self.decoder_norms, strict=True)
        ):
            # The first stage has the size of the encoder's last; each later one doubles it.
            images = _gelu(resize(norm(stage(images)), (skip.shape[1], skip.shape[2]), align_corners=True))
            prediction = self.heads[number](images)
            merged = self.bridges[number](merged, skip, prediction)
            images = images + merged
            decoded.append(images)
            auxiliary.append(resize(prediction, size, align_corners=True))
        logits = resize(self.final(images), size, align_corners=True)
        return SegmentationMaps(logits=logits, auxiliary=tuple(auxiliary), features=(*encoded, *decoded))


def _stage(before: int, after: int, *, plain: bool, positions: int, rngs: nnx.Rngs) -> nnx.Module:
    if plain:
        return conv(before, after, 3, rngs=rngs)
    return HadamardAttention(before, after, positions=positions, rngs=rngs)


def _group_norm(features: int, rngs: nnx.Rngs) -> nnx.GroupNorm:
    return nnx.GroupNorm(features, GROUPS, epsilon=1e-5, use_fast_variance=False, rngs=rngs)


def _gelu(values: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jax.nn.gelu(values, approximate=False)
