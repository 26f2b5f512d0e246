"""Drawn scenes in visible and thermal light as a source of images."""

import dataclasses
import functools
import math
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float32

from jaxkd.data.images.detection.source import DetectionSource
from jaxkd.data.images.lazy_examples import LazyExamples
from jaxkd.data.images.scenes import thermal, visible
from jaxkd.data.images.scenes.conditions import SURROUNDINGS, Condition
from jaxkd.data.images.scenes.figures import draw_figure
from jaxkd.data.images.scenes.layouts import CLASSES, layouts
from jaxkd.data.images.scenes.placement import Placed, draw_placement, frame_scale
from jaxkd.data.images.scenes.scenery import Scenery, backdrops, draw_scenery
from jaxkd.data.images.source import ImageExample
from jaxkd.records import Boxes
from jaxkd.typing import Split

_CONDITIONS: tuple[Condition, ...] = get_args(Condition)
_KEPT_BYTES = 512 * 2**20
_MOST_POSTERS = 2
_SMALLEST = 48
_FARTHEST = 40.0
"""Longest offset, in pixels of the annotated frames."""

_Part = Literal["placement", "scenery", "figures", "thermal", "visible"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThermalScenes(DetectionSource):
    """Drawn scenes of people, cyclists and cars in red, green, blue and thermal light, with exact boxes.

    No image is a photograph of a scene: silhouettes stand before crops of unrelated photographs, and temperatures are
    made up by simple physics (`conditions`).  What is real are sizes, aspect ratios, places and the offsets between the
    modalities, which are those of frames that were annotated in both (`layouts`), scaled by 0.4 at 96 by 128 pixels.
    There, 80% of the objects are 14 to 44 pixels high, half of them up to 25, and none is below 8.
    Results tell how methods compare on such images, and nothing about streets.

    `stratum` is the condition, each a quarter of a split: "day", when both modalities show figures, "night", when the
    thermal one does, "hot", when the visible one does, and "weak", when neither does so well.  Posters of figures, to
    be seen in visible light alone, and warm spots, to be seen in thermal light alone, are no objects.

    The boxes are those of the thermal image, and lie within it, also where only the visible one shows an object; the
    classes are those of `layouts.CLASSES`.  Neither they nor the thermal image depend on `offset`.  The group is the
    background and the sequence of the nearest object; the splits, whatever their seeds, share neither photographs nor
    sequences.
    """

    height: int = 96
    """Height of the images, in pixels."""
    width: int = 128
    """Width of the images, in pixels."""
    train: int = 800
    """Number of training images."""
    validation: int = 80
    """Number of validation images."""
    test: int = 400
    """Number of test images."""
    most_objects: int = 6
    """Largest number of objects in an image, and the number of rows of its boxes; the smallest is 0."""
    offset: Literal["drawn"] | float = "drawn"
    """"drawn": each object is in visible light where it was annotated in that of its frame, relative to its place in
    thermal light.  A number: the whole visible image is moved against the thermal one, in a random direction, by so
    many pixels of the annotated frames, from 0 to 40; they are scaled like everything.  There, 4, 11 and 20 are the
    50th, 90th and 99th percentile of what is measured."""
    seed: int = 0
    """Random seed.  An example is a function of it, the split and the index, so a longer split begins with a shorter
    one."""

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            if getattr(self, name) < _SMALLEST:
                raise ValueError(f"{name} must be at least {_SMALLEST}, got {getattr(self, name)}.")
        for name in (*get_args(Split), "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if self.most_objects < 1:
            raise ValueError(f"most_objects must be at least 1, got {self.most_objects}.")
        if self.offset != "drawn" and not (_is_number(self.offset) and 0 <= self.offset <= _FARTHEST):
            raise ValueError(
                f"offset must be 'drawn' or a number of pixels in [0, {_FARTHEST:g}], got {self.offset!r}. Give it in "
                "pixels of the annotated frames; it is scaled with the image."
            )

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def examples(self, split: Split) -> LazyExamples:
        """Return the examples of a split, which are drawn when they are indexed and kept up to 512 MiB.

        Raises:
            ConnectionError: a package is neither in the cache nor to be had from the package index.
        """
        return _examples(self, split)

    def groups(self, split: Split) -> list[tuple[str, str]]:
        count: int = getattr(self, split)
        return [(_key(split, index), _group(*_plan(self, split, index))) for index in range(count)]

    def validate(self) -> None:
        """Fetch the layouts and the photographs.

        Raises:
            ConnectionError: a package is neither in the cache nor to be had from the package index.
        """
        layouts()
        backdrops()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@functools.lru_cache(maxsize=12)
def _examples(source: ThermalScenes, split: Split) -> LazyExamples:
    source.validate()

    def draw(index: int) -> ImageExample:
        return _draw(source, split, index)

    return LazyExamples(draw, getattr(source, split), most_bytes=_KEPT_BYTES)


def _condition(index: int) -> Condition:
    return _CONDITIONS[index % len(_CONDITIONS)]


def _key(split: Split, index: int) -> str:
    return f"{split}-{index:05d}-{_condition(index)}"


def _stream(source: ThermalScenes, split: Split, index: int, part: _Part) -> np.random.Generator:
    """Return the source of randomness of one part of an example: more draws in one part change no other."""
    return np.random.default_rng([source.seed, get_args(Split).index(split), index, get_args(_Part).index(part)])


def _plan(source: ThermalScenes, split: Split, index: int) -> tuple[tuple[Placed, ...], Scenery]:
    """Return the objects of an example and its background, whose ground reaches up to the feet of all."""
    height, width = source.size
    objects = draw_placement(
        _stream(source, split, index, "placement"), split, height, width, most_objects=source.most_objects
    )
    scenery = draw_scenery(
        _stream(source, split, index, "scenery"),
        split,
        height,
        width,
        lowest_horizon=float(objects[0].thermal[3]) if objects else height,
        margin=_FARTHEST * frame_scale(height, width),
    )
    return objects, scenery


def _group(objects: tuple[Placed, ...], scenery: Scenery) -> str:
    return "-".join([scenery.name, *(one.sequence for one in objects[-1:])])


def _draw(source: ThermalScenes, split: Split, index: int) -> ImageExample:
    condition = SURROUNDINGS[_condition(index)]
    objects, scenery = _plan(source, split, index)
    rng = _stream(source, split, index, "figures")
    figures = [draw_figure(rng, one.kind, _aspect(one.thermal), one.facing) for one in objects]

    rng = _stream(source, split, index, "thermal")
    ambient = rng.uniform(*condition.ambient)
    albedo = scenery.albedo(source.height, source.width)
    field = thermal.draw_background(rng, albedo, scenery.below(source.height), condition)
    thermal.add_heaters(field, rng, condition)
    for one, figure in zip(objects, figures, strict=True):
        thermal.add_figure(field, figure, one.thermal, thermal.draw_temperatures(rng, condition, ambient))
    warmth = thermal.sense(field, rng)

    rng = _stream(source, split, index, "visible")
    shift = _shift(rng, source)
    if shift != (0.0, 0.0):
        albedo = scenery.albedo(source.height, source.width, shift)
    move = np.array([*shift, *shift], np.float32)
    for _ in range(int(rng.integers(_MOST_POSTERS, endpoint=True))):
        box = _poster_box(rng, source)
        visible.add_poster(albedo, rng, draw_figure(rng, "person", _aspect(box), 1), box + move)
    lamps = np.zeros(albedo.shape[:2], np.float32)
    for one, figure in zip(objects, figures, strict=True):
        box = one.visible if source.offset == "drawn" else one.thermal + move
        lamps = np.maximum(lamps, visible.add_figure(albedo, figure, box, visible.draw_albedo(rng)))
    light = visible.illuminate(albedo, lamps, rng, condition, shift)
    return ImageExample(
        key=_key(split, index),
        group=_group(objects, scenery),
        image=np.concatenate([light, warmth[..., None]], axis=-1),
        target=_boxes(objects, source.most_objects),
        stratum=_condition(index),
    )


def _aspect(box: Float32[np.ndarray, "4"]) -> float:
    return float((box[2] - box[0]) / (box[3] - box[1]))


def _shift(rng: np.random.Generator, source: ThermalScenes) -> tuple[float, float]:
    """Return the way to the right and down of the whole visible image, in pixels; the direction is always drawn."""
    angle = rng.uniform(0, 2 * np.pi)
    if source.offset == "drawn":
        return 0.0, 0.0
    distance = source.offset * frame_scale(source.height, source.width)
    return distance * math.cos(angle), distance * math.sin(angle)


def _poster_box(rng: np.random.Generator, source: ThermalScenes) -> Float32[np.ndarray, "4"]:
    height = source.height * rng.uniform(0.15, 0.4)
    width = height * rng.uniform(0.28, 0.45)
    left, top = rng.uniform(0, source.width - width), rng.uniform(0, source.height - height)
    return np.array([left, top, left + width, top + height], np.float32)


def _boxes(objects: tuple[Placed, ...], count: int) -> Boxes:
    # `Any`: pyright knows the fields as JAX's arrays; on the host they are NumPy's.
    corners: Any = np.zeros((count, 4), np.float32)
    classes: Any = np.zeros(count, np.int32)
    mask: Any = np.arange(count) < len(objects)
    ignored: Any = np.zeros(count, bool)
    for row, one in enumerate(objects):
        corners[row], classes[row] = one.thermal, CLASSES.index(one.kind)
    return Boxes(corners=corners, classes=classes, mask=mask, ignored=ignored)
