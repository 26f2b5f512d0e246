"""Rooms of the package and how they depend on one another, from its import statements.

    python -m tests.layout              # of this checkout
    python -m tests.layout OTHER        # of another one

A room is a file or a folder directly under `jaxkd/`.
"""

import dataclasses
import sys
from collections.abc import Mapping, Set
from pathlib import Path

import grimp
from scipy.sparse import coo_array, csgraph

PACKAGE = "jaxkd"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Shape of the graph of imports."""

    files: int
    rooms: int
    arrows: int
    """Pairs of rooms of which one imports the other."""
    floors: int
    """Rooms of the longest chain of imports; rooms that import one another count as one."""
    room_circles: tuple[tuple[str, ...], ...]
    """Groups of rooms that import one another."""
    file_circles: tuple[tuple[str, ...], ...]
    """Groups of files that import one another."""

    def __str__(self) -> str:
        """The table."""
        return (
            f"{self.files} files in {self.rooms} rooms, {self.arrows} arrows between rooms, {self.floors} floors\n"
            f"circles of rooms: {_listed(self.room_circles)}\n"
            f"circles of files: {_listed(self.file_circles)}"
        )


def layout(package: str = PACKAGE, *, checkout: Path = Path()) -> Layout:
    """Measure a package.

    Args:
        package: name of a package that no one has imported yet, or of the one that was imported.
        checkout: folder that holds it.
    """
    sys.path.insert(0, str(checkout.resolve()))
    try:
        graph = grimp.build_graph(package, cache_dir=None)
    finally:
        del sys.path[0]
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    rooms: dict[str, set[str]] = {_room(module): set() for module in imports if module != package}
    for module, found in imports.items():
        if module != package:
            rooms[_room(module)] |= {_room(one) for one in found if one != package} - {_room(module)}
    return Layout(
        files=len(imports),
        rooms=len(rooms),
        arrows=sum(map(len, rooms.values())),
        floors=_floors(rooms),
        room_circles=_circles(rooms),
        file_circles=_circles(imports),
    )


def _room(module: str) -> str:
    return module.split(".")[1]


def _groups(imports: Mapping[str, Set[str]]) -> dict[str, int]:
    """Number of the strongly connected component of each node."""
    names = sorted(imports)
    number = {name: place for place, name in enumerate(names)}
    edges = [(number[name], number[one]) for name, found in imports.items() for one in found]
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    matrix = coo_array(([1] * len(edges), (rows, columns)), shape=(len(names), len(names)))
    _, labels = csgraph.connected_components(matrix, directed=True, connection="strong")
    return dict(zip(names, labels.tolist(), strict=True))


def _circles(imports: Mapping[str, Set[str]]) -> tuple[tuple[str, ...], ...]:
    members: dict[int, list[str]] = {}
    for name, group in _groups(imports).items():
        members.setdefault(group, []).append(name)
    return tuple(tuple(found) for found in members.values() if len(found) > 1)


def _floors(rooms: Mapping[str, Set[str]]) -> int:
    groups = _groups(rooms)
    below: dict[int, set[int]] = {group: set() for group in groups.values()}
    for room, found in rooms.items():
        below[groups[room]] |= {groups[one] for one in found} - {groups[room]}
    heights: dict[int, int] = {}

    def height(group: int) -> int:
        if group not in heights:
            heights[group] = 1 + max(map(height, below[group]), default=0)
        return heights[group]

    return max(map(height, below))


def _listed(circles: tuple[tuple[str, ...], ...]) -> str:
    return "; ".join(", ".join(circle) for circle in circles) or "none"


if __name__ == "__main__":
    sys.stdout.write(f"{layout(checkout=Path(*sys.argv[1:]))}\n")
