"""What the pages say about the repository: every path exists, every part is named."""

import inspect
import re
from pathlib import Path

import pytest

import jaxkd.kernels
import jaxkd.losses

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]


def tree() -> list[str]:
    """The paths of the annotated tree in the README."""
    text = Path("README.md").read_text()
    lines = text[text.index("## What is where") :].split("```")[1].splitlines()[1:]
    names = [re.match(r"( *)(\S+)", line).groups() for line in lines]
    return [f"jaxkd/{one}" if indent else one for indent, name in names for one in expanded(name)]


def expanded(name: str) -> list[str]:
    """The names that a pair of braces stands for, as in a shell."""
    begin, braces, end = re.fullmatch(r"([^{]*)(?:{(.*)})?(.*)", name).groups()
    return [f"{begin}{one}{end}" for one in (braces or "").split(",")]


def test_the_tree_fits_on_half_a_screen():
    text = Path("README.md").read_text()
    assert len(text[text.index("## What is where") :].split("```")[1].splitlines()) - 1 <= 35


def test_the_tree_names_what_exists():
    assert [path for path in tree() if not Path(path).exists()] == []


def test_the_tree_names_every_part_of_the_package():
    parts = {
        f"jaxkd/{path.name}{'/' if path.is_dir() else ''}"
        for path in Path("jaxkd").iterdir()
        if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
    }
    assert parts == {path for path in tree() if path.startswith("jaxkd/") and path != "jaxkd/"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("package", [jaxkd.losses, jaxkd.kernels], ids=lambda package: package.__name__)
def test_the_reference_has_every_public_name(package):
    page = Path(f"docs/api/{package.__name__.removeprefix('jaxkd.')}.md").read_text()
    public = {name for name, value in vars(package).items() if name[0] != "_" and not inspect.ismodule(value)}
    listed = set(re.findall(r"auto(?:function|class|data):: (\w+)$", page, flags=re.MULTILINE))
    assert public <= listed
