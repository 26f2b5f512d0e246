"""Base of the detection networks: a residual backbone, a feature pyramid, and the head of GFL."""

import abc
import dataclasses
from typing import get_args

from flax import nnx
from jaxtyping import Array, Float

from jaxkd.typing import Params
from jaxkd.vision.detection.modules.gfl_head import GFLHead, classified
from jaxkd.vision.detection.modules.normalization import Norm
from jaxkd.vision.detection.modules.pyramid import BACKBONE_LEVELS, FIRST_LEVEL, FPN
from jaxkd.vision.detection.modules.resnet import Depth, stage_channels
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.pixels import SIGNED, Pixels

VISIBLE_AND_THERMAL = 4
"""Channels of an image with a thermal one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detector(ImageNetwork, abc.ABC):
    """Description of a detector whose outputs are `DetectionMaps`.

    Raises:
        ValueError: a value outside its range.
    """

    pixels: Pixels = SIGNED
    """Normalisation of the pixel values, of all four channels before anything else; [-1, 1] by default.
    `jaxkd.vision.pixels` has the statistics of M3FD and FLIR."""
    classes: int = 6
    """Classes of objects; M3FD has 6."""
    depth: Depth = 50
    """Layers of the residual network."""
    width: int = 64
    """Channels of the backbone's stem, of which its later maps have multiples."""
    norm: Norm = "group"
    """Normalisation of the backbone: "group" or "batch" for training from random weights, "running" for fine-tuning
    of pretrained ones, which is what published detectors do."""
    pyramid_width: int = 256
    """Channels of the pyramid and of the head's towers."""
    levels: int = 5
    """Maps of the pyramid, 3 or more, of strides 8, 16, 32 and so on."""
    stacked: int = 4
    """Convolutions of each of the head's two towers."""
    groups: int = 32
    """Groups of the towers' GroupNorm, at most half of `pyramid_width`."""
    bins: int = 17
    """Bins of the distance from a cell's centre to an edge, which stand for 0 to 16 strides."""

    def __post_init__(self) -> None:
        for name, choices in (("depth", get_args(Depth)), ("norm", get_args(Norm))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {getattr(self, name)!r}.")
        for name, least in (
            ("classes", 1),
            ("width", 1),
            ("pyramid_width", 2),
            ("levels", BACKBONE_LEVELS),
            ("stacked", 1),
            ("groups", 1),
            ("bins", 2),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.pyramid_width % self.groups or self.pyramid_width < 2 * self.groups:
            raise ValueError(
                "pyramid_width must be a multiple of groups, and at least twice as large, as one channel of a level of "
                f"one cell would be normalised to 0, got {self.pyramid_width} and {self.groups}. Take fewer groups."
            )

    @property
    def channels(self) -> tuple[int, ...]:
        return (VISIBLE_AND_THERMAL,)

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels between the centres of neighbouring cells, for each level."""
        return tuple(2 ** (FIRST_LEVEL + place) for place in range(self.levels))

    def require_size(self, height: int, width: int) -> None:
        """Reject images that have a side below the coarsest stride.

        Other sides are taken; at a level of stride s there are ceil(side / s) cells.  The centre of the last one may
        lie outside the image, where no object is, unless the side is a multiple of the stride.
        """
        coarsest = self.strides[-1]
        if min(height, width) < coarsest:
            fitting = max(min(height, width).bit_length() - FIRST_LEVEL, 0)
            hint = f"Take levels={fitting}, or" if fitting >= BACKBONE_LEVELS else "Take"
            raise ValueError(
                f"images must have sides of at least {coarsest} pixels, the coarsest stride, so that each of the "
                f"{self.levels} levels has a cell within the image, got {height} x {width}. {hint} larger images."
            )

    def classifier_params(self, params: Params) -> Params:
        """Return the parameters of the last convolution of the classification."""
        return params["head"]["classifier"]

    def classify(self, params: Params, tower: Float[Array, "b h w k"]) -> Float[Array, "b h w classes"]:
        """Return the class logits of other features, such as a student's, by this network's last convolution.

        Args:
            params: parameters of this network.
            tower: features of `pyramid_width` channels.

        Raises:
            ValueError: features of another width.
        """
        if tower.shape[-1] != self.pyramid_width:
            raise ValueError(
                f"tower must have {self.pyramid_width} channels, the pyramid_width of the network that classifies, "
                f"got {tower.shape[-1]}. Give both networks one pyramid_width."
            )
        return classified(self.classifier_params(params), tower)

    def backbone_channels(self) -> tuple[int, int, int, int]:
        """Return the channels of the four maps of the backbone."""
        return stage_channels(self.depth, self.width)

    def pyramid_module(self, rngs: nnx.Rngs) -> FPN:
        """Return the pyramid's module."""
        return FPN(self.backbone_channels()[1:], self.pyramid_width, levels=self.levels, rngs=rngs)

    def head_module(self, rngs: nnx.Rngs) -> GFLHead:
        """Return the head's module."""
        return GFLHead(
            self.pyramid_width,
            self.pyramid_width,
            classes=self.classes,
            levels=self.levels,
            stacked=self.stacked,
            groups=self.groups,
            bins=self.bins,
            rngs=rngs,
        )
