"""Mutants: which faults are made, and that what the tests notice is told from what they do not."""

import ast

import pytest

from benchmarks.tests import mutants
from benchmarks.tests.mutations import mutations, of_folder

SOURCE = '''"""A module of 1 line."""

import math
from typing import TypeAlias

Number: TypeAlias = int | float
LIMIT = 3


def bounded(x: int | None, *, low: float = 0.5) -> bool:
    """Not 2 changed."""
    if not x or x < low:
        raise ValueError(f"x must be {2 + 2}, got {x}")
    return -math.floor(x) >= LIMIT and True
'''


def described(source):
    return [str(one).partition("  ")[2] for one in mutations("m.py", source)]


def test_what_decides_a_result_is_changed_and_nothing_else():
    assert sorted(described(SOURCE)) == sorted(
        [
            "3  ->  4",
            "0.5  ->  1.0",
            "not x or x < low  ->  (not x and x < low)",
            "not x  ->  (x)",
            "x < low  ->  (x <= low)",
            'raise ValueError(f"x must be {2 + 2}, got {x}")  ->  pass',
            "-math.floor(x)  ->  (math.floor(x))",
            "-math.floor(x) >= LIMIT  ->  (-math.floor(x) > LIMIT)",
            "-math.floor(x) >= LIMIT and True  ->  (-math.floor(x) >= LIMIT or True)",
            "math.floor(x)  ->  (math.ceil(x))",
            "True  ->  False",
        ]
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a + b", "(a - b)"),
        ("a % b", "(a // b)"),
        ("a & b", "(a | b)"),
        ("a is None", "(a is not None)"),
        ("a in b", "(a not in b)"),
        ("a if c else b", "(b if c else a)"),
        ("jnp.where(c, a, b)", "(jnp.where(c, b, a))"),
        ("jax.lax.stop_gradient(a)", "(a)"),
        ("values.sum()", "(values.mean())"),
        ("max(a, b)", "(min(a, b))"),
        ("~a", "(a)"),
    ],
)
def test_each_kind_of_expression_has_its_fault(before, after):
    assert f"{before}  ->  {after}" in described(f"x = {before}")


@pytest.mark.parametrize("source", ["x = 'a' + b", "x = f'{a + b}'", "T = TypeVar('T', bound=1)", "from a import b"])
def test_text_and_declarations_are_left_alone(source):
    assert described(source) == []


def test_every_mutation_of_the_pure_layers_is_a_program_that_differs():
    every = [one for room in mutants.ROOMS for one in of_folder(mutants.ROOT, f"jaxkd/{room}")]
    assert len(every) > 3000
    for mutation in every[::97]:
        original = (mutants.ROOT / mutation.path).read_bytes()
        changed = mutation.applied(original)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(original)), mutation


def test_a_source_that_has_changed_since_is_refused():
    mutation = mutations("m.py", SOURCE)[0]
    with pytest.raises(
        ValueError, match=r"source must be the text that the mutation was made for, got another at m\.py"
    ):
        mutation.applied(mutation.applied(SOURCE.encode()))


def test_the_sample_depends_on_the_source_alone():
    for room in mutants.ROOMS:
        sample = mutants.sampled(mutants.ROOT, room, 5)
        assert sample == mutants.sampled(mutants.ROOT, room, 5)
        assert all(one.path.startswith(f"jaxkd/{room}") for one in sample)
        assert len(set(sample)) == 5


def test_the_tests_of_what_was_changed_come_first():
    mutation = next(
        one for one in of_folder(mutants.ROOT, "jaxkd/losses") if one.path.endswith("feature/relational.py")
    )
    files = mutants.tests_of(mutants.ROOT, "losses", mutation)
    assert files[0] == "tests/losses/feature/test_relational.py"
    assert {str(file.parent) for file in map(mutants.Path, files[1:4])} == {"tests/losses/feature"}
    assert mutants.tests_of(mutants.ROOT, "projector", mutation) == ["tests/projector/test_projector.py"]


def test_what_the_tests_notice_is_told_from_what_they_do_not(tmp_path, monkeypatch):
    """A repository in miniature, of which one line is tested."""
    for name, text in {
        "jaxkd/__init__.py": "",
        "jaxkd/losses.py": "def twice(x):\n    return 2 * x\n\n\ndef untested(x):\n    return x + x\n",
        "tests/test_losses.py": "from jaxkd.losses import twice\n\n\ndef test_twice():\n    assert twice(3) == 6\n",
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "ROOMS", ("losses",))
    monkeypatch.setattr(mutants, "SAMPLE", 3)
    rows = mutants.measure(quick=False).rows
    assert [row.figure for row in rows] == [
        "mutants killed",
        "of jaxkd.losses",
        "survived: jaxkd/losses.py:6  x + x  ->  (x - x)",
    ]
    assert [row.value for row in rows[:2]] == [2 / 3] * 2
    assert [row.holds for row in rows[:2]] == [False, None]
