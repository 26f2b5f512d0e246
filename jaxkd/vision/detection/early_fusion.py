"""Early fusion: one branch that reads the visible and the thermal image as one, or either of them alone."""

import dataclasses
import functools
import math
from typing import Literal, TypeAlias, get_args

from flax import nnx
from jaxtyping import Array, Float

from jaxkd.networks.functional import Stateful, stateful
from jaxkd.typing import Key, Params
from jaxkd.vision.detection.detector import VISIBLE_AND_THERMAL, Detector
from jaxkd.vision.detection.maps import DetectionMaps
from jaxkd.vision.detection.modules.resnet import ResNet
from jaxkd.vision.detection.modules.stem import COLOURS, FusionStem, split_modalities
from jaxkd.vision.detection.modules.weak_branch import ScoreMLP, WeakBranch
from jaxkd.vision.fusion.shape_weights import EdgeNorm

Stem: TypeAlias = Literal["plain", "shape", "visible", "thermal"]
"""Images that the residual network reads.

- `plain`: a convolution of size 7 of the visible and the thermal image.
- `shape`: the same of both images times their weights at each pixel (ShaPE).
- `visible`: the visible image; images without a thermal one are taken too.
- `thermal`: the thermal image, repeated to three channels.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyFusion(Detector):
    """Generalized Focal Loss detector of one branch.

    With the default values there are 32,270,849 parameters, of which the stem has 882; of either image alone there are
    32,269,967.  `DetectionMaps.backbone` has the maps C2 to C5.

    Source: "Rethinking Early-Fusion Strategies for Improved Multispectral Object Detection" (arXiv 2405.16038), as
    XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa has it: `norm="running"` and pretrained weights.  Deviation:
    see `FusionStem`, `ResNet` and `WeakBranch`.

    Raises:
        ValueError: a value outside its range.
    """

    stem: Stem = "shape"
    """Images that the residual network reads."""
    edge_norm: EdgeNorm = "l2"
    """Division of the edge maps by which "shape" weighs the images; "l2", the released one, leaves the weights close to
    one half, and the closer the larger the image."""
    temperature: float = 1.0
    """Temperature of the softmax over the two images' weights, above 0; 1 as released."""
    weak_branch: bool = False
    """Whether to have the branch for weak supervision, of `pyramid_width` channels: it is called in training alone, and
    its BatchNorm has running statistics."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("stem", get_args(Stem)), ("edge_norm", get_args(EdgeNorm))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive and finite, got {self.temperature}.")

    @property
    def channels(self) -> tuple[int, ...]:
        return (COLOURS, VISIBLE_AND_THERMAL) if self.stem == "visible" else (VISIBLE_AND_THERMAL,)

    def require_channels(self, channels: int) -> None:
        """Reject images without a thermal channel, unless the stem reads the visible image alone."""
        if channels not in self.channels:
            taken = " or ".join(map(str, self.channels))
            hint = ' Take stem="visible" for images of red, green and blue.' if channels == COLOURS else ""
            raise ValueError(f"images must have {taken} channels for stem={self.stem!r}, got {channels}.{hint}")

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return EarlyFusionModule(self, rngs=rngs)

    def score_logits(
        self, params: Params, scores: Float[Array, "b classes"], *, key: Key | None = None
    ) -> Float[Array, "b classes"]:
        """Return the class logits that the branch for weak supervision makes of an image-text model's scores.

        Args:
            params: parameters of this network.
            scores: score of each class in each image, from 0 to 1.
            key: random key of the dropout; None: nothing is dropped.

        Raises:
            ValueError: a network without the branch.
        """
        if not self.weak_branch:
            raise ValueError("weak_branch must be True for logits of class scores, got False.")
        rngs = None if key is None else nnx.Rngs(dropout=key)
        logits, _ = _score_mlp(self.classes).apply(params["weak"]["scores"], {}, scores, rngs=rngs)
        return logits


@functools.lru_cache(maxsize=16)
def _score_mlp(classes: int) -> Stateful:
    return stateful(lambda rngs: ScoreMLP(classes, rngs=rngs))


class EarlyFusionModule(nnx.Module):
    """Module of `EarlyFusion`."""

    def __init__(self, network: EarlyFusion, *, rngs: nnx.Rngs):
        self.kind, self.strides = network.stem, network.strides
        self.stem = (
            FusionStem(
                weighted=network.stem == "shape",
                edge_norm=network.edge_norm,
                temperature=network.temperature,
                rngs=rngs,
            )
            if network.stem in ("plain", "shape")
            else None
        )
        self.backbone = ResNet(network.depth, width=network.width, norm=network.norm, rngs=rngs)
        self.pyramid, self.head = network.pyramid_module(rngs), network.head_module(rngs)
        self.weak = (
            WeakBranch(network.backbone_channels()[1:], network.pyramid_width, classes=network.classes, rngs=rngs)
            if network.weak_branch
            else None
        )

    def __call__(self, images: Float[Array, "b h w c"], *, train: bool, rngs: nnx.Rngs | None) -> DetectionMaps:
        """Return the maps of the head, those of the backbone, and what the stem and the branch give."""
        del rngs
        weights = None
        if self.stem is not None:
            fused, weights = self.stem(images)
        elif self.kind == "visible":
            fused = images[..., :COLOURS]
        else:
            _, fused = split_modalities(images)
        maps = self.backbone(fused, train=train)
        found = self.head(self.pyramid(maps[1:]))
        return DetectionMaps(
            class_logits=found.class_logits,
            edge_logits=found.edge_logits,
            tower=found.tower,
            strides=self.strides,
            backbone=maps,
            modality_weights=weights,
            weak=self.weak(maps[1:], train=train) if self.weak is not None and train else None,
        )
