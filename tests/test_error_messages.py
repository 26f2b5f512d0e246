"""Every text of an error stands in a test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

WORDS = 3
"""Consecutive words that a text and a test must share; what stands between them differs from case to case."""


def literals(node: ast.AST) -> Iterator[list[str]]:
    """Words of the literal parts of a text, without its placeholders."""
    match node:
        case ast.Constant(value=str() as text):
            yield text.split()
        case ast.JoinedStr(values=parts):
            for part in parts:
                if isinstance(part, ast.Constant):
                    yield from literals(part)
        case ast.BinOp(left=left, right=right):
            yield from literals(left)
            yield from literals(right)


def texts(source: Path) -> Iterator[tuple[int, list[list[str]]]]:
    """Line and literal parts of each text that a file raises."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            parts = [words for argument in node.exc.args for words in literals(argument) if words]
            if parts:
                yield node.lineno, parts


def runs(parts: list[list[str]]) -> set[str]:
    """Consecutive words of the parts: `WORDS` of them, or all of the longest part where none has so many."""
    count = min(WORDS, max(map(len, parts)))
    return {" ".join(words[start : start + count]) for words in parts for start in range(len(words) - count + 1)}


def test_every_text_of_an_error_stands_in_a_test():
    tested = " ".join(
        " ".join(re.sub(r"\\(.)", r"\1", node.value).split())
        for path in Path("tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    found = [(path, line, parts) for path in sorted(Path("jaxkd").rglob("*.py")) for line, parts in texts(path)]
    assert len(found) > 500
    assert [
        f"{path}:{line}: {' ... '.join(' '.join(words) for words in parts)}"
        for path, line, parts in found
        if not any(run in tested for run in runs(parts))
    ] == []
