"""Communication of a compiled program between devices, read from its text."""

import math
import re
from collections.abc import Collection

Shape = tuple[int, ...]


def all_gathers(text: str) -> list[Shape]:
    """The shape of every array that the all-gathers of a compiled program make, asynchronous ones included."""
    results = re.findall(r" = (\S.*?) all-gather(?:-done)?\(", text)
    shapes = [shape for result in results for shape in re.findall(r"\w+\[([\d,]*)\]", result)]
    return [tuple(int(size) for size in shape.split(",") if size) for shape in shapes]


def assert_gathers_nothing_but(text: str, allowed: Collection[Shape]) -> None:
    """Fail where an all-gather of a compiled program makes another shape than those; dimensions of 1 do not count."""

    def squeezed(shape: Shape) -> Shape:
        return tuple(size for size in shape if size != 1)

    others = {squeezed(shape) for shape in all_gathers(text)} - {squeezed(shape) for shape in allowed}
    assert not others, f"all-gathers of {sorted(others, key=math.prod)}"
