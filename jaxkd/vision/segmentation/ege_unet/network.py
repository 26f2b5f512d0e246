"""EGE-UNet, a U-Net of 53,374 parameters."""

import dataclasses

from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import GroupNorm, conv, gelu, max_pool, pixelwise, resize
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.pixels import Range
from jaxkd.vision.segmentation.ege_unet.aggregation import GroupAggregationBridge
from jaxkd.vision.segmentation.ege_unet.hadamard import GROUPS, HadamardAttention
from jaxkd.vision.segmentation.maps import SegmentationMaps

STAGES = 6
"""Stages of the encoder; all but the last halve the size."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EGEUNet(ImageNetwork):
    """U-Net with attention by Hadamard products, and a prediction at each stage of the decoder.

    `SegmentationMaps.auxiliary` has those five predictions, from 1/32 to 1/2 of the size, resized to the images' with
    the corners aligned; the released training weighs them .1, .2, .3, .4 and .5.  `features` has the six maps of the
    encoder, from 1/2 to 1/32 and again 1/32, and the five of the decoder, from 1/32 to 1/2.  There are 53,374
    parameters; convolutions and linear maps take 0.072 G multiply-adds for images of 256 x 256.

    Source: Ruan et al. (arXiv 2307.08473); JCruan519/EGE-UNet@f52ba30.  Deviation: logits, not probabilities;
    there may be several classes.
    """

    pixels: Range = "min_max"
    """Range of the pixel values that the network reads."""
    classes: int = 1
    """Channels of the predictions; one is foreground against background."""
    widths: tuple[int, ...] = (8, 16, 24, 32, 48, 64)
    """Channels of the encoder's six stages, the finest first; multiples of 4."""
    positions: int = 8
    """Learnt positions of the factors along each axis, at least 2."""

    def __post_init__(self):
        """Reject widths that do not fall into equal groups, and factors that cannot vary.

        Raises:
            ValueError: a number of stages other than 6, a width that is no positive multiple of 4, no class, or too few
                positions.
        """
        if self.classes < 1:
            raise ValueError(f"classes must be 1 or more, got {self.classes}.")
        if len(self.widths) != STAGES or any(width < GROUPS or width % GROUPS for width in self.widths):
            raise ValueError(
                f"widths must be {STAGES} positive multiples of {GROUPS}, since channels fall into that many groups, "
                f"got {self.widths}."
            )
        if self.positions < 2:
            raise ValueError(f"positions must be at least 2, one for each end of an axis, got {self.positions}.")

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return EGEUNetModule(self, rngs=rngs)

    def require_size(self, height: int, width: int) -> None:
        """Reject sides that are no multiples of 32."""
        multiple = 2 ** (STAGES - 1)
        if min(height, width) < multiple or height % multiple or width % multiple:
            raise ValueError(
                f"height and width must be positive multiples of {multiple}, since the size is halved {STAGES - 1} "
                f"times, got {height} x {width}. Resize or pad the images."
            )


class EGEUNetModule(nnx.Module):
    """Module of `EGEUNet`."""

    def __init__(self, network: EGEUNet, *, rngs: nnx.Rngs):
        d, classes, positions = network.widths, network.classes, network.positions
        # Dicts, not lists: paths of parameters are made of strings.
        self.encoder = nnx.Dict(
            stage0=PooledStage(conv(3, d[0], 3, rngs=rngs), d[0]),
            stage1=PooledStage(conv(d[0], d[1], 3, rngs=rngs), d[1]),
            stage2=PooledStage(conv(d[1], d[2], 3, rngs=rngs), d[2]),
            stage3=PooledStage(HadamardAttention(d[2], d[3], positions=positions, rngs=rngs), d[3]),
            stage4=PooledStage(HadamardAttention(d[3], d[4], positions=positions, rngs=rngs), d[4]),
        )
        self.bottom = HadamardAttention(d[4], d[5], positions=positions, rngs=rngs)
        self.decoder = nnx.Dict(
            stage0=BridgedStage(
                HadamardAttention(d[5], d[4], positions=positions, rngs=rngs), d[5], d[4], classes, rngs=rngs
            ),
            stage1=BridgedStage(
                HadamardAttention(d[4], d[3], positions=positions, rngs=rngs), d[4], d[3], classes, rngs=rngs
            ),
            stage2=BridgedStage(
                HadamardAttention(d[3], d[2], positions=positions, rngs=rngs), d[3], d[2], classes, rngs=rngs
            ),
            stage3=BridgedStage(conv(d[2], d[1], 3, rngs=rngs), d[2], d[1], classes, rngs=rngs),
            stage4=BridgedStage(conv(d[1], d[0], 3, rngs=rngs), d[1], d[0], classes, rngs=rngs),
        )
        self.head = pixelwise(d[0], classes, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool, rngs: nnx.Rngs | None) -> SegmentationMaps:
        """Return the logits, the auxiliary ones, and the feature maps."""
        del train, rngs
        size = (images.shape[1], images.shape[2])
        encoded, decoded, auxiliary = [], [], []
        for place in range(STAGES - 1):
            images = self.encoder[f"stage{place}"](images)
            encoded.append(images)
        bottom = merged = images = gelu(self.bottom(images))
        for place, skip in enumerate(reversed(encoded)):
            images, merged, prediction = self.decoder[f"stage{place}"](images, merged, skip)
            decoded.append(images)
            auxiliary.append(resize(prediction, size, align_corners=True))
        logits = resize(self.head(images), size, align_corners=True)
        return SegmentationMaps(logits=logits, auxiliary=tuple(auxiliary), features=(*encoded, bottom, *decoded))


class PooledStage(nnx.Module):
    """GELU(max pool 2 x 2 (GroupNorm(transform(x))))."""

    def __init__(self, transform: nnx.Module, width: int):
        self.transform, self.norm = transform, GroupNorm(width, GROUPS)

    def __call__(self, images: Float[Array, "b h w before"]) -> Float[Array, "b rows columns c"]:
        """Return the stage's map."""
        return gelu(max_pool(self.norm(self.transform(images)), 2))


class BridgedStage(nnx.Module):
    """Map y = GELU(resize(GroupNorm(transform(x)))), its prediction, and y + bridge(skips, prediction)."""

    def __init__(self, transform: nnx.Module, before: int, width: int, classes: int, *, rngs: nnx.Rngs):
        self.transform, self.norm = transform, GroupNorm(width, GROUPS)
        self.head = pixelwise(width, classes, rngs=rngs)
        self.bridge = GroupAggregationBridge(before, width, classes, rngs=rngs)

    def __call__(
        self,
        images: Float[Array, "b rows columns before"],
        coarse: Float[Array, "b rows columns before"],
        fine: Float[Array, "b h w c"],
    ) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"], Float[Array, "b h w classes"]]:
        """Return the stage's map, the bridge's, which is `coarse` for the next stage, and the prediction."""
        size = (fine.shape[1], fine.shape[2])
        images = gelu(resize(self.norm(self.transform(images)), size, align_corners=True))
        prediction = self.head(images)
        merged = self.bridge(coarse, fine, prediction)
        return images + merged, merged, prediction
