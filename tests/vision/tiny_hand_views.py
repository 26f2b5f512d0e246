"""Hands before four pinhole cameras, with exact labels, and a teacher that knows them up to an error."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.data.images.hand_source import HandSource
from jaxkd.data.images.source import ImageExample
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import MEDIAPIPE
from jaxkd.training.evaluator import ModelSource
from jaxkd.vision.hands.prediction import HandPrediction
from tests.tiny_hands import hands

VIEWS = ("left", "middle", "right")


@functools.lru_cache
def views(frames, side):
    """Labels [frames, 3 views] of right hands half a metre away; the third camera is mirrored."""
    world = hands(0, frames, order=MEDIAPIPE, place=(0.0, 0.0, 0.5)).astype(np.float32)
    angles = np.array([0.4, 0.0, -0.5])  # no two pairs of views are alike
    turned = np.stack([[[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]] for a in angles]) * np.array(
        [[[1, 1, 1]], [[1, 1, 1]], [[-1, 1, 1]]]
    )
    places = np.array([[-0.2, 0.0, 0.02], [0.0, 0.03, 0.0], [0.2, 0.0, 0.01]])
    inside = np.einsum("vji,fvnj->fvni", turned, world[:, None] - places[:, None])
    focal, centre = side * np.array([1.5, 1.4]), np.array([0.5, 0.45]) * side
    shape = inside.shape[:2]
    labels = HandView(
        pixels=inside[..., :2] / inside[..., 2:] * focal + centre,
        points=inside - inside[:, :, :1],
        root_depth=inside[:, :, 0, 2],
        known=np.ones(shape, bool),
        rotation=np.broadcast_to(turned, (*shape, 3, 3)),
        translation=np.broadcast_to(places, (*shape, 3)),
        focal=np.broadcast_to(focal, (*shape, 2)),
        centre=np.broadcast_to(centre, (*shape, 2)),
        eccentricity=np.broadcast_to([0.1, 0.4, 0.2], shape),
        order=MEDIAPIPE,
    )
    return jax.tree.map(lambda leaf: leaf if leaf.dtype == bool else leaf.astype(np.float32), labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DottedHands(HandSource):
    """Grey images with the number of the example in the first pixel and a white dot at each joint."""

    side: int = 32
    train: int = 3
    labelled: bool = True

    @property
    def size(self):
        return self.side, self.side

    @property
    def views(self):
        return VIEWS

    def frames(self, split):
        return f"{getattr(self, split, 2)} dotted hands of {split}"

    def examples(self, split):
        labels = views(self.train if split == "train" else 2, self.side)
        count = labels.known.shape[0]
        return [self._example(split, labels, *divmod(number, 3)) for number in range(3 * count)]

    def _example(self, split, labels, frame, view):
        target = jax.tree.map(lambda leaf: leaf[frame, view], labels)
        image = np.full((self.side, self.side, 3), 100, np.uint8)
        columns, rows = np.clip(np.rint(target.pixels), 0, self.side - 1).astype(int).T
        image[rows, columns] = 255
        image[0, 0] = 3 * frame + view
        if split == "train" and not self.labelled:
            target = dataclasses.replace(target, known=np.array(False))
        return ImageExample(
            key=f"{split}-{frame}-{VIEWS[view]}",
            group=f"{split}-{frame}",
            image=image,
            target=target,
            stratum=VIEWS[view],
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnowingTeacher(ModelSource):
    """The labels of `DottedHands`, by the number in the image, with an error in depth that is each view's own."""

    data: DottedHands = DottedHands()
    depth_error: float = 0.0
    unsure: int | None = None
    """View in which it sees no hand."""

    def validate(self):
        pass

    def provenance(self):
        return "a teacher that knows"

    def load_model(self):
        labels = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), views(self.data.train, self.data.side))
        stretched = labels.points * np.array([1, 1, 1 + self.depth_error], np.float32)
        sure = np.array([0.0 if view == self.unsure else 0.9 for view in range(3)] * self.data.train, np.float32)
        return Lookup(pixels=jnp.asarray(labels.pixels), points=jnp.asarray(stretched), confidence=jnp.asarray(sure))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Lookup:
    pixels: jax.Array
    points: jax.Array
    confidence: jax.Array

    def __call__(self, images):
        number = images[:, 0, 0, 0].astype(jnp.int32)
        return HandPrediction(
            pixels=self.pixels[number], points=self.points[number], confidence=self.confidence[number]
        )
