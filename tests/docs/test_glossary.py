"""The package speaks the field's words: no public name is retired, and every docstring stands alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FILES = sorted(Path("jaxkd").rglob("*.py"))
RIDDLES = ("What ", "Of ", "That ", "Than ", "As of ")
"""Beginnings of docstrings that only the line above them solves."""


def retired() -> frozenset[str]:
    """Names in the left column of the glossary's second table."""
    table = Path("docs/glossary.md").read_text().partition("## Retired names")[2]
    return frozenset(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", table, flags=re.MULTILINE))))


def public_names(tree: ast.AST) -> Iterator[str]:
    """Public functions, classes, their parameters, fields and constants."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name.startswith("_"):
            continue
        match node:
            case ast.ClassDef():
                yield node.name
                yield from public_names(node)
            case ast.FunctionDef():
                yield node.name
                yield from (one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, those of fields and constants included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            before: ast.AST | None = None
            for child in node.body:
                match child:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        if before is None or isinstance(before, ast.Assign | ast.AnnAssign):
                            yield child.lineno, text
                before = child


def test_the_glossary_retires_names():
    assert {"bettered", "OwnAnswers", "leading_tokens"} <= retired()


def test_no_public_name_is_retired():
    names = {path: {*public_names(ast.parse(path.read_text())), path.stem} for path in FILES}
    assert {str(path): found & retired() for path, found in names.items() if found & retired()} == {}


def test_every_docstring_stands_alone():
    found = [(path, line, text) for path in FILES for line, text in docstrings(ast.parse(path.read_text()))]
    assert [f"{path}:{line}: {text}" for path, line, text in found if text.startswith(RIDDLES)] == []


def test_a_riddle_and_a_retired_name_are_seen():
    tree = ast.parse('SIZE = 1\n"""Of rows."""\n\ndef spread(draws): ...\n\nclass _Hidden:\n    kept: int\n')
    assert list(docstrings(tree)) == [(2, "Of rows.")]
    assert list(public_names(tree)) == ["SIZE", "spread", "draws"]
