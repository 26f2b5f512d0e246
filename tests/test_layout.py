"""The package has doors and rooms, and imports between rooms run one way."""

import ast
from pathlib import Path

import pytest

from tests.layout import PACKAGE, layout

DOORS = {
    "train",
    "distill",
    "segment",
    "evaluate",
    "generate",
    "export",
    "cut",
    "quantize",
    "discover",
    "show_alignment",
}
SHELVES = {"jaxkd/recipes", "jaxkd/evals/language"}
"""Methods side by side, and metrics side by side: these may be longer."""
MOST_FILES = 12
MOST_FLOORS = 12

ROOMS = sorted(file.parent for file in Path(PACKAGE).rglob("__init__.py"))


def test_imports_between_rooms_run_one_way():
    found = layout()
    assert found.room_circles == ()
    assert found.file_circles == ()
    assert found.floors <= MOST_FLOORS


def test_the_root_holds_doors_and_rooms():
    files = {path.stem for path in Path(PACKAGE).glob("*.py")}
    assert files == DOORS | {"__init__", "typing"}
    assert all(f'"""`python -m jaxkd.{door}`' in Path(PACKAGE, f"{door}.py").read_text() for door in DOORS)


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_a_room_says_its_job_and_is_small(room):
    first, *_ = (ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or "").splitlines()
    assert first.endswith(".")
    files = [path for path in room.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= MOST_FILES or str(room) in SHELVES


def test_a_circle_and_a_chain_are_seen(tmp_path):
    """`a` and `b` import one another, and `c` imports `a`."""
    package = tmp_path / "three_rooms"
    package.mkdir()
    files = {"__init__": "", "a": "import three_rooms.b", "b": "import three_rooms.a", "c": "import three_rooms.a"}
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    found = layout("three_rooms", checkout=tmp_path)
    assert found.room_circles == (("a", "b"),)
    assert found.file_circles == (("three_rooms.a", "three_rooms.b"),)
    assert (found.rooms, found.arrows, found.floors) == (3, 3, 2)


def test_a_class_has_a_name_of_its_own():
    """Programs alone share one: each has a `Command`."""
    names: dict[str, list[str]] = {}
    for path in sorted(Path(PACKAGE).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(node.name, []).append(str(path))
    assert {name: paths for name, paths in names.items() if len(paths) > 1}.keys() == {"Command"}
