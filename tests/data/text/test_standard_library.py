import ast
import collections
import contextlib
import dataclasses
import os
import subprocess
import sys
import sysconfig

import pytest

from jaxkd.data import StandardLibrary
from jaxkd.data.examples import merge_near_duplicates, stable_split
from jaxkd.data.text import standard_library
from jaxkd.data.text.standard_library import DOCSTRING_INSTRUCTION, INSTRUCTION, SYSTEM
from tests.data.plain_modules import plain_modules

SPLITS = ("train", "validation", "test")


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A standard library of the test's own: a function that writes its files and reads it."""

    def write(files, **bounds):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
        standard_library._scan.cache_clear()
        return StandardLibrary(**({"min_characters": 1, "min_body_lines": 1} | bounds)).all_examples()

    yield write
    standard_library._scan.cache_clear()


FUNCTION = 'def area(width, height):\n    """Width times height."""\n    area = width * height\n    return area\n'


def test_the_prompt_is_signature_and_docstring_and_the_response_the_body(library):
    (example,) = library({"shapes.py": FUNCTION})
    assert example.messages == (
        ("system", SYSTEM),
        ("user", INSTRUCTION + 'def area(width, height):\n    """Width times height."""'),
    )
    assert example.response == "    area = width * height\n    return area"
    assert (example.key, example.group) == ("shapes.py::area", "shapes.py")


def test_a_docstring_is_written_of_signature_and_body(library):
    source = (
        "class A:\n    @property\n    def area(\n        self,\n    ):\n"
        '        """Width times height.\n\n        In metres.\n        """\n        return self.side ** 2\n'
        '\n    def empty(self):\n        """ """\n        return 1\n'
    )
    (example,) = library({"shapes.py": source}, answer="docstring")
    prompt = DOCSTRING_INSTRUCTION + "def area(\n    self,\n):\n    return self.side ** 2"
    assert example.messages == (("system", SYSTEM), ("user", prompt))
    assert example.response == "Width times height.\n\nIn metres."
    assert example.key == "shapes.py::A.area"


def test_names_are_qualified_and_unique(library):
    method = '    def side(self):\n        """Side."""\n        return self._side\n'
    nested = (
        'def outer():\n    """Outer."""\n    def inner():\n        """Inner."""\n        return 1\n    return inner\n'
    )
    source = f"class Square:\n    @property\n{method}    @side.setter\n{method}\n{nested}async {FUNCTION}"
    assert [example.key for example in library({"a/b.py": source})] == [
        "a/b.py::Square.side",
        "a/b.py::Square.side#2",
        "a/b.py::outer",
        "a/b.py::outer.inner",
        "a/b.py::area",
    ]


def test_what_has_no_docstring_or_no_body_is_left_out(library):
    source = (
        'def bare():\n    return 1\n\ndef empty():\n    """Nothing."""\n\ndef line(): "One."; return 1\n\n' + FUNCTION
    )
    assert [example.key for example in library({"a.py": source})] == ["a.py::area"]


def test_bounds_are_inclusive(library):
    characters = len(FUNCTION.rstrip("\n"))
    exact = {"min_characters": characters, "max_characters": characters, "min_body_lines": 2}
    assert len(library({"a.py": FUNCTION}, **exact)) == 1
    closed = (
        {"min_characters": characters + 1},
        {"max_characters": characters - 1},
        {"min_body_lines": 3},
    )
    for change in closed:
        with pytest.raises(
            ValueError, match=r"StandardLibrary must find documented functions of \d+ to \d+ characters"
        ):
            library({"a.py": FUNCTION}, **change)


def test_tests_and_packages_and_broken_files_are_left_out(library):
    files = dict.fromkeys(("test/a.py", "b/tests/a.py", "site-packages/a.py", "b/idle_test/a.py"), FUNCTION)
    files |= {"broken.py": "def (:\n", "latin.py": b"# \xe9\n" + FUNCTION.encode(), "kept.py": FUNCTION}
    assert [example.group for example in library(files)] == ["kept.py"]


def test_modules_are_in_the_order_of_their_names(library):
    names = [f"{letter}.py" for letter in "rjxbqakmzhcdf"]
    assert [example.group for example in library(dict.fromkeys(names, FUNCTION))] == sorted(names)


def test_encodings_form_feeds_and_bad_escapes_are_read(library):
    latin = b"# -*- coding: latin-1 -*-\n# \xe9\n" + FUNCTION.encode()
    paged = 'PATTERN = "\\d"\n\x0c\n' + FUNCTION
    examples = library({"latin.py": latin, "paged.py": paged, "dos.py": FUNCTION.replace("\n", "\r\n")})
    assert len({(example.messages, example.response) for example in examples}) == 1
    assert len(examples) == 3


def test_a_function_that_a_string_keeps_from_being_dedented_is_left_out(library):
    source = 'class A:\n    def f(self):\n        """F."""\n        return """\nleft\n"""\n\n' + FUNCTION
    assert [example.key for example in library({"a.py": source})] == ["a.py::area"]


def test_wrong_bounds_are_refused():
    for bounds in ({"min_characters": 0}, {"min_characters": 9, "max_characters": 8}):
        with pytest.raises(ValueError, match="min_characters must be positive and at most max_characters, got"):
            StandardLibrary(**bounds).all_examples()
    with pytest.raises(ValueError, match="min_body_lines must be at least 1, got 0"):
        StandardLibrary(min_body_lines=0).all_examples()
    with pytest.raises(ValueError, match="answer must be one of body, docstring, got 'name'"):
        StandardLibrary(answer="name").all_examples()


@pytest.fixture(scope="module", params=["plain modules", pytest.param("all", marks=pytest.mark.slow)])
def python(request, tmp_path_factory):
    """The library of this Python: its modules of one file, or all of it."""
    modules = plain_modules if request.param == "plain modules" else contextlib.nullcontext
    with modules(tmp_path_factory.mktemp("stdlib")):
        yield StandardLibrary()


def test_the_real_library_is_real_code(python):
    examples = python.all_examples()
    assert len(examples) > 1000
    assert len({example.key for example in examples}) == len(examples)
    for example in examples[::50]:
        head = example.messages[1][1].removeprefix(INSTRUCTION)
        (function,) = ast.parse(f"{head}\n{example.response}").body
        assert ast.get_docstring(function, clean=False) is not None
        assert 80 <= len(head) + 1 + len(example.response) <= 1200


def test_docstrings_of_the_real_library_are_of_the_same_functions(python):
    bodies = {example.key: example for example in python.all_examples()}
    docstrings = {example.key: example for example in dataclasses.replace(python, answer="docstring").all_examples()}
    assert 0.99 < len(docstrings) / len(bodies) <= 1
    for key, example in list(docstrings.items())[::50]:
        head = bodies[key].messages[1][1].removeprefix(INSTRUCTION)
        assert example.messages[1][1].endswith(f"\n{bodies[key].response}")
        (function,) = ast.parse(f"{head}\n{bodies[key].response}").body
        assert ast.get_docstring(function).strip() == example.response


def test_the_splits_are_disjoint_and_complete(python):
    parts = {split: python.examples(split) for split in SPLITS}
    assert all(parts.values())
    assert sum(map(len, parts.values())) == len(python.all_examples())
    sides = collections.defaultdict(set)
    for split, examples in parts.items():
        for example in examples:
            sides[example.key.split("::")[0]].add(split)
            assert stable_split(example.group) == split
    assert all(len(side) == 1 for side in sides.values())


def test_near_duplicates_of_the_real_library_lie_on_one_side(python):
    examples = python.all_examples()
    assert merge_near_duplicates(examples)[1] == 0
    bodies = collections.defaultdict(set)
    for example in examples:
        if len(example.response) > 200:
            bodies[example.response].add(stable_split(example.group))
    assert bodies
    assert all(len(sides) == 1 for sides in bodies.values())


def test_another_process_reads_the_same_examples(tmp_path):
    """Nothing may depend on the order of a set or the seed of `hash`."""
    with plain_modules(tmp_path):
        here = repr(StandardLibrary().examples("validation"))
    program = (
        "import sysconfig; from jaxkd.data.text.standard_library import StandardLibrary;"
        f"sysconfig.get_paths = lambda: {{'stdlib': {str(tmp_path)!r}}};"
        "print(end=repr(StandardLibrary().examples('validation')))"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = os.environ | {"PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", program]
    there = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert there == here
