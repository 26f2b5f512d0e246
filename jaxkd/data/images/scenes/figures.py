"""Silhouettes of people, cyclists and cars: polygons of a few materials, stretched to a box."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw

from jaxkd.data.images.scenes.layouts import ObjectClass

Material = Literal["nothing", "skin", "hair", "top", "trousers", "metal", "tyre", "paint", "glass", "lamp", "engine"]
MATERIALS: tuple[Material, ...] = get_args(Material)
"""Materials, whose numbers are the rows of values in `Figure.paint`; "nothing" cuts a hole."""

_OVERSAMPLING = 4
_SIDE_VIEW: dict[ObjectClass, float] = {"person": 0.0, "cyclist": 0.62, "car": 1.25}
"""Width / height from which a figure is seen from its side."""
_CIRCLE = np.stack([np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], axis=1)

_Point = tuple[float, float]
_Part = tuple[Material, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """Polygons, the later ones over the earlier, that touch all sides of the unit square."""

    corners: Float32[np.ndarray, "n 2"]
    """Corners of all polygons, one after another: right and down, from 0 to 1."""
    polygons: tuple[tuple[Material, int], ...]
    """Material of each polygon, and its number of corners."""

    def paint(
        self,
        box: Float32[np.ndarray, "4"],
        height: int,
        width: int,
        values: Float32[np.ndarray, "materials channels"],
    ) -> tuple[tuple[slice, slice], Float32[np.ndarray, "h w 1"], Float32[np.ndarray, "h w channels"]]:
        """Return the picture of a figure that fills a box, and its opacity.

        Args:
            box: left, top, right and bottom, in pixels; it may reach beyond the image.
            height: height of the image.
            width: width of the image.
            values: what each material shows in each channel.

        Returns:
            Rows and columns of the image that the box touches; the share of each pixel there that the figure covers;
            and the sum over materials of share times value.
        """
        left, top, right, bottom = (float(edge) for edge in box)
        columns, rows = _touched(left, right, width), _touched(top, bottom, height)
        across, down = columns.stop - columns.start, rows.stop - rows.start
        if not across or not down:
            return (
                (rows, columns),
                np.zeros((down, across, 1), np.float32),
                np.zeros((down, across, values.shape[1]), np.float32),
            )
        canvas = Image.new("L", (across * _OVERSAMPLING, down * _OVERSAMPLING))
        pen = ImageDraw.Draw(canvas)
        scale = np.array([right - left, bottom - top], np.float32) * _OVERSAMPLING
        # The pen's coordinates are those of the centres of pixels.
        start = np.array([left - columns.start, top - rows.start], np.float32) * _OVERSAMPLING - np.float32(0.5)
        points, place = (self.corners * scale + start).ravel().tolist(), 0
        for material, count in self.polygons:
            pen.polygon(points[place : place + 2 * count], fill=MATERIALS.index(material))
            place += 2 * count
        # The last channel is the opacity: 0 for "nothing".
        shown = np.concatenate([values, np.ones((len(values), 1), np.float32)], axis=1) / np.float32(_OVERSAMPLING**2)
        shown[MATERIALS.index("nothing")] = 0
        numbers = np.asarray(canvas)
        picture = np.zeros((down, across, shown.shape[1]), np.float32)
        for row, column in np.ndindex(_OVERSAMPLING, _OVERSAMPLING):
            picture += shown[numbers[row::_OVERSAMPLING, column::_OVERSAMPLING]]
        return (rows, columns), picture[..., -1:], picture[..., :-1]


def draw_figure(rng: np.random.Generator, kind: ObjectClass, aspect: float, facing: int) -> Figure:
    """Draw a figure of a class; its aspect ratio decides how far a person strides, and how others are turned.

    A person's stride is as wide as the box allows.  Cyclists are seen from the side where the box is at least 0.62
    times as wide as high, and cars from 1.25 on; from the front or from behind otherwise.

    Args:
        rng: source of the pose.
        kind: class.
        aspect: width / height of the box that it is to fill.
        facing: 1 for a figure that goes to the right, -1 to the left.
    """
    side = aspect >= _SIDE_VIEW[kind]
    match kind:
        case "person":
            parts = _person(rng, aspect)
        case "cyclist":
            parts = _cyclist_from_side(rng) if side else _cyclist_from_front(rng)
        case "car":
            parts = _car_from_side(rng) if side else _car_from_front(rng)
    corners = np.concatenate([polygon for _, polygon in parts])
    corners = (corners - corners.min(0)) / np.ptp(corners, axis=0)
    if facing < 0:
        corners[:, 0] = 1 - corners[:, 0]
    counts: list[tuple[Material, int]] = [(material, len(polygon)) for material, polygon in parts]
    return Figure(corners=corners.astype(np.float32), polygons=tuple(counts))


def _touched(first: float, last: float, extent: int) -> slice:
    """Return the pixels of [0, extent) that an interval touches."""
    start = min(max(math.floor(first), 0), extent)
    return slice(start, max(start, min(math.ceil(last), extent)))


def _ellipse(material: Material, centre: _Point, across: float, down: float) -> _Part:
    return material, _CIRCLE * (across, down) + centre


def _limb(material: Material, points: Sequence[_Point], width: float) -> list[_Part]:
    """Return a bent rod with round ends and joints, as wide as `width` on either side of its middle."""
    parts: list[_Part] = [_ellipse(material, point, width, width) for point in points]
    for start, end in itertools.pairwise(points):
        right, down = end[0] - start[0], end[1] - start[1]
        scale = width / max(math.hypot(right, down), 1e-6)
        across = np.array([(-down * scale, right * scale)])
        parts.append((material, np.concatenate([start + across, end + across, end - across, start - across])))
    return parts


def _turned(start: _Point, length: float, angle: float) -> _Point:
    """Return the point at a distance, at an angle from straight down."""
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def _polygon(material: Material, *corners: _Point) -> _Part:
    return material, np.array(corners, float)


def _head(centre: _Point) -> list[_Part]:
    x, y = centre
    return [
        _ellipse("hair", (x - 0.006, y - 0.012), 0.058, 0.068),
        _ellipse("skin", (x + 0.01, y + 0.01), 0.047, 0.058),
    ]


def _person(rng: np.random.Generator, aspect: float) -> list[_Part]:
    swing = float(np.arcsin(np.clip(aspect - 0.2, 0.05, 0.5)))
    bend = swing * rng.uniform(0.2, 0.9)
    lean, arm = rng.uniform(-0.02, 0.04), rng.uniform(0.4, 1.0)
    hips, shoulders = (0.0, 0.49), (lean, 0.19)
    legs, arms = [], []
    for side in (-1, 1):
        knee = _turned((side * 0.03, 0.49), 0.24, side * swing)
        foot = _turned(knee, 0.24, side * swing - (bend if side < 0 else bend / 4))
        legs.append(
            [
                *_limb("trousers", [(side * 0.03, 0.49), knee, foot], 0.042),
                *_limb("hair", [foot, (foot[0] + 0.05, foot[1] + 0.01)], 0.024),
            ]
        )
        elbow = _turned((shoulders[0] + side * 0.075, 0.2), 0.15, -side * swing * arm + side * 0.1)
        hand = _turned(elbow, 0.14, -side * swing * arm + 0.25 * arm)
        arms.append(
            [
                *_limb("top", [(shoulders[0] + side * 0.075, 0.2), elbow, hand], 0.032),
                _ellipse("skin", hand, 0.03, 0.03),
            ]
        )
    torso = [
        _polygon("top", (lean - 0.1, 0.16), (lean + 0.1, 0.16), (0.085, 0.52), (-0.085, 0.52)),
        *_limb("top", [(lean - 0.06, 0.18), (lean + 0.06, 0.18)], 0.045),
    ]
    neck = _limb("skin", [(lean, 0.12), shoulders], 0.03)
    waist = _limb("trousers", [(hips[0] - 0.04, 0.5), (hips[0] + 0.04, 0.5)], 0.045)
    return [*arms[0], *legs[0], *legs[1], *waist, *neck, *torso, *arms[1], *_head((lean + 0.015, 0.07))]


def _cyclist_from_front(rng: np.random.Generator) -> list[_Part]:
    pedal = rng.uniform(-0.07, 0.07)
    sway = rng.uniform(-0.03, 0.03)
    parts: list[_Part] = [_ellipse("tyre", (0.0, 0.8), 0.04, 0.2), *_limb("metal", [(0.0, 0.75), (0.0, 0.45)], 0.03)]
    for side in (-1, 1):
        knee, foot = (side * 0.14, 0.64 + side * pedal / 2), (side * 0.09, 0.84 + side * pedal)
        parts += _limb("trousers", [(side * 0.07, 0.5), knee, foot], 0.045)
        parts += _limb("hair", [foot, (foot[0], foot[1] + 0.02)], 0.035)
    parts += [
        _polygon("top", (sway - 0.14, 0.17), (sway + 0.14, 0.17), (0.11, 0.53), (-0.11, 0.53)),
        *_limb("metal", [(-0.22, 0.45), (0.22, 0.45)], 0.018),
    ]
    for side in (-1, 1):
        hand = (side * 0.2, 0.44)
        parts += _limb("top", [(sway + side * 0.13, 0.2), (side * 0.21, 0.33), hand], 0.035)
        parts.append(_ellipse("skin", hand, 0.03, 0.03))
    return [*parts, *_limb("skin", [(sway, 0.12), (sway, 0.18)], 0.032), *_head((sway, 0.07))]


def _cyclist_from_side(rng: np.random.Generator) -> list[_Part]:
    turn, lean = rng.uniform(0, 2 * np.pi), rng.uniform(-0.03, 0.06)
    parts: list[_Part] = []
    for centre in (-0.3, 0.3):
        parts += [_ellipse("tyre", (centre, 0.8), 0.2, 0.2), _ellipse("nothing", (centre, 0.8), 0.145, 0.145)]
    frame: list[_Point] = [(-0.3, 0.8), (-0.12, 0.54), (0.22, 0.52), (0.02, 0.8)]
    parts += _limb("metal", [*frame, frame[0]], 0.02) + _limb("metal", [(0.3, 0.8), (0.2, 0.44), (0.27, 0.42)], 0.02)
    parts += _limb("metal", [(-0.12, 0.54), (-0.14, 0.48)], 0.025)
    hip, shoulder = (-0.13, 0.46), (0.05 + lean, 0.21)
    legs = []
    for phase in (turn, turn + np.pi):
        foot = (0.02 + 0.08 * math.cos(phase), 0.8 + 0.08 * math.sin(phase))
        knee = ((hip[0] + foot[0]) / 2 + 0.14, (hip[1] + foot[1]) / 2 - 0.04)
        legs.append(
            _limb("trousers", [hip, knee, foot], 0.042) + _limb("hair", [foot, (foot[0] + 0.06, foot[1])], 0.024)
        )
    body = _limb("top", [hip, shoulder], 0.085)
    arm = [
        *_limb("top", [shoulder, (shoulder[0] + 0.1, 0.36), (0.24, 0.42)], 0.032),
        _ellipse("skin", (0.25, 0.42), 0.03, 0.03),
    ]
    neck = _limb("skin", [shoulder, (shoulder[0] + 0.05, 0.12)], 0.03)
    return [*parts, *legs[0], *neck, *body, *legs[1], *arm, *_head((shoulder[0] + 0.06, 0.07))]


def _car_from_front(rng: np.random.Generator) -> list[_Part]:
    roof, edge = rng.uniform(0.3, 0.42), rng.uniform(0.38, 0.5)
    parts: list[_Part] = [
        _polygon("tyre", (-0.47, 0.7), (-0.29, 0.7), (-0.29, 1.0), (-0.47, 1.0)),
        _polygon("tyre", (0.29, 0.7), (0.47, 0.7), (0.47, 1.0), (0.29, 1.0)),
        _polygon("paint", (-roof, 0.0), (roof, 0.0), (0.47, edge), (0.5, 0.88), (-0.5, 0.88), (-0.47, edge)),
        _polygon("glass", (0.06 - roof, 0.06), (roof - 0.06, 0.06), (0.39, edge - 0.02), (-0.39, edge - 0.02)),
        _polygon("engine", (-0.27, edge + 0.06), (0.27, edge + 0.06), (0.27, 0.72), (-0.27, 0.72)),
        _polygon("metal", (-0.22, 0.76), (0.22, 0.76), (0.22, 0.84), (-0.22, 0.84)),
    ]
    for side in (-1, 1):
        parts.append(_ellipse("lamp", (side * 0.38, edge + 0.12), 0.08, 0.055))
    return parts


def _car_from_side(rng: np.random.Generator) -> list[_Part]:
    front, back = rng.uniform(0.25, 0.42), rng.uniform(-0.72, -0.45)
    belt = rng.uniform(0.4, 0.48)
    parts: list[_Part] = [
        _polygon(
            "paint",
            (-1, 0.52),
            (back - 0.22, belt),
            (back, 0.0),
            (front, 0.0),
            (front + 0.32, belt),
            (0.95, 0.52),
            (1, 0.84),
            (-1, 0.84),
        ),
        _polygon("engine", (front + 0.3, belt + 0.04), (0.9, 0.55), (0.9, 0.7), (front + 0.3, 0.7)),
        _polygon("glass", (back + 0.04, 0.07), (-0.12, 0.07), (-0.12, belt - 0.02), (back - 0.12, belt - 0.02)),
        _polygon("glass", (-0.05, 0.07), (front - 0.03, 0.07), (front + 0.22, belt - 0.02), (-0.05, belt - 0.02)),
        _ellipse("lamp", (0.93, 0.6), 0.06, 0.05),
    ]
    for centre in (-0.6, 0.6):
        parts += [_ellipse("tyre", (centre, 0.8), 0.21, 0.2), _ellipse("metal", (centre, 0.8), 0.1, 0.1)]
    return parts
