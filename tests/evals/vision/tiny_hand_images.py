"""Noise that stands for crops of hands, and a network that maps the mean colour to joints."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxkd.data.images.source import ImageExample, ImageSource
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import ASSEMBLY_HANDS, JointOrder
from jaxkd.vision.hands import HandPrediction
from jaxkd.vision.layers import linear
from jaxkd.vision.network import ImageNetwork
from jaxkd.vision.pixels import Pixels
from tests.tiny_hands import hands

SIDE = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyHandImages(ImageSource):
    """Frames by cameras, each of which sees the hand from elsewhere."""

    frames: int = 3
    cameras: tuple[str, ...] = ("left", "right")
    order: JointOrder = ASSEMBLY_HANDS
    eccentricities: tuple[float, ...] = (0.1, 1 / 3, 0.5)
    """One of an example each, in turn."""

    @property
    def size(self):
        return SIDE, SIDE

    def examples(self, split):
        seed = ["train", "validation", "test"].index(split)
        rng = np.random.default_rng(seed)
        places = [(frame, camera) for frame in range(self.frames) for camera in self.cameras]
        joints = hands(seed, len(places), order=self.order)
        return [
            ImageExample(
                key=f"{split}/{frame}/{camera}",
                group=f"{split}/{frame}",
                image=rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8),
                target=self._view(joints[place], self.eccentricities[place % len(self.eccentricities)], rng),
                stratum=camera,
            )
            for place, (frame, camera) in enumerate(places)
        ]

    def _view(self, joints, eccentricity, rng):
        return HandView(
            pixels=rng.uniform(-1, SIDE, (21, 2)),
            points=joints - joints[self.order.wrist],
            root_depth=joints[self.order.wrist, 2],
            known=np.array(True),
            rotation=np.eye(3),
            translation=np.zeros(3),
            focal=np.full(2, 10.0),
            centre=np.full(2, 3.5),
            eccentricity=np.array(eccentricity),
            order=self.order,
        )


class _Linear(nnx.Module):
    def __init__(self, network, rngs):
        self.joints, self.root_depth = network.joints, network.root_depth
        self.linear = linear(3, 5 * network.joints + 1, rngs=rngs)

    def __call__(self, images, *, train, rngs):
        del train, rngs
        outputs = self.linear(images.mean((1, 2)))
        flat, deep = jnp.split(outputs[:, :-1], [2 * self.joints], axis=1)
        return HandPrediction(
            pixels=SIDE / 2 + flat.reshape(-1, self.joints, 2),
            # Not relative to the wrist: the evaluator must not count on it.
            points=0.5 + 0.1 * deep.reshape(-1, self.joints, 3),
            root_depth=0.4 + 0.1 * outputs[:, -1] if self.root_depth else None,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanColour(ImageNetwork):
    """Linear map of the mean colour."""

    pixels: Pixels = "signed"
    joints: int = 21
    root_depth: bool = True

    def module(self, rngs):
        return _Linear(self, rngs)
