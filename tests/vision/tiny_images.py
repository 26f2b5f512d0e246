"""Bright discs on noise, and a network of one convolution with running statistics and dropout."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.vision.layers import BatchNorm, conv
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.segmentation.maps import SegmentationMaps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discs(ImageSource):
    """Discs, in two strata."""

    side: int = 8
    count: int = 6
    channels: int = 3

    @property
    def size(self):
        return self.side, self.side

    def examples(self, split):
        rng = np.random.default_rng(["train", "validation", "test"].index(split))
        return [self._example(f"{split}/{number}", rng) for number in range(self.count)]

    def _example(self, key, rng):
        rows, columns = np.indices(self.size)
        centre, radius = rng.uniform(2, self.side - 2, 2), rng.uniform(1, 3)
        mask = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2).astype(np.uint8)
        image = rng.integers(0, 60, (*self.size, self.channels)) + 120 * mask[..., None]
        stratum = "odd" if int(key.rpartition("/")[2]) % 2 else "even"
        return ImageExample(key=key, group=key, image=image.astype(np.uint8), target=mask, stratum=stratum)


class _Layers(nnx.Module):
    def __init__(self, network, rngs):
        # A bias would be taken off again: its gradient is rounding alone, and Adam makes steps of it.
        self.first = conv(3, network.width, 3, bias=not network.normalised, rngs=rngs)
        self.norm = BatchNorm(network.width) if network.normalised else None
        self.dropout = nnx.Dropout(network.dropout)
        self.last = conv(network.width, network.classes, 1, rngs=rngs)

    def __call__(self, images, *, train, rngs):
        hidden = self.first(images)
        hidden = hidden if self.norm is None else self.norm(hidden, train=train)
        hidden = self.dropout(jnp.tanh(hidden), deterministic=not train, rngs=rngs)
        logits = self.last(hidden)
        return SegmentationMaps(logits=logits, auxiliary=(2 * logits,), features=(hidden,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneLayer(ImageNetwork):
    """Network of one hidden layer."""

    width: int = 3
    classes: int = 1
    normalised: bool = True
    dropout: float = 0.0

    def module(self, rngs):
        return _Layers(self, rngs)

    def require_size(self, height, width):
        if height % 4 or width % 4:
            raise ValueError(f"sides must be multiples of 4, got {height} x {width}.")
