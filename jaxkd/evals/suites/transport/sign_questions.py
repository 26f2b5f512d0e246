"""Questions on drawn road signs: what a sign means, and what is wrong with one."""

import random
from collections.abc import Mapping, Sequence

from jaxkd.evals.suites.transport.choices import OPTIONS, JsonLine, choice, numbered
from jaxkd.evals.suites.transport.drawings.drawing import GREY, Canvas
from jaxkd.evals.suites.transport.drawings.signs import INFORMATION, MANDATORY, ROAD_SIGNS, Picture, RoadSign
from jaxkd.evals.suites.transport.sign_errors import DRAWING_ERRORS

_SKIES = ("#bcd3e6", "#dfe7ea", "#c9dcc4", "#e6dccb")
_GENERAL = "注意危险"
"""Not wrong for any warning sign, so never a wrong option."""


def sign_choices(rng: random.Random) -> tuple[list[JsonLine], Mapping[str, bytes]]:
    """Return a choice for each sign, and the pictures by their file names."""
    rows, pictures = [], {}
    for place, sign in enumerate(ROAD_SIGNS, start=1):
        file = f"t3-{place:03d}.png"
        pictures[file] = _picture(sign.draw, rng)
        others = rng.sample(_alternatives(sign), OPTIONS - 1)
        images, meta = [f"images/{file}"], {"sign": sign.name}
        rows.append(choice("图中的交通标志表示什么？", sign.name, others, images=images, meta=meta))
    return numbered("T3", rows, rng), pictures


def sign_errors(rng: random.Random) -> tuple[list[JsonLine], Mapping[str, bytes]]:
    """Return a question for each sign with an error, and the pictures by their file names."""
    rows, pictures = [], {}
    for place, drawn in enumerate(DRAWING_ERRORS, start=1):
        file = f"t7-{place:03d}.png"
        pictures[file] = _picture(drawn.draw, rng)
        rows.append(
            {
                "question": "图中的交通标志有一处绘制错误。请说明这是什么标志，错在哪里，正确的样式是什么。",
                "reference": drawn.reference,
                "images": [f"images/{file}"],
                "meta": {"sign": drawn.name},
            }
        )
    return numbered("T7", rows, rng), pictures


def _alternatives(sign: RoadSign) -> Sequence[str]:
    groups = {sign.group, MANDATORY} if sign.group == INFORMATION else {sign.group}
    return [other.name for other in ROAD_SIGNS if other.group in groups and other.name not in (sign.name, _GENERAL)]


def _picture(draw: Picture, rng: random.Random) -> bytes:
    """Draw a sign on its post, a little turned and of varying size."""
    canvas = Canvas(rng.choice(_SKIES), turn_deg=rng.uniform(-4.0, 4.0), scale=rng.uniform(0.78, 0.95))
    canvas.rectangle(-0.06, -2.0, 0.06, 0.0, GREY)
    draw(canvas)
    return canvas.png()
