"""A small picture with what is drawn over it: the truth, and what a model found."""

import base64
import binascii
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

Point: TypeAlias = tuple[float, float]
"""x and y in pixels of the picture, whose top left corner is (0, 0); the centre of its first pixel is (.5, .5)."""
Outline: TypeAlias = tuple[Point, ...]
"""Corners of a closed polygon; the last one is joined to the first."""
Line: TypeAlias = tuple[Point, ...]
"""Points of an open line, two or more, each joined to the next."""
Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom edge, in the coordinates of `Point`."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overlay:
    """Outlines, boxes, points and lines over a picture.

    Raises:
        ValueError: an outline of fewer than three corners, a line of fewer than two points, a box whose edges are
            exchanged, labels of other boxes, or a coordinate that is not finite.
    """

    outlines: tuple[Outline, ...] = ()
    """Borders of regions; that of a hole is an outline of its own."""
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    labels: tuple[str, ...] = ()
    """A few words at each of `boxes`, such as its class and score; empty if none has any."""
    lines: tuple[Line, ...] = ()
    """Open lines, such as the bones of a skeleton."""

    def __post_init__(self) -> None:
        for outline in self.outlines:
            if len(outline) < 3:
                raise ValueError(f"outlines must have at least three corners each, got {outline}. Leave it out.")
        for line in self.lines:
            if len(line) < 2:
                raise ValueError(f"lines must have at least two points each, got {line}. Leave it out.")
        for left, top, right, bottom in self.boxes:
            if left > right or top > bottom:
                raise ValueError(
                    f"boxes must be (left, top, right, bottom), got {(left, top, right, bottom)}. Exchange the edges."
                )
        if self.labels and len(self.labels) != len(self.boxes):
            raise ValueError(
                f"labels must be of each box or of none, got {len(self.labels)} labels and {len(self.boxes)} boxes."
            )
        pairs = (*(point for line in (*self.outlines, *self.lines) for point in line), *self.points)
        for one in (*pairs, *self.boxes):
            if not all(map(math.isfinite, one)):
                raise ValueError(f"coordinates of an overlay must be finite, got {one}. Leave out what was not found.")

    def scaled(self, factor: float) -> Self:
        """Return the overlay of a picture that is `factor` times as large."""

        def moved(line: Line) -> Line:
            return tuple((factor * x, factor * y) for x, y in line)

        return dataclasses.replace(
            self,
            outlines=tuple(map(moved, self.outlines)),
            boxes=tuple((factor * x0, factor * y0, factor * x1, factor * y1) for x0, y0, x1, y1 in self.boxes),
            points=moved(self.points),
            lines=tuple(map(moved, self.lines)),
        )

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the overlay whose fields a JSON file holds.

        Raises:
            KeyError, TypeError, ValueError: fields of something else.
        """
        return cls(
            outlines=_lines(fields["outlines"]),
            boxes=tuple((float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in fields["boxes"]),
            points=tuple((float(x), float(y)) for x, y in fields["points"]),
            # Older files have no labels and no lines.
            labels=tuple(map(str, fields.get("labels", ()))),
            lines=_lines(fields.get("lines", ())),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureLayer:
    """A further image of the scene of a picture, of the same size, such as the thermal one.

    Raises:
        ValueError: an image that is not a PNG in base64.
    """

    name: str
    """Name of the layer, such as "thermal"."""
    png: str
    """The image as a small PNG, in base64."""

    def __post_init__(self) -> None:
        _require_png(self.png, self.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """One image, what is true of it, and what a model found in it.

    Raises:
        ValueError: an empty size, or an image that is not a PNG in base64.
    """

    key: str
    """Key of the image."""
    group: str = ""
    """Group of images that the report shows together, such as a severity."""
    width: int
    height: int
    """Size in the pixels in which overlays are measured; the image itself may be smaller."""
    png: str
    """The image as a small PNG, in base64."""
    truth: Overlay = Overlay()
    found: Overlay = Overlay()
    note: str = ""
    """A few words on what was found, such as its Dice coefficient."""
    layers: tuple[PictureLayer, ...] = ()
    """Further images of the scene, which are shown beside the first one, with the same overlays."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(
                f"width and height must be at least 1 pixel, got {self.width} and {self.height} in {self.key!r}."
            )
        _require_png(self.png, self.key)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the picture whose fields a JSON file holds.

        Raises:
            KeyError, TypeError, ValueError: fields of something else.
        """
        overlays = {name: Overlay.from_fields(fields[name]) for name in ("truth", "found")}
        # Older files have no layers.
        layers = tuple(PictureLayer(**layer) for layer in fields.get("layers", ()))
        return cls(**{**fields, **overlays, "layers": layers})


def _lines(field: Any) -> tuple[Line, ...]:
    return tuple(tuple((float(x), float(y)) for x, y in line) for line in field)


def _require_png(png: str, name: str) -> None:
    try:
        is_png = base64.b64decode(png, validate=True).startswith(_SIGNATURE)
    except (binascii.Error, ValueError):
        is_png = False
    if not is_png:
        raise ValueError(
            f"png must be a PNG in base64, got {png[:20]!r} in {name!r}. Make it with "
            "jaxkd.evals.vision.pictures.thumbnail."
        )
