"""A small canvas: shapes, strokes and letters in the unit square around the origin, written as PNG."""

import io
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

Point = tuple[float, float]

RED, BLUE, YELLOW, GREEN = "#c8102e", "#0b4ea2", "#ffd200", "#00843d"
BLACK, WHITE, GREY = "#111111", "#ffffff", "#8a8d8f"

SIZE_PX = 256
"""Width and height of a picture."""
_HALF = 1.25
"""Half the width of a picture in units of the canvas: a sign reaches from -1 to 1."""
_DPI = 100
_POINTS = 72 * SIZE_PX / _DPI / (2 * _HALF)
"""Typographic points in a unit of the canvas."""


class Canvas:
    """Layers of shapes, the later ones above the earlier ones."""

    def __init__(self, background: str, *, turn_deg: float = 0.0, scale: float = 1.0) -> None:
        """Start an empty picture.

        Args:
            background: colour behind everything.
            turn_deg: rotation of everything that is drawn, counterclockwise.
            scale: magnification of everything that is drawn.
        """
        # Without axes, which would take most of the time.
        self._figure = Figure(figsize=(SIZE_PX / _DPI, SIZE_PX / _DPI), dpi=_DPI, facecolor=background)
        in_pixels = Affine2D().translate(_HALF, _HALF).scale(SIZE_PX / (2 * _HALF))
        self._placed = Affine2D().rotate_deg(turn_deg).scale(scale) + in_pixels
        self._scale = scale

    def polygon(self, points: Sequence[Point], fill: str) -> None:
        """Fill a polygon."""
        self._add(Outline(points, closed=False), fill)

    def rectangle(self, left: float, bottom: float, right: float, top: float, fill: str) -> None:
        """Fill a rectangle."""
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], fill)

    def circle(self, centre: Point, radius: float, fill: str) -> None:
        """Fill a circle."""
        self.polygon(arc(centre, radius, 0.0, 360.0), fill)

    def ring(self, centre: Point, radius: float, width: float, colour: str) -> None:
        """Draw a circle's line; `radius` is that of its middle."""
        self.stroke(arc(centre, radius, 0.0, 360.0), width, colour)

    def stroke(
        self, points: Sequence[Point], width: float, colour: str, *, cap: Literal["butt", "round"] = "butt"
    ) -> None:
        """Draw a line through points."""
        patch = PathPatch(
            Outline(points),
            facecolor="none",
            edgecolor=colour,
            linewidth=width * _POINTS * self._scale,
            capstyle=cap,
            joinstyle="miter" if cap == "butt" else "round",
        )
        self._show(patch)

    def arrow(self, points: Sequence[Point], width: float, colour: str, *, head: float = 2.6) -> None:
        """Draw a line whose last point is the tip of an arrowhead; `head` is the head's width in widths of the line."""
        half = head * width / 2
        *line, (x1, y1) = points
        # The head of an arrow on a curve covers several points.
        while len(line) > 1 and math.dist(line[-1], (x1, y1)) < 1.5 * half:
            line.pop()
        along = math.dist(line[-1], (x1, y1))
        dx, dy = (x1 - line[-1][0]) / along, (y1 - line[-1][1]) / along
        neck = (x1 - 1.5 * half * dx, y1 - 1.5 * half * dy)
        self.stroke([*line, (neck[0] + 0.02 * dx, neck[1] + 0.02 * dy)], width, colour)
        left, right = (neck[0] - half * dy, neck[1] + half * dx), (neck[0] + half * dy, neck[1] - half * dx)
        self.polygon([left, (x1, y1), right], colour)

    def letters(self, text: str, centre: Point, height: float, colour: str, *, mirrored: bool = False) -> None:
        """Write letters in bold, `height` being that of a capital letter."""
        bold = FontProperties(family="DejaVu Sans", weight="bold")
        outline, capital = (TextPath((0, 0), written, size=1.0, prop=bold) for written in (text, "H"))
        box = outline.get_extents()
        zoom = height / capital.get_extents().height
        moved = Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
        moved = moved.scale(-zoom if mirrored else zoom, zoom).translate(*centre)
        self._add(outline.transformed(moved), colour)

    def png(self) -> bytes:
        """Return the picture as PNG, without a date and without the name of the program."""
        file = io.BytesIO()
        FigureCanvasAgg(self._figure).print_png(file, metadata={"Software": None})
        return file.getvalue()

    def _add(self, outline: Outline, fill: str) -> None:
        self._show(PathPatch(outline, facecolor=fill, edgecolor="none", linewidth=0))

    def _show(self, patch: PathPatch) -> None:
        patch.set_transform(self._placed)
        self._figure.add_artist(patch)


def arc(centre: Point, radius: float, start_deg: float, end_deg: float) -> list[Point]:
    """Return points of an arc, counterclockwise from the right where `end_deg` is the larger."""
    angles = np.radians(np.linspace(start_deg, end_deg, 65))
    return [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]


def regular(sides: int, radius: float, *, first_deg: float) -> list[Point]:
    """Return the corners of a regular polygon around the origin, the first of them at an angle from the right."""
    angles = [math.radians(first_deg + 360 / sides * place) for place in range(sides)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def moved(points: Sequence[Point], dx: float, dy: float) -> list[Point]:
    """Return the points moved."""
    return [(x + dx, y + dy) for x, y in points]


def mirrored(points: Sequence[Point]) -> list[Point]:
    """Return the points with left and right exchanged."""
    return [(-x, y) for x, y in points]
