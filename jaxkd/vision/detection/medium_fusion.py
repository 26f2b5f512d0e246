"""Medium fusion: one residual network reads the visible and the thermal image each, and its maps are fused."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.vision.detection.detector import Detector
from jaxkd.vision.detection.maps import DetectionMaps
from jaxkd.vision.detection.modules.resnet import STAGES, Depth, NormedConv, ResNet
from jaxkd.vision.detection.modules.stem import split_modalities


@dataclasses.dataclass(frozen=True, kw_only=True)
class MediumFusion(Detector):
    """Generalized Focal Loss detector whose backbone reads both images with the same weights.

    The two maps of each stage are fused by a convolution of size 1, a normalisation and ReLU.  With the default values
    there are 62,410,895 parameters.  The 131,584 of the fusion of the finest maps, which the pyramid does not read, are
    among them, but nothing but `DetectionMaps.backbone` depends on those.

    Source: the teacher of arXiv 2405.16038, as XueZ-phd/Efficient-RGB-T-Early-Fusion-Detection@8b8a6fa has it, with
    `norm="running"` and pretrained weights.  Deviation: with "batch", the backbone's statistics are those of both
    images together.
    """

    depth: Depth = 101
    """Layers of the residual network."""

    def module(self, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return MediumFusionModule(self, rngs=rngs)


class MediumFusionModule(nnx.Module):
    """Module of `MediumFusion`."""

    def __init__(self, network: MediumFusion, *, rngs: nnx.Rngs):
        self.strides = network.strides
        self.backbone = ResNet(network.depth, width=network.width, norm=network.norm, rngs=rngs)
        self.fusion = nnx.Dict(
            {
                name: NormedConv(2 * channels, channels, norm=network.norm, rngs=rngs)
                for name, channels in zip(STAGES, network.backbone_channels(), strict=True)
            }
        )
        self.pyramid, self.head = network.pyramid_module(rngs), network.head_module(rngs)

    def __call__(self, images: Float[Array, "b h w 4"], *, train: bool, rngs: nnx.Rngs | None) -> DetectionMaps:
        """Return the maps of the head, and the fused ones of the backbone."""
        del rngs
        # Both images of a row stand side by side, not all thermal ones at the end: rows may be on several devices.
        both = jnp.stack(split_modalities(images), axis=1)
        rows = images.shape[0]
        maps = []
        for name, values in zip(
            STAGES, self.backbone(both.reshape(2 * rows, *both.shape[2:]), train=train), strict=True
        ):
            pairs = values.reshape(rows, 2, *values.shape[1:])
            joined = jnp.concatenate([pairs[:, 0], pairs[:, 1]], axis=-1)
            maps.append(jax.nn.relu(self.fusion[name](joined, train=train)))
        found = self.head(self.pyramid(tuple(maps[1:])))
        return DetectionMaps(
            class_logits=found.class_logits,
            edge_logits=found.edge_logits,
            tower=found.tower,
            strides=self.strides,
            backbone=tuple(maps),
        )
