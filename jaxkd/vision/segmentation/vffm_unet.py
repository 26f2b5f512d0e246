"""VFFM-UNet: a U-Net of 351,052 parameters whose coarse stages attend at three granularities."""

import dataclasses
from typing import get_args

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import GroupNorm, average_pool, conv, gelu, resize
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.pixels import Range
from jaxkd.vision.segmentation.fast_attention import AttentionForm, Variant
from jaxkd.vision.segmentation.granularity_fusion import FastformerBlock, GranularityFusion
from jaxkd.vision.segmentation.maps import SegmentationMaps

GROUPS = 4
"""Groups of each GroupNorm."""
STAGES = 6
"""Stages of the encoder and of the decoder; the side halves between those of the encoder."""
REDUCTION = 2 ** (STAGES - 1)
"""Sides of the image over those of the coarsest stage."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VFFMUNet(ImageNetwork):
    """Six stages of widths 8 to 64, the three coarsest with attention, without deep supervision.

    The released network takes squares whose sides are multiples of 256 only.  This one equals it there, and takes any
    sides that are multiples of 32.

    Source: Multi-Granularity Vision Fastformer with Fusion Mechanism (arXiv 2504.03108), as in
    11penguins/VFFM-UNet@dcfb562.  Deviation: logits, not probabilities; see also `FastAttention`.

    Raises:
        ValueError: a value outside its range.
    """

    pixels: Range = "min_max"
    """Range of the pixel values that the network reads."""
    variant: Variant = "released"
    """Attention as published, or as its paper's abstract describes it (inferred); both have the same parameters."""
    widths: tuple[int, ...] = (8, 16, 24, 32, 48, 64)
    """Channels of the six stages, the finest first; multiples of 4."""
    classes: int = 1
    """Channels of the logits; 1 is foreground against background."""
    heads: int = 12
    """Heads of each attention."""
    granularity_fusion: bool = True
    """Whether the spatially weighted sum of the three attentions is added."""
    channel_fusion: bool = True
    """Whether the mixture of the two coarser attentions is added.  Without both, attention is to pixels alone."""
    attention: AttentionForm = "closed"
    """How attention is computed: "closed", without N x N arrays, or "quadratic", with them: the reference."""
    dropout: float = 0.1
    """Share of the attention weights and of the attentions' outputs that is dropped in training."""

    def __post_init__(self) -> None:
        for name, choices in (("variant", get_args(Variant)), ("attention", get_args(AttentionForm))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        if len(self.widths) != STAGES or any(width < GROUPS or width % GROUPS for width in self.widths):
            raise ValueError(f"widths must be {STAGES} positive multiples of {GROUPS}, got {self.widths}.")
        for name in ("classes", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return VFFMUNetModule(self, rngs=rngs)

    def require_size(self, height: int, width: int) -> None:
        """Reject sides that are no positive multiples of 32."""
        if min(height, width) < REDUCTION or height % REDUCTION or width % REDUCTION:
            near = [max(round(side / REDUCTION), 1) * REDUCTION for side in (height, width)]
            raise ValueError(
                f"images must have sides that are multiples of {REDUCTION}, got {height} x {width}. "
                f"Resize or pad them, for instance to {near[0]} x {near[1]}."
            )

    def block(self, features: int, rngs: nnx.Rngs) -> FastformerBlock:
        """Return a block with attention."""
        fusion = GranularityFusion(
            features,
            heads=self.heads,
            variant=self.variant,
            form=self.attention,
            rate=self.dropout,
            spatial=self.granularity_fusion,
            channel=self.channel_fusion,
            rngs=rngs,
        )
        return FastformerBlock(features, fusion=fusion, rngs=rngs)


class UNetStage(nnx.Module):
    """Convolution of size 3, with a block before it and one after it where the stage has them."""

    def __init__(
        self,
        convolution: nnx.Conv,
        *,
        before: FastformerBlock | None = None,
        after: FastformerBlock | None = None,
    ):
        self.before, self.convolution, self.after = before, convolution, after

    def __call__(
        self, images: Float[Array, "b h w c"], *, train: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "b h w k"]:
        """Return the stage's output, which the caller normalises."""
        images = images if self.before is None else self.before(images, train=train, rngs=rngs)
        images = self.convolution(images)
        return images if self.after is None else self.after(images, train=train, rngs=rngs)


class VFFMUNetModule(nnx.Module):
    """Module of `VFFMUNet`.

    Encoder and decoder stage of one width share their GroupNorm.
    """

    def __init__(self, network: VFFMUNet, *, rngs: nnx.Rngs):
        d = network.widths
        # Dicts, not lists: paths of parameters are made of strings.
        self.norms = nnx.Dict({f"width{place}": GroupNorm(width, GROUPS) for place, width in enumerate(d)})
        self.encoder = nnx.Dict(
            stage0=UNetStage(conv(3, d[0], 3, rngs=rngs)),
            stage1=UNetStage(conv(d[0], d[1], 3, rngs=rngs)),
            stage2=UNetStage(conv(d[1], d[2], 3, rngs=rngs)),
            stage3=UNetStage(conv(d[2], d[3], 3, rngs=rngs), before=network.block(d[2], rngs)),
            stage4=UNetStage(conv(d[3], d[4], 3, rngs=rngs), before=network.block(d[3], rngs)),
            stage5=UNetStage(
                conv(d[4], d[5], 3, rngs=rngs), before=network.block(d[4], rngs), after=network.block(d[5], rngs)
            ),
        )
        self.decoder = nnx.Dict(
            stage0=UNetStage(conv(d[5], d[4], 3, rngs=rngs), after=network.block(d[4], rngs)),
            stage1=UNetStage(conv(d[4], d[3], 3, rngs=rngs), after=network.block(d[3], rngs)),
            stage2=UNetStage(conv(d[3], d[2], 3, rngs=rngs)),
            stage3=UNetStage(conv(d[2], d[1], 3, rngs=rngs)),
            stage4=UNetStage(conv(d[1], d[0], 3, rngs=rngs)),
        )
        self.connections = nnx.Dict(
            {f"stage{place}": conv(2 * width, width, 3, rngs=rngs) for place, width in enumerate(d[-2::-1])}
        )
        self.head = conv(d[0], network.classes, 3, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool, rngs: nnx.Rngs | None) -> SegmentationMaps:
        """Return the logits, and the feature maps of the six stages of the encoder and the five of the decoder."""
        encoded, decoded = [], []
        for place in range(STAGES):
            images = average_pool(images, 2) if place else images
            images = self.encoder[f"stage{place}"](images, train=train, rngs=rngs)
            images = gelu(self.norms[f"width{place}"](images))
            encoded.append(images)
        for place, skip in enumerate(encoded[-2::-1]):
            images = resize(images, skip.shape[1:3], align_corners=True)
            images = self.decoder[f"stage{place}"](images, train=train, rngs=rngs)
            images = gelu(self.norms[f"width{STAGES - 2 - place}"](images))
            images = self.connections[f"stage{place}"](jnp.concatenate([images, skip], axis=-1))
            decoded.append(images)
        return SegmentationMaps(logits=self.head(images), features=(*encoded, *decoded))
