"""Flaws of a function that show in the function alone, and functions that only look as if they had one."""

import contextlib
import textwrap
from typing import get_args

import pytest

from jaxkd.data import StandardLibrary
from jaxkd.data.preferences.code_flaws import Flaw, flaws
from jaxkd.data.preferences.code_mutations import mutations
from jaxkd.data.text.standard_library import signature
from tests.data.plain_modules import plain_modules

FLAWED = {
    "syntax": [
        "return (width * height",
        "return width * height)",
        "return width *",
        "",
        "return width * height\n  return 0",
    ],
    "repeated": [
        "width = f(width)\nwidth = f(width)\nreturn width, height",
        "for x in width:\n    f(height)\n    f(height)",
    ],
    "unreachable": [
        "return width\nf(height)",
        "while width:\n    break\n    f(height)",
        "if width:\n    raise ValueError\n    f()\nreturn height",
        "try:\n    f(width)\nexcept ValueError:\n    return None\n    f(height)",
        "match width:\n    case 1:\n        return height\n        f()",
    ],
    "unused": [
        "return width",
        "area = width * height\nreturn width * height",
        "area: int = width\nreturn height",
        "area = 0\narea += width * height\nreturn None",
    ],
    "same_operands": [
        "return width - width + height",
        "return width == width or height",
        "self.width = self.width\nreturn width * height",
        "return width and width and height",
        "return f(width) < f(width), height",
    ],
    "read_early": [
        "f(area)\narea = width * height\nreturn area",
        "area = area + width * height\nreturn area",
        "area += width * height\nreturn area",
        "with area as f:\n    area = width, height\nreturn area",
        "for x in rest:\n    rest = x, width, height",
    ],
}

SOUND = [
    "return width * height",
    "self.width = width\nself.height = height",
    "area = width\narea = area * height\nreturn area",
    "for width in height:\n    f(width)\nreturn width",
    "f(width)\nf(height)\nf(width)",
    "if width:\n    return height\nreturn None",
    "_ignored = f(width, height)",
    "first, second = width, height\nreturn None",
    "global area\narea = width * height",
    "import os.path\nreturn os.path.join(width, height)",
    "def area():\n    return total\ntotal = width * height\nreturn area",
    "return [x for x in width if x in height]",
    "return [total := width, total, height]",
    "with f(width) as file:\n    return file.read(height)",
    "try:\n    f(width)\nexcept ValueError as error:\n    return error, height",
    "match width:\n    case [first, *rest]:\n        return first, rest, height",
    "match width:\n    case {'a': a, **others}:\n        return a, others, height",
    "return width != height, width - height, width + width, width * width",
    "del width\nreturn height",
    "x = width\ny = lambda: x\nreturn y, height",
    "async def inner():\n    await f(width)\nreturn inner, height",
    "class Area:\n    size = width\nreturn Area, height",
]


def function(body, head="def area(self, width, height, *args, **kwargs):"):
    return f"{head}\n{textwrap.indent(body, '    ')}"


@pytest.mark.parametrize(("flaw", "body"), [(flaw, body) for flaw, bodies in FLAWED.items() for body in bodies])
def test_a_flaw_is_seen(flaw, body):
    found = flaws(function(body))
    assert flaw in found
    assert flaw == "syntax" or "syntax" not in found


@pytest.mark.parametrize("body", SOUND)
def test_what_only_looks_like_one_is_none(body):
    assert flaws(function(body)) == ()


@pytest.mark.parametrize(
    ("docstring", "body", "expected"),
    [
        ("Return the area.", "self.area = width * height", ("no_return",)),
        ("Returns the area.", "def area():\n    return 1\narea(width, height)", ("no_return",)),
        ("Return the area.", "yield width * height", ()),
        ("Set the area.", "self.area = width * height", ()),
        ("Return the area.", "if width:\n    return\nreturn height", ()),
    ],
)
def test_a_promised_value_must_be_given(docstring, body, expected):
    assert flaws(function(f'"""{docstring}"""\n{body}')) == expected


def test_a_docstring_alone_is_no_function():
    assert flaws(function('"""Return the area."""')) == ("syntax",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        "def f():\n    pass\ndef g():\n    pass",
        "class A:\n    pass",
        "def f(:\n    pass",
        "def f():\n\x00",
        "(" * 3000,
    ],
)
def test_what_is_no_function_is_told(text):
    assert flaws(text) == ("syntax",)


@pytest.mark.parametrize(
    "modules", [plain_modules, pytest.param(contextlib.nullcontext, marks=pytest.mark.slow, id="all")]
)
def test_the_standard_library_has_few(modules, tmp_path):
    """It was reviewed: what is found there is either an oversight or the checker's mistake."""
    with modules(tmp_path):
        examples = StandardLibrary(max_characters=500).all_examples()
    found = [flaws(f"{signature(example)}\n{example.response}") for example in examples]
    assert sum(map(bool, found)) < 0.06 * len(examples)
    # All but a few are parameters that a caller has to pass.
    assert sum(bool(set(one) - {"unused"}) for one in found) < 0.005 * len(examples)


@pytest.mark.parametrize("flaw", get_args(Flaw))
def test_one_edit_puts_in_one_flaw_and_leaves_the_head(flaw):
    head = 'def area(width, height):\n    """Return the area, \u00e9 in it."""'
    body = "    # \u00e9\n    area = width - height\n    self.\u00e9(area, width, height)\n    return area"
    found = list(mutations(head, body, flaw, order=str))
    assert found
    for mutated in found:
        assert mutated != body
        assert flaws(f"{head}\n{mutated}") == (flaw,)
    assert found == list(mutations(head, body, flaw, order=str))


def test_a_body_without_room_for_a_flaw_stays():
    assert list(mutations("def area():", "    pass", "no_return", order=str)) == []
    assert list(mutations("def area():", "    (", "repeated", order=str)) == []


@pytest.mark.parametrize("expression", ["width + " * 500 + "height", "not " * 1_000 + "width", "-" * 5_000 + "height"])
def test_what_a_collapsed_model_nests_is_no_function(expression):
    assert flaws(function(f"return {expression}")) == ("syntax",)


def test_what_people_nest_is_checked():
    assert "syntax" not in flaws(function("return " + "width + " * 150 + "height"))
