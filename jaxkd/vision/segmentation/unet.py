"""U-Net: the plain encoder and decoder with skip connections, of any widths."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.layers import BatchNorm, conv, max_pool, resize
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.pixels import Range
from jaxkd.vision.segmentation.maps import SegmentationMaps


@dataclasses.dataclass(frozen=True, kw_only=True)
class UNet(ImageNetwork):
    """Stages of two convolutions of size 3, each normalised by BatchNorm and followed by ReLU.

    The encoder halves the sides by the maximum of 2 x 2 pixels, the decoder enlarges its map bilinearly to the size of
    the encoder's and appends the two.  The default widths have 1,064,513 parameters, 3.03 times VFFM-UNet's;
    (6, 8, 12, 16, 20) has 29,493.

    Source: Ronneberger et al. (arXiv 1505.04597), section 2.  Deviation: convolutions are padded, so that the logits
    have the size of the images; BatchNorm; bilinear enlargement, aligned at the corners, without a convolution of its
    own; any sides are taken, where windows at the end have fewer pixels.

    Raises:
        ValueError: no positive width, or no class.
    """

    pixels: Range = "min_max"
    """Range of the pixel values that the network reads."""
    widths: tuple[int, ...] = (12, 24, 48, 96, 184)
    """Channels of the stages, the finest first."""
    classes: int = 1
    """Channels of the logits; 1 is foreground against background."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths must be one or more positive numbers, got {self.widths}.")
        if self.classes < 1:
            raise ValueError(f"classes must be 1 or more, got {self.classes}.")

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return UNetModule(self.widths, self.classes, rngs=rngs)


class TwoConvolutions(nnx.Module):
    """Two times a convolution of size 3, BatchNorm and ReLU."""

    def __init__(self, before: int, after: int, *, rngs: nnx.Rngs):
        self.first, self.first_norm = conv(before, after, 3, bias=False, rngs=rngs), BatchNorm(after)
        self.second, self.second_norm = conv(after, after, 3, bias=False, rngs=rngs), BatchNorm(after)

    def __call__(self, images: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h w k"]:
        """Return the stage's output."""
        images = jax.nn.relu(self.first_norm(self.first(images), train=train))
        return jax.nn.relu(self.second_norm(self.second(images), train=train))


class UNetModule(nnx.Module):
    """Module of `UNet`."""

    def __init__(self, widths: tuple[int, ...], classes: int, *, rngs: nnx.Rngs):
        self.depth = len(widths)
        # Dicts, not lists: paths of parameters are made of strings.
        self.encoder = nnx.Dict(
            {
                f"stage{place}": TwoConvolutions(before, after, rngs=rngs)
                for place, (before, after) in enumerate(zip((3, *widths), widths, strict=False))
            }
        )
        self.decoder = nnx.Dict(
            {
                f"stage{place}": TwoConvolutions(widths[place + 1] + widths[place], widths[place], rngs=rngs)
                for place in reversed(range(len(widths) - 1))
            }
        )
        self.head = conv(widths[0], classes, 1, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool, rngs: nnx.Rngs | None) -> SegmentationMaps:
        """Return the logits, and the feature maps of the stages."""
        del rngs
        encoded, decoded = [], []
        for place in range(self.depth):
            images = self.encoder[f"stage{place}"](max_pool(images, 2) if place else images, train=train)
            encoded.append(images)
        for place in reversed(range(self.depth - 1)):
            skip = encoded[place]
            images = resize(images, skip.shape[1:3], align_corners=True)
            images = self.decoder[f"stage{place}"](jnp.concatenate([images, skip], axis=-1), train=train)
            decoded.append(images)
        return SegmentationMaps(logits=self.head(images), features=(*encoded, *decoded))
