"""Roads and railways from above, with something on a lane or a track: where it stands is known."""

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from jaxkd.evals.suites.transport.choices import JsonLine, numbered
from jaxkd.evals.suites.transport.drawings.drawing import RED, WHITE, YELLOW, Canvas

WIDTHS = {"lane": 0.52, "track": 0.8}
_EDGE = 1.3
"""Where a picture ends, and a little more."""
_GRASS, _ASPHALT, _GRAVEL, _SLEEPER, _STEEL = "#7fa563", "#55585c", "#b5aa9a", "#6b4a32", "#d5d9dc"
_GLASS, _WOOD, _LEAVES, _STONE = "#cfe3ef", "#70482a", "#2f6b33", "#7d766d"
_COUNTS = "零一两三四"

Way = Literal["lane", "track"]


def _car(canvas: Canvas, x: float, y: float, paint: str) -> None:
    canvas.rectangle(x - 0.16, y - 0.3, x + 0.16, y + 0.3, paint)
    canvas.polygon([(x - 0.13, y + 0.16), (x + 0.13, y + 0.16), (x + 0.1, y + 0.06), (x - 0.1, y + 0.06)], _GLASS)
    canvas.polygon([(x - 0.13, y - 0.24), (x + 0.13, y - 0.24), (x + 0.1, y - 0.16), (x - 0.1, y - 0.16)], _GLASS)
    for side in (-1, 1):
        canvas.circle((x + side * 0.11, y + 0.28), 0.03, YELLOW)
        canvas.rectangle(x + side * 0.11 - 0.03, y - 0.3, x + side * 0.11 + 0.03, y - 0.27, RED)


def _white_car(canvas: Canvas, x: float, y: float) -> None:
    _car(canvas, x, y, "#f2f2f2")


def _red_car(canvas: Canvas, x: float, y: float) -> None:
    _car(canvas, x, y, "#b3261e")


def _lorry(canvas: Canvas, x: float, y: float) -> None:
    canvas.rectangle(x - 0.18, y - 0.5, x + 0.18, y + 0.22, "#e4d3a2")
    for rib in (-0.32, -0.14, 0.04):
        canvas.rectangle(x - 0.18, y + rib, x + 0.18, y + rib + 0.02, "#a8966a")
    canvas.rectangle(x - 0.17, y + 0.25, x + 0.17, y + 0.5, "#1f5fa8")
    canvas.rectangle(x - 0.14, y + 0.4, x + 0.14, y + 0.47, _GLASS)


def _tree(canvas: Canvas, x: float, y: float) -> None:
    canvas.stroke([(x - 0.2, y - 0.34), (x + 0.05, y + 0.08)], 0.08, _WOOD, cap="round")
    for dx, dy, radius in ((0.0, 0.1, 0.13), (0.11, 0.2, 0.12), (-0.04, 0.26, 0.12), (0.07, 0.34, 0.11)):
        canvas.circle((x + dx, y + dy), radius, _LEAVES)


def _stones(canvas: Canvas, x: float, y: float) -> None:
    for dx, dy, radius, sides in ((-0.1, -0.08, 0.12, 5), (0.1, -0.05, 0.1, 6), (0.0, 0.11, 0.11, 7)):
        outline = [(x + dx + radius * c, y + dy + radius * s) for c, s in _CORNERS[sides]]
        canvas.polygon(outline, _STONE)
        canvas.stroke([*outline, outline[0]], 0.02, "#4f4a44")


def _barrier(canvas: Canvas, x: float, y: float) -> None:
    for place in range(6):
        left = x - 0.21 + 0.07 * place
        canvas.rectangle(left, y + 0.02, left + 0.07, y + 0.12, RED if place % 2 == 0 else WHITE)
    for dx in (-0.14, 0.0, 0.14):
        canvas.circle((x + dx, y - 0.12), 0.06, "#f26a1b")
        canvas.ring((x + dx, y - 0.12), 0.03, 0.02, WHITE)


def _boxes(canvas: Canvas, x: float, y: float) -> None:
    for dx, dy, size in ((-0.1, -0.06, 0.18), (0.1, 0.04, 0.15), (-0.02, 0.19, 0.14)):
        left, bottom = x + dx - size / 2, y + dy - size / 2
        canvas.rectangle(left, bottom, left + size, bottom + size, "#c89a5b")
        canvas.rectangle(left, bottom + 0.42 * size, left + size, bottom + 0.58 * size, "#8d6632")


_CORNERS: Mapping[int, Sequence[tuple[float, float]]] = {
    5: ((1.0, 0.1), (0.3, 0.9), (-0.8, 0.6), (-0.9, -0.5), (0.4, -0.9)),
    6: ((0.9, 0.3), (0.2, 1.0), (-0.7, 0.7), (-1.0, -0.2), (-0.3, -0.9), (0.8, -0.6)),
    7: ((1.0, 0.0), (0.5, 0.8), (-0.2, 1.0), (-0.9, 0.4), (-0.8, -0.5), (0.0, -1.0), (0.7, -0.7)),
}

OBSTACLES: Mapping[str, Callable[[Canvas, float, float], None]] = {
    "一辆白色小汽车": _white_car,
    "一辆红色小汽车": _red_car,
    "一辆货车": _lorry,
    "一棵倒下的树": _tree,
    "几块落石": _stones,
    "施工护栏和锥桶": _barrier,
    "几个散落的货箱": _boxes,
}
"""Description of each thing that may stand on a lane or a track, and a function that draws it at a centre."""
_ON_RAILS = ("一辆白色小汽车", "一辆红色小汽车", "一棵倒下的树", "几块落石", "几个散落的货箱")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoadScene:
    """Lanes or tracks side by side, and what occupies them."""

    way: Way
    count: int
    obstacles: Mapping[int, str]
    """Description by lane or track, the leftmost being 1."""

    @property
    def reference(self) -> str:
        """Answer in full."""
        noun, measure = ("车道", "条") if self.way == "lane" else ("轨道", "股")
        place = f"{'道路' if self.way == 'lane' else '铁路'}共有{_COUNTS[self.count]}{measure}{noun}"
        if not self.obstacles:
            return f"{place}，均未被占用，可以正常通行。"
        taken = "，".join(
            f"自左向右第{number}{measure}{noun}被{what}占用" for number, what in sorted(self.obstacles.items())
        )
        free = [str(number) for number in range(1, self.count + 1) if number not in self.obstacles]
        rest = f"第{'、'.join(free)}{measure}{noun}可以正常通行" if free else f"没有可以通行的{noun}"
        return f"{place}，{taken}，{rest}。"

    def png(self, rng: random.Random) -> bytes:
        """Draw the scene; where along the lane an obstacle stands is random."""
        width = WIDTHS[self.way]
        left = -self.count * width / 2
        canvas = Canvas(_GRASS)
        (_road if self.way == "lane" else _rails)(canvas, left, self.count)
        for number, what in sorted(self.obstacles.items()):
            OBSTACLES[what](canvas, left + (number - 0.5) * width, rng.uniform(-0.6, 0.6))
        return canvas.png()


def _road(canvas: Canvas, left: float, count: int) -> None:
    width = WIDTHS["lane"]
    right = left + count * width
    canvas.rectangle(left - 0.08, -_EDGE, right + 0.08, _EDGE, _ASPHALT)
    for edge in (left, right):
        canvas.rectangle(edge - 0.015, -_EDGE, edge + 0.015, _EDGE, WHITE)
    for number in range(1, count):
        middle = left + number * width
        for dash in range(6):
            bottom = -_EDGE + 0.46 * dash
            canvas.rectangle(middle - 0.015, bottom, middle + 0.015, bottom + 0.26, WHITE)
    for number in range(count):
        centre = left + (number + 0.5) * width
        canvas.arrow([(centre, -1.16), (centre, -0.86)], 0.04, WHITE, head=3.0)


def _rails(canvas: Canvas, left: float, count: int) -> None:
    width = WIDTHS["track"]
    canvas.rectangle(left - 0.06, -_EDGE, left + count * width + 0.06, _EDGE, _GRAVEL)
    for number in range(count):
        centre = left + (number + 0.5) * width
        for place in range(16):
            bottom = -_EDGE + 0.17 * place
            canvas.rectangle(centre - 0.3, bottom, centre + 0.3, bottom + 0.07, _SLEEPER)
        for side in (-1, 1):
            canvas.rectangle(centre + side * 0.2 - 0.03, -_EDGE, centre + side * 0.2 + 0.03, _EDGE, "#4a4f54")
            canvas.rectangle(centre + side * 0.2 - 0.015, -_EDGE, centre + side * 0.2 + 0.015, _EDGE, _STEEL)


def road_occupations(rng: random.Random) -> tuple[list[JsonLine], Mapping[str, bytes]]:
    """Return a question for each of twenty scenes, and the pictures by their file names."""
    rows, pictures = [], {}
    for place, scene in enumerate(_scenes(rng), start=1):
        file = f"t8-{place:03d}.png"
        pictures[file] = scene.png(rng)
        noun = "道路" if scene.way == "lane" else "铁路"
        part = "车道" if scene.way == "lane" else "轨道"
        rows.append(
            {
                "question": f"图为一段{noun}的俯视图。请说明共有几条{part}，哪条被什么占用，哪些可以正常通行。",
                "reference": scene.reference,
                "images": [f"images/{file}"],
                "meta": {"way": scene.way, "count": scene.count, "occupied": sorted(scene.obstacles)},
            }
        )
    return numbered("T8", rows, rng), pictures


def _scenes(rng: random.Random) -> list[RoadScene]:
    """Draw scenes: twelve roads and four railways with one obstacle, two roads with two, and one of each with none."""
    scenes = [RoadScene(way="lane", count=3, obstacles={}), RoadScene(way="track", count=2, obstacles={})]
    described = [*OBSTACLES, *OBSTACLES]
    for place in range(12):
        count = 2 + place % 3
        scenes.append(RoadScene(way="lane", count=count, obstacles={rng.randint(1, count): described[place]}))
    for what in rng.sample(_ON_RAILS, 4):
        scenes.append(RoadScene(way="track", count=2, obstacles={rng.randint(1, 2): what}))
    for count in (3, 4):
        lanes, what = rng.sample(range(1, count + 1), 2), rng.sample(list(OBSTACLES), 2)
        scenes.append(RoadScene(way="lane", count=count, obstacles=dict(zip(lanes, what, strict=True))))
    return scenes
