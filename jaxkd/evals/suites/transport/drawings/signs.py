"""Road signs after the Vienna Convention, drawn as vectors, with their Chinese names."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from jaxkd.evals.suites.transport.drawings.drawing import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    RED,
    WHITE,
    YELLOW,
    Canvas,
    Point,
    arc,
    moved,
    regular,
)
from jaxkd.evals.suites.transport.drawings.sign_shapes import (
    U_TURN,
    bicycle,
    car,
    disc,
    lorry,
    pedestrian,
    plate,
    roundabout,
    slash,
    square,
    turn_arrow,
)

Picture = Callable[[Canvas], None]
"""A function that draws on a canvas."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoadSign:
    """A sign and its meaning."""

    name: str
    """Chinese name."""
    group: str
    """Signs of one group are asked about together."""
    draw: Picture


def stop(canvas: Canvas, *, sides: int = 8, fill: str = RED, text: str = "STOP") -> None:
    """Draw a stop sign, or one with another plate or colour."""
    if sides:
        plate(canvas, sides, fill)
    else:
        disc(canvas, fill, WHITE, inner=0.93)
    canvas.letters(text, (0.0, -0.2 if sides == 3 else 0.0), 0.24 if sides == 3 else 0.4, WHITE)


def give_way(canvas: Canvas, *, pointing_up: bool = False, border: str = RED) -> None:
    """Draw a give-way sign, or one that points up or has another border."""
    plate(canvas, 3, WHITE, pointing_up=pointing_up, border=border)


def no_entry(canvas: Canvas, *, fill: str = RED, upright: bool = False) -> None:
    """Draw a no-entry sign, or one of another colour or with an upright bar."""
    disc(canvas, fill, WHITE, inner=0.95)
    width, height = (0.17, 0.7) if upright else (0.7, 0.17)
    canvas.rectangle(-width, -height, width, height, WHITE)


def speed_limit(canvas: Canvas, *, text: str, border: str = RED, fill: str = WHITE, ink: str = BLACK) -> None:
    """Draw a sign with a number in a ring."""
    disc(canvas, fill, border)
    canvas.letters(text, (0.0, 0.0), 0.68 if len(text) < 3 else 0.5, ink)


def end_of_limit(canvas: Canvas, *, text: str) -> None:
    """Draw the end of a speed limit."""
    disc(canvas, WHITE, BLACK, inner=0.95)
    canvas.letters(text, (0.0, 0.0), 0.68, GREY)
    for shift in (-0.12, 0.0, 0.12):
        canvas.stroke([(-0.58 + shift, -0.58 - shift), (0.58 + shift, 0.58 - shift)], 0.05, BLACK)


def minimum_speed(canvas: Canvas, *, text: str, fill: str = BLUE) -> None:
    """Draw a minimum speed."""
    disc(canvas, fill, WHITE, inner=0.95)
    canvas.letters(text, (0.0, 0.0), 0.68, WHITE)


def no_overtaking(canvas: Canvas, *, colours: tuple[str, str] = (RED, BLACK)) -> None:
    """Draw two cars side by side, the overtaking one on the left."""
    disc(canvas, WHITE, RED)
    for x, colour in zip((-0.33, 0.33), colours, strict=True):
        car(canvas, (x, 0.0), 0.56, colour)


def no_stopping(canvas: Canvas, *, crossed: bool) -> None:
    """Draw no parking (one stroke) or no stopping (two)."""
    disc(canvas, BLUE, RED)
    slash(canvas)
    if crossed:
        canvas.stroke([(-0.6, -0.6), (0.6, 0.6)], 0.16, RED)


def no_way(canvas: Canvas, *, arrow: Sequence[Point], crossed: bool = True) -> None:
    """Draw a crossed-out arrow."""
    disc(canvas, WHITE, RED)
    canvas.arrow(arrow, 0.17, BLACK)
    if crossed:
        slash(canvas)


def nothing_of(canvas: Canvas, *, of: Callable[[Canvas, Point, float, str], None], size: float) -> None:
    """Draw a crossed-out pictogram."""
    disc(canvas, WHITE, RED)
    of(canvas, (0.0, 0.0), size, BLACK)
    slash(canvas)


def no_vehicles(canvas: Canvas) -> None:
    """Draw an empty ring."""
    disc(canvas, WHITE, RED)


def height_limit(canvas: Canvas) -> None:
    """Draw a height between two wedges."""
    disc(canvas, WHITE, RED)
    canvas.letters("3.5m", (0.0, 0.0), 0.34, BLACK)
    for side in (-1, 1):
        canvas.polygon([(-0.2, side * 0.68), (0.2, side * 0.68), (0.0, side * 0.38)], BLACK)


def width_limit(canvas: Canvas) -> None:
    """Draw a width between two wedges."""
    disc(canvas, WHITE, RED)
    canvas.letters("3m", (0.0, 0.0), 0.4, BLACK)
    for side in (-1, 1):
        canvas.polygon([(side * 0.76, -0.2), (side * 0.76, 0.2), (side * 0.5, 0.0)], BLACK)


def weight_limit(canvas: Canvas) -> None:
    """Draw a weight."""
    disc(canvas, WHITE, RED)
    canvas.letters("10t", (0.0, 0.0), 0.52, BLACK)


def mandatory(canvas: Canvas, *, arrows: Sequence[Sequence[Point]], fill: str = BLUE) -> None:
    """Draw white arrows on a blue disc."""
    disc(canvas, fill, WHITE, inner=0.95)
    for points in arrows:
        canvas.arrow(points, 0.2, WHITE)


def mandatory_roundabout(canvas: Canvas, *, clockwise: bool = False) -> None:
    """Draw a roundabout."""
    disc(canvas, BLUE, WHITE, inner=0.95)
    roundabout(canvas, 0.5, 0.18, WHITE, clockwise=clockwise)


def way_for(canvas: Canvas, *, of: Callable[[Canvas, Point, float, str], None], size: float) -> None:
    """Draw a white pictogram on a blue disc."""
    disc(canvas, BLUE, WHITE, inner=0.95)
    of(canvas, (0.0, 0.0), size, WHITE)


def warning(canvas: Canvas, *, inside: Picture, border: str = RED) -> None:
    """Draw a warning sign."""
    plate(canvas, 3, WHITE, border=border)
    inside(canvas)


def danger(canvas: Canvas) -> None:
    """Draw an exclamation mark."""
    canvas.polygon([(-0.11, 0.3), (0.11, 0.3), (0.06, -0.22), (-0.06, -0.22)], BLACK)
    canvas.circle((0.0, -0.39), 0.095, BLACK)


def bend(canvas: Canvas, *, side: int) -> None:
    """Draw an arrow that bends."""
    canvas.arrow([(-side * 0.12, -0.5), (-side * 0.12, -0.16), (side * 0.2, 0.18)], 0.13, BLACK)


def crossroads(canvas: Canvas, *, branches: Sequence[Point]) -> None:
    """Draw roads that meet."""
    for point in branches:
        canvas.stroke([(0.0, -0.2), point], 0.14, BLACK)
    canvas.circle((0.0, -0.2), 0.07, BLACK)


def small_roundabout(canvas: Canvas) -> None:
    """Draw a small roundabout, where it belongs in a triangle."""
    for start in (60.0, 180.0, 300.0):
        points = moved(arc((0.0, 0.0), 0.27, start, start + 100.0), 0.0, -0.22)
        canvas.arrow(points, 0.1, BLACK)


def traffic_light(canvas: Canvas, *, colours: Sequence[str] = (RED, YELLOW, GREEN)) -> None:
    """Draw three lights, from above to below."""
    canvas.rectangle(-0.14, -0.5, 0.14, 0.28, BLACK)
    for y, colour in zip((0.15, -0.11, -0.37), colours, strict=True):
        canvas.circle((0.0, y), 0.1, colour)


def two_way(canvas: Canvas) -> None:
    """Draw arrows in both directions."""
    canvas.arrow([(-0.15, 0.22), (-0.15, -0.5)], 0.1, BLACK, head=2.6)
    canvas.arrow([(0.15, -0.5), (0.15, 0.22)], 0.1, BLACK, head=2.6)


def narrow(canvas: Canvas) -> None:
    """Draw a road that narrows on both sides."""
    for side in (-1, 1):
        canvas.stroke([(side * 0.3, -0.52), (side * 0.3, -0.24), (side * 0.12, 0.0), (side * 0.12, 0.24)], 0.09, BLACK)


def priority_road(canvas: Canvas, *, fill: str = YELLOW) -> None:
    """Draw a priority road sign."""
    canvas.polygon(regular(4, 1.12, first_deg=90.0), BLACK)
    plate(canvas, 4, fill)


def parking(canvas: Canvas, *, backwards: bool = False) -> None:
    """Draw the letter P."""
    square(canvas)
    canvas.letters("P", (0.0, 0.0), 1.15, WHITE, mirrored=backwards)


def one_way(canvas: Canvas) -> None:
    """Draw an arrow ahead on a square."""
    square(canvas)
    canvas.arrow([(0.0, -0.65), (0.0, 0.7)], 0.24, WHITE)


def u_turn_allowed(canvas: Canvas) -> None:
    """Draw an arrow back on a square."""
    square(canvas)
    canvas.arrow(U_TURN, 0.18, WHITE)


def no_through_road(canvas: Canvas) -> None:
    """Draw a road that ends at a red bar."""
    square(canvas)
    canvas.rectangle(-0.13, -0.7, 0.13, 0.3, WHITE)
    canvas.rectangle(-0.42, 0.3, 0.42, 0.56, RED)


def crossing(canvas: Canvas) -> None:
    """Draw a person on a pedestrian crossing."""
    square(canvas)
    canvas.polygon([(-0.76, -0.66), (0.76, -0.66), (0.0, 0.7)], WHITE)
    for x in (-0.44, -0.2, 0.04, 0.28):
        canvas.polygon([(x, -0.6), (x + 0.14, -0.6), (x + 0.12, -0.44), (x + 0.04, -0.44)], BLACK)
    pedestrian(canvas, (0.0, -0.08), 0.68, BLACK)


def hospital(canvas: Canvas) -> None:
    """Draw the letter H."""
    square(canvas)
    canvas.letters("H", (0.0, 0.0), 1.1, WHITE)


AHEAD: Sequence[Point] = ((0.0, -0.6), (0.0, 0.65))
LEFT, RIGHT = turn_arrow(-1), turn_arrow(1)
ALL_WAYS: Sequence[Point] = ((0.0, 0.2), (0.0, -0.52), (0.36, -0.2), (-0.36, -0.2))
FORBIDDEN, MANDATORY, WARNING, INFORMATION = "禁令标志", "指示标志", "警告标志", "指路标志"


def _signs(group: str, drawn: dict[str, Picture]) -> tuple[RoadSign, ...]:
    return tuple(RoadSign(name=name, group=group, draw=draw) for name, draw in drawn.items())


_with = functools.partial

ROAD_SIGNS: tuple[RoadSign, ...] = (
    *_signs(
        FORBIDDEN,
        {
            "停车让行": stop,
            "减速让行": give_way,
            "禁止驶入": no_entry,
            "禁止通行": no_vehicles,
            "限制速度30公里/小时": _with(speed_limit, text="30"),
            "限制速度50公里/小时": _with(speed_limit, text="50"),
            "限制速度70公里/小时": _with(speed_limit, text="70"),
            "限制速度100公里/小时": _with(speed_limit, text="100"),
            "解除限制速度40公里/小时": _with(end_of_limit, text="40"),
            "禁止超车": no_overtaking,
            "禁止长时停车": _with(no_stopping, crossed=False),
            "禁止停车": _with(no_stopping, crossed=True),
            "禁止掉头": _with(no_way, arrow=U_TURN),
            "禁止向左转弯": _with(no_way, arrow=LEFT),
            "禁止向右转弯": _with(no_way, arrow=RIGHT),
            "禁止直行": _with(no_way, arrow=AHEAD),
            "禁止行人进入": _with(nothing_of, of=pedestrian, size=1.2),
            "禁止非机动车进入": _with(nothing_of, of=bicycle, size=1.2),
            "禁止载货汽车驶入": _with(nothing_of, of=lorry, size=1.15),
            "限制高度3.5米": height_limit,
            "限制宽度3米": width_limit,
            "限制质量10吨": weight_limit,
        },
    ),
    *_signs(
        MANDATORY,
        {
            "直行": _with(mandatory, arrows=[AHEAD]),
            "向左转弯": _with(mandatory, arrows=[LEFT]),
            "向右转弯": _with(mandatory, arrows=[RIGHT]),
            "靠右侧道路行驶": _with(mandatory, arrows=[[(-0.45, 0.45), (0.5, -0.5)]]),
            "环岛行驶": mandatory_roundabout,
            "最低限速60公里/小时": _with(minimum_speed, text="60"),
            "步行": _with(way_for, of=pedestrian, size=1.35),
            "非机动车行驶": _with(way_for, of=bicycle, size=1.35),
            "单行路": one_way,
            "允许掉头": u_turn_allowed,
            "人行横道": crossing,
            "干路先行": priority_road,
        },
    ),
    *_signs(
        WARNING,
        {
            "注意危险": _with(warning, inside=danger),
            "向左急弯路": _with(warning, inside=_with(bend, side=-1)),
            "向右急弯路": _with(warning, inside=_with(bend, side=1)),
            "十字交叉路口": _with(warning, inside=_with(crossroads, branches=ALL_WAYS)),
            "T形交叉路口": _with(warning, inside=_with(crossroads, branches=ALL_WAYS[1:])),
            "环形交叉路口": _with(warning, inside=small_roundabout),
            "注意信号灯": _with(warning, inside=traffic_light),
            "注意行人": _with(warning, inside=lambda canvas: pedestrian(canvas, (0.0, -0.14), 0.8, BLACK)),
            "注意非机动车": _with(warning, inside=lambda canvas: bicycle(canvas, (0.0, -0.24), 0.82, BLACK)),
            "双向交通": _with(warning, inside=two_way),
            "两侧变窄": _with(warning, inside=narrow),
        },
    ),
    *_signs(INFORMATION, {"停车场": parking, "此路不通": no_through_road, "医院": hospital}),
)
"""Signs that tasks T3 and T7 are made of."""
