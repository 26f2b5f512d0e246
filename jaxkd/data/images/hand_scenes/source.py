"""Rendered hands before headsets of four cameras as a source of images."""

import dataclasses
import functools
from typing import Any, get_args

import jax
import numpy as np

from jaxkd.data.images.hand_scenes.drawing import FINEST, Look, PosedHand, draw_view
from jaxkd.data.images.hand_scenes.hand_crops import CropKind, draw_crop_error
from jaxkd.data.images.hand_scenes.headset import VIEWS, Headset, draw_headset
from jaxkd.data.images.hand_scenes.looks import draw_albedo, draw_backdrop, draw_light
from jaxkd.data.images.hand_scenes.mesh import HandMesh, load_hand
from jaxkd.data.images.hand_scenes.placement import draw_placement
from jaxkd.data.images.hand_scenes.recordings.poses import HandPose, draw_pose, hand_poses
from jaxkd.data.images.hand_source import HandSource
from jaxkd.data.images.lazy_examples import LazyExamples
from jaxkd.data.images.scenes.scenery import backdrops
from jaxkd.data.images.source import ImageExample
from jaxkd.records.hand_views import HandView
from jaxkd.records.hands import Side
from jaxkd.typing import Split

_KEPT_BYTES = 512 * 2**20
_VERSION = 1
"""Counts changes of what is drawn."""
_EXPOSURE = 0.012
"""Longest exposure, in seconds."""
_INSTANTS = np.array([-0.25, 0.0, 0.25], np.float32)
"""Instants of an exposure: the middles of its halves, and its own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandScenes(HandSource):
    """Rendered hands before headsets of four fisheye cameras, with exact joints: four crops of each frame.

    Real are the poses, which are those of recorded hands that spell words (`recordings.motion`) or pose for a headset
    (`recorded_poses`), and the photographs behind them, which show other things.  Made up are where a hand is before
    the headset, skin, light, blur and the headsets themselves, whose calibrations differ.  The mesh is one generic
    hand, and its mirror image.  Results tell how methods compare on such images, and nothing about people.

    A crop is what a detector of hands would give: a box around the joints and the hand's in-plane angle, with noise.
    Left hands are mirrored, so that all look like right ones.  `stratum` is the camera, of `VIEWS`; the group is the
    recording.  The splits share no recording, no signer of one language, no headset and no photograph; the poses of
    `recorded_poses` are in training alone.
    """

    side: int = 96
    """Height and width of the crops, in pixels, at most 224.  Crops of another side show the same."""
    train: int = 3000
    """Number of training frames, of four images each."""
    validation: int = 200
    """Number of validation frames."""
    test: int = 500
    """Number of test frames."""
    labelled: int | None = None
    """Number of training frames with labels, the first ones; None: all."""
    crop: CropKind = "perspective"
    """"perspective": the crop is that of a camera turned towards the hand.  "plain": it is a square of the image, and
    its camera is taken to look straight ahead, as without calibration."""
    seed: int = 0
    """Random seed.  A frame is a function of it, the split and the index, so a longer split begins with a shorter
    one."""

    def __post_init__(self) -> None:
        if not 32 <= self.side <= FINEST:
            raise ValueError(f"side must be in [32, {FINEST}] pixels, got {self.side}.")
        for name in (*get_args(Split), "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if self.labelled is not None and not 0 <= self.labelled <= self.train:
            raise ValueError(
                f"labelled must be in [0, {self.train}], the number of training frames, got {self.labelled}."
            )
        if self.crop not in get_args(CropKind):
            raise ValueError(f"crop must be one of {', '.join(get_args(CropKind))}, got {self.crop!r}.")

    @property
    def size(self) -> tuple[int, int]:
        return self.side, self.side

    @property
    def views(self) -> tuple[str, ...]:
        return VIEWS

    def frames(self, split: Split) -> str:
        count: int = getattr(self, split)
        return f"{type(self).__name__} {_VERSION}: {count} of {split}, {self.crop} crops, seed {self.seed}"

    def examples(self, split: Split) -> LazyExamples:
        """Return the images of a split, which are drawn when they are indexed and kept up to 512 MiB.

        Raises:
            ConnectionError: a package is neither in the cache nor to be had.
        """
        drawn = _examples(dataclasses.replace(self, labelled=None), split)
        if split != "train" or self.labelled is None:
            return drawn
        first = self.labelled * len(VIEWS)
        return LazyExamples(lambda index: drawn[index] if index < first else _unlabelled(drawn[index]), len(drawn))

    def groups(self, split: Split) -> list[tuple[str, str]]:
        poses, count = hand_poses(split), getattr(self, split)
        groups = [draw_pose(_stream(self, split, frame, "pose"), poses).group for frame in range(count)]
        return [(_key(split, frame, view), group) for frame, group in enumerate(groups) for view in range(len(VIEWS))]

    def validate(self) -> None:
        """Fetch meshes, poses and photographs.

        Raises:
            ConnectionError: a package is neither in the cache nor to be had.
        """
        backdrops()
        for split in get_args(Split):
            hand_poses(split)
        for side in get_args(Side):
            load_hand(side)


@functools.lru_cache(maxsize=8)
def _examples(source: HandScenes, split: Split) -> LazyExamples:
    source.validate()

    def draw(index: int) -> ImageExample:
        return _draw(source, split, *divmod(index, len(VIEWS)))

    return LazyExamples(draw, getattr(source, split) * len(VIEWS), most_bytes=_KEPT_BYTES)


def _unlabelled(example: ImageExample) -> ImageExample:
    return dataclasses.replace(example, target=dataclasses.replace(example.target, known=np.array(False)))


def _key(split: Split, frame: int, view: int) -> str:
    return f"{split}-{frame:05d}-{VIEWS[view].replace(' ', '-')}"


_PARTS = ("pose", "placement", "look", "view")


def _stream(source: HandScenes, split: Split, frame: int, part: str, view: int = 0) -> np.random.Generator:
    """Return the source of randomness of one part of a frame: more draws in one part change no other."""
    return np.random.default_rng([source.seed, get_args(Split).index(split), frame, _PARTS.index(part), view])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Frame:
    """Pose, hand and headset of a frame, which its four views have in common."""

    pose: HandPose
    hand: HandMesh
    headset: Headset
    posed: PosedHand


@functools.lru_cache(maxsize=16)
def _frame(source: HandScenes, split: Split, frame: int) -> _Frame:
    pose = draw_pose(_stream(source, split, frame, "pose"), hand_poses(split))
    hand, rng = load_hand(pose.side), _stream(source, split, frame, "placement")
    headset = draw_headset(rng)
    placed = draw_placement(rng, hand, headset, angles=pose.angles, wrist=pose.wrist)
    times = (rng.uniform(0, _EXPOSURE) * _INSTANTS)[:, None]
    posed: Any = {
        "angles": pose.angles + times * pose.rate,
        "wrist": placed.wrist,
        "translations": placed.translation + times * placed.velocity,
    }
    posed = PosedHand(**{name: values.astype(np.float32) for name, values in posed.items()})
    return _Frame(pose=pose, hand=hand, headset=headset, posed=posed)


def _draw(source: HandScenes, split: Split, number: int, view: int) -> ImageExample:
    frame, rng = _frame(source, split, number), _stream(source, split, number, "view", view)
    headset, common = frame.headset, _stream(source, split, number, "look")
    look: Any = {
        "albedo": draw_albedo(common, frame.hand),
        "light": draw_light(common),
        "backdrop": draw_backdrop(rng, split),
    }
    image, labels = draw_view(
        frame.hand,
        frame.posed,
        Look(**look),
        headset.cameras[view],
        headset.rotations[view],
        headset.translations[view],
        draw_crop_error(rng),
        jax.random.key(int(rng.integers(2**31))),
        kind=source.crop,
        side=source.side,
    )
    target: HandView = jax.tree.map(np.array, jax.device_get(labels))
    return ImageExample(
        key=_key(split, number, view),
        group=frame.pose.group,
        image=np.array(image),
        target=target,
        stratum=VIEWS[view],
    )
