"""Shapes that road signs are made of: plates, pictograms and arrows."""

from collections.abc import Callable, Sequence

from jaxkd.evals.suites.transport.drawings.drawing import (
    BLUE,
    RED,
    WHITE,
    Canvas,
    Point,
    arc,
    mirrored,
    moved,
    regular,
)


def plate(canvas: Canvas, sides: int, fill: str, *, pointing_up: bool = True, border: str = WHITE) -> None:
    """Draw the plate of a stop sign (8 sides), a warning or give-way sign (3), or a priority road sign (4)."""
    first_deg = {8: 22.5, 3: 90.0 if pointing_up else -90.0, 4: 90.0}[sides]
    shift = {3: -0.2 if pointing_up else 0.2}.get(sides, 0.0)
    for radius, colour in zip({3: (1.18, 0.78), 4: (1.05, 0.82)}.get(sides, (1.0, 0.93)), (border, fill), strict=True):
        canvas.polygon(moved(regular(sides, radius, first_deg=first_deg), 0.0, shift), colour)


def disc(canvas: Canvas, fill: str, border: str, *, inner: float = 0.8) -> None:
    """Draw a round plate."""
    canvas.circle((0.0, 0.0), 1.0, border)
    canvas.circle((0.0, 0.0), inner, fill)


def square(canvas: Canvas) -> None:
    """Draw a blue square plate with a white line inside its edge."""
    canvas.rectangle(-0.95, -0.95, 0.95, 0.95, BLUE)
    for side in (-1, 1):
        canvas.rectangle(-0.9, side * 0.86, 0.9, side * 0.9, WHITE)
        canvas.rectangle(side * 0.86, -0.9, side * 0.9, 0.9, WHITE)


def slash(canvas: Canvas) -> None:
    """Cross a sign out, from the upper left to the lower right."""
    canvas.stroke([(-0.6, 0.6), (0.6, -0.6)], 0.16, RED)


def _scaled(centre: Point, size: float) -> Callable[..., list[Point]]:
    """Return a function that places points of a pictogram, which is drawn about the origin with size 1."""

    def at(*points: Point) -> list[Point]:
        return [(centre[0] + size * x, centre[1] + size * y) for x, y in points]

    return at


def pedestrian(canvas: Canvas, centre: Point, size: float, colour: str) -> None:
    """Draw a walking person; `size` is the height."""
    at = _scaled(centre, size)
    canvas.circle(at((0.03, 0.42))[0], 0.09 * size, colour)
    canvas.stroke(at((0.02, 0.28), (-0.02, -0.02)), 0.15 * size, colour, cap="round")
    canvas.stroke(at((-0.02, -0.04), (0.12, -0.22), (0.14, -0.46)), 0.085 * size, colour, cap="round")
    canvas.stroke(at((-0.03, -0.04), (-0.08, -0.26), (-0.24, -0.44)), 0.085 * size, colour, cap="round")
    canvas.stroke(at((0.03, 0.27), (0.13, 0.12), (0.25, 0.06)), 0.06 * size, colour, cap="round")
    canvas.stroke(at((0.01, 0.27), (-0.13, 0.15), (-0.19, 0.0)), 0.06 * size, colour, cap="round")


def bicycle(canvas: Canvas, centre: Point, size: float, colour: str) -> None:
    """Draw a bicycle; `size` is the width."""
    at = _scaled(centre, size)
    for wheel in at((-0.29, -0.12), (0.29, -0.12)):
        canvas.ring(wheel, 0.19 * size, 0.05 * size, colour)
    frame = at((-0.29, -0.12), (-0.12, 0.14), (0.18, 0.14), (0.0, -0.12), (-0.12, 0.14))
    canvas.stroke(frame, 0.05 * size, colour, cap="round")
    canvas.stroke(at((-0.29, -0.12), (0.0, -0.12)), 0.05 * size, colour, cap="round")
    canvas.stroke(at((0.29, -0.12), (0.16, 0.25), (0.27, 0.27)), 0.05 * size, colour, cap="round")
    canvas.stroke(at((-0.12, 0.14), (-0.15, 0.21)), 0.05 * size, colour, cap="round")
    canvas.stroke(at((-0.22, 0.22), (-0.08, 0.22)), 0.06 * size, colour, cap="round")


def car(canvas: Canvas, centre: Point, size: float, colour: str) -> None:
    """Draw a car from behind; `size` is the width."""
    at = _scaled(centre, size)
    canvas.polygon(at((-0.5, -0.25), (0.5, -0.25), (0.5, 0.08), (0.34, 0.4), (-0.34, 0.4), (-0.5, 0.08)), colour)
    canvas.polygon(at((-0.34, 0.08), (0.34, 0.08), (0.25, 0.3), (-0.25, 0.3)), WHITE)
    for left in (-0.44, 0.24):
        canvas.polygon(at((left, -0.42), (left + 0.2, -0.42), (left + 0.2, -0.2), (left, -0.2)), colour)
    for light in at((-0.38, -0.06), (0.38, -0.06)):
        canvas.circle(light, 0.06 * size, WHITE)


def lorry(canvas: Canvas, centre: Point, size: float, colour: str) -> None:
    """Draw a lorry from its left; `size` is the length."""
    at = _scaled(centre, size)
    canvas.polygon(at((-0.14, -0.16), (0.5, -0.16), (0.5, 0.3), (-0.14, 0.3)), colour)
    canvas.polygon(at((-0.5, -0.16), (-0.18, -0.16), (-0.18, 0.2), (-0.36, 0.2), (-0.5, 0.02)), colour)
    canvas.polygon(at((-0.43, 0.02), (-0.25, 0.02), (-0.25, 0.13), (-0.34, 0.13)), WHITE)
    for wheel in at((-0.33, -0.18), (0.08, -0.18), (0.34, -0.18)):
        canvas.circle(wheel, 0.1 * size, WHITE)
        canvas.circle(wheel, 0.075 * size, colour)


def turn_arrow(side: int) -> list[Point]:
    """Return the points of an arrow that comes from below and turns to the left (-1) or the right (1)."""
    return [(-side * 0.32, -0.55), (-side * 0.32, 0.14), (side * 0.58, 0.14)]


U_TURN: Sequence[Point] = ((0.28, -0.6), *arc((0.0, 0.18), 0.28, 0.0, 180.0), (-0.28, -0.6))
"""An arrow that turns back to the left."""


def roundabout(canvas: Canvas, radius: float, width: float, colour: str, *, clockwise: bool = False) -> None:
    """Draw three arrows in a circle, counterclockwise as traffic on the right goes."""
    for start in (60.0, 180.0, 300.0):
        points = arc((0.0, 0.0), radius, start, start + 100.0)
        canvas.arrow(mirrored(points) if clockwise else points, width, colour)
