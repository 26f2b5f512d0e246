"""MISSFormer, a hierarchical transformer for segmentation."""

import dataclasses
import math

from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.pixels import Range
from jaxkd.vision.segmentation.maps import SegmentationMaps
from jaxkd.vision.segmentation.missformer.bridge import ContextBridge
from jaxkd.vision.segmentation.missformer.decoder import DecoderStage
from jaxkd.vision.segmentation.missformer.encoder import EncoderStage
from jaxkd.vision.segmentation.missformer.weights import linear

FIRST_STRIDE = 4
"""Ratio of the image's sides to those of the finest map; each later map has half of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MISSFormer(ImageNetwork):
    """Transformer encoder and decoder, and a bridge between them in which the maps of all stages attend to one another.

    `features` has the maps of the encoder, from 1/4 to 1/32 of the size, and those of the decoder's stages as they are
    expanded, from 1/16 to 1/1.  With 9 classes there are 35,452,745 parameters.  Convolutions and linear maps take
    5.412 G multiply-adds for images of 224 x 224; those of the released code take 7.184 G, since it computes one map in
    each feed-forward network twice.

    Source: Huang et al. (arXiv 2109.07162); ZhifangDeng/MISSFormer@007424e.  Deviation: any size whose sides are
    multiples of 32, the released code takes 224 x 224; layers without effect are left out by default.
    """

    pixels: Range = "signed"
    """Range of the pixel values that the network reads; the released training has [-1, 1]."""
    classes: int = 9
    """Channels of the logits."""
    widths: tuple[int, ...] = (64, 128, 320, 512)
    """Channels of the encoder's maps, each a multiple of the first, which is also the width of the bridge's tokens."""
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Transformer blocks of each stage of the encoder."""
    heads: tuple[int, ...] = (1, 2, 5, 8)
    """Heads of each stage's attention, in the encoder and in the decoder."""
    reductions: tuple[int, ...] = (8, 4, 2, 1)
    """Ratio of each map's sides to those of its keys and values."""
    bridge_layers: int = 4
    """Layers of the bridge."""
    unused_layers: bool = False
    """Whether to have the layers of the released code that nothing calls, so that each of its weights has a place.

    They are two normalisations in each feed-forward network, and all of the deepest decoder stage but its expansion:
    7,009,792 parameters, of 42,462,537 with 9 classes.  No output depends on them, but they take memory, also the
    optimizer's, and weight decay shrinks them.
    """

    def __post_init__(self):
        """Reject stages that do not fit together.

        Raises:
            ValueError: no class, tuples of different lengths, or a width that does not fall into tokens and heads.
        """
        if self.classes < 1:
            raise ValueError(f"classes must be 1 or more, got {self.classes}.")
        lengths = {len(one) for one in (self.widths, self.depths, self.heads, self.reductions)}
        if lengths != {len(self.widths)} or len(self.widths) < 2:
            raise ValueError(
                "widths, depths, heads and reductions must have one number for each of two stages or more, got "
                f"{self.widths}, {self.depths}, {self.heads} and {self.reductions}."
            )
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % self.widths[0] or width % heads or width % 2:
                raise ValueError(
                    f"widths must be even multiples of the first, {self.widths[0]}, which is the width of a token, and "
                    f"of their heads, got {width} with {heads}."
                )

    @property
    def multiple(self) -> int:
        """Number that the sides of the images must be multiples of."""
        scales = [FIRST_STRIDE * 2**stage for stage in range(len(self.widths))]
        return math.lcm(*(scale * reduction for scale, reduction in zip(scales, self.reductions, strict=True)))

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return MISSFormerModule(self, rngs=rngs)

    def require_size(self, height: int, width: int) -> None:
        """Reject sides that are no multiples of `multiple`."""
        multiple = self.multiple
        if min(height, width) < multiple or height % multiple or width % multiple:
            raise ValueError(
                f"height and width must be positive multiples of {multiple}, so that each map can be reduced, got "
                f"{height} x {width}. Resize or pad the images."
            )


class MISSFormerModule(nnx.Module):
    """Module of `MISSFormer`."""

    def __init__(self, network: MISSFormer, *, rngs: nnx.Rngs):
        widths, unused = network.widths, network.unused_layers
        stages = range(len(widths))
        # Dicts, not lists: paths of parameters are made of strings.
        self.encoder = nnx.Dict(
            {
                f"stage{stage}": EncoderStage(
                    3 if stage == 0 else widths[stage - 1],
                    widths[stage],
                    first=stage == 0,
                    depth=network.depths[stage],
                    heads=network.heads[stage],
                    reduction=network.reductions[stage],
                    unused_layers=unused,
                    rngs=rngs,
                )
                for stage in stages
            }
        )
        self.bridge = ContextBridge(
            widths, network.reductions, depth=network.bridge_layers, unused_layers=unused, rngs=rngs
        )
        self.decoder = nnx.Dict(
            {f"stage{place}": self._decoder_stage(network, stage, rngs) for place, stage in enumerate(reversed(stages))}
        )
        self.head = linear(widths[0], network.classes, "xavier", rngs=rngs)

    @staticmethod
    def _decoder_stage(network: MISSFormer, stage: int, rngs: nnx.Rngs) -> DecoderStage:
        width, deepest = network.widths[stage], stage == len(network.widths) - 1
        return DecoderStage(
            # Released code gives the deepest stage, which has no map before it, room for two of its own width.
            width + (width if deepest else network.widths[stage + 1] // 2),
            width,
            width // 2 if stage else width,
            factor=2 if stage else FIRST_STRIDE,
            heads=network.heads[stage],
            reduction=network.reductions[stage],
            merges=not deepest,
            unused_layers=network.unused_layers,
            rngs=rngs,
        )

    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool, rngs: nnx.Rngs | None) -> SegmentationMaps:
        """Return the logits and the feature maps."""
        del train, rngs
        encoded = []
        for place in range(len(self.encoder)):
            images = self.encoder[f"stage{place}"](images)
            encoded.append(images)
        *skips, images = self.bridge(encoded)
        decoded = []
        for place, skip in enumerate((None, *reversed(skips))):
            images = self.decoder[f"stage{place}"](images, skip)
            decoded.append(images)
        return SegmentationMaps(logits=self.head(images), features=(*encoded, *decoded))
