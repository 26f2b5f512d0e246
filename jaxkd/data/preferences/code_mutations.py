"""Mutations that put one flaw into a function."""

import ast
import io
import itertools
import tokenize
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from jaxkd.data.preferences.code_flaws import (
    ENDS,
    Flaw,
    Function,
    blocks,
    flaws,
    operands,
    parameters,
    parsed,
    returns,
    says_return,
)

Edit: TypeAlias = tuple[int, int, bytes]
"""Start and end of a range of bytes, and its replacement."""

_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Delete, ast.Assert, *ENDS)
"""Statements without a block of their own."""
_SIGNS = frozenset("()[]{}:")
_MOST_READS = 2
"""Maximum number of reads to replace: more would change too much."""


def mutations(head: str, body: str, flaw: Flaw, *, order: Callable[[str], str]) -> Iterator[str]:
    r"""Yield the bodies, one edit away from a function's body, that have this flaw and no other.

    Args:
        head: signature and docstring, unchanged.
        body: body without a flaw.
        flaw: flaw to put in.
        order: sort key of the edits.

    Example:
        >>> next(mutations("def last(items):", "    items = items[1:]\n    return items", "unreachable", order=str))
        '    return items\n    items = items[1:]'
    """
    whole = f"{head}\n{body}"
    function = parsed(whole)
    if function is None:
        return
    source = _Source(whole, len(head.encode()) + 1)
    for edited in sorted({source.edited(edits) for edits in _EDITS[flaw](function, source)}, key=order):
        if flaws(edited) == (flaw,):
            yield edited[len(head) + 1 :]


class _Source:
    """Source of a function, by the nodes of its tree."""

    def __init__(self, text: str, start: int):
        self.text, self.start = text, start
        """Byte offset of the body: nothing before it is edited."""
        self._bytes = text.encode()
        self._lines = [0]
        for line in self._bytes.split(b"\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)

    def place(self, line: int, column: int) -> int:
        """Return the byte offset of a line, from 1, and a column."""
        return self._lines[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        if node.end_lineno is None or node.end_col_offset is None:
            raise ValueError(f"node must come from a source, got {ast.dump(node)}.")
        return self.place(node.lineno, node.col_offset), self.place(node.end_lineno, node.end_col_offset)

    def of(self, node: ast.expr | ast.stmt) -> bytes:
        start, end = self.span(node)
        return self._bytes[start:end]

    def between(self, one: ast.stmt, two: ast.stmt) -> bytes:
        return self._bytes[self.span(one)[1] : self.span(two)[0]]

    def copied(self, one: ast.expr | ast.stmt, over: ast.expr | ast.stmt) -> Edit:
        """Replace the text of `over` by that of `one`."""
        return (*self.span(over), self.of(one))

    def in_body(self, node: ast.expr | ast.stmt) -> bool:
        return self.span(node)[0] >= self.start

    def edited(self, edits: Sequence[Edit]) -> str:
        parts, at = [], 0
        for start, end, new in sorted(edits):
            parts += [self._bytes[at:start], new]
            at = end
        return b"".join([*parts, self._bytes[at:]]).decode()


_Edits: TypeAlias = Iterator[Sequence[Edit]]


def _signs(function: Function, source: _Source) -> _Edits:
    """Leave out or double a bracket or a colon."""
    del function
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type != tokenize.OP or token.string not in _SIGNS:
            continue
        line, column = token.start
        start = source.place(line, len(token.line[:column].encode()))
        if start >= source.start:
            yield [(start, start + 1, b"")]
            yield [(start, start + 1, 2 * token.string.encode())]


def _copies(function: Function, source: _Source) -> _Edits:
    """Replace a statement by a neighbour."""
    for one, two in _neighbours(function, source):
        yield [source.copied(one, two)]
        yield [source.copied(two, one)]


def _swaps(function: Function, source: _Source) -> _Edits:
    """Swap two statements."""
    for one, two in _neighbours(function, source):
        yield [source.copied(one, two), source.copied(two, one)]


def _forgotten(function: Function, source: _Source) -> _Edits:
    """Replace the reads of one variable by another."""
    named = [node for node in ast.walk(function) if isinstance(node, ast.Name) and source.in_body(node)]
    local = {node.id for node in named if isinstance(node.ctx, ast.Store)} | set(parameters(function))
    for name in local:
        reads = [node for node in named if node.id == name and isinstance(node.ctx, ast.Load)]
        if len(reads) <= _MOST_READS:
            for other in local - {name}:
                yield [(*source.span(node), other.encode()) for node in reads]


def _same(function: Function, source: _Source) -> _Edits:
    """Replace an operand by the other."""
    for node in ast.walk(function):
        for one, two in operands(node):
            if source.in_body(one):
                yield [source.copied(one, two)]
                if not isinstance(node, ast.Assign):
                    yield [source.copied(two, one)]


def _dropped_returns(function: Function, source: _Source) -> _Edits:
    """Compute returned values but drop them."""
    given = returns(function)
    if says_return(function):
        yield [
            (source.span(node)[0], source.span(node.value)[0], b"")
            for node in given
            if isinstance(node, ast.Return) and node.value is not None
        ]


def _neighbours(function: Function, source: _Source) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Yield adjacent simple statements with only white space in between."""
    for block in blocks(list(ast.walk(function))):
        for one, two in itertools.pairwise(block):
            simple = isinstance(one, _SIMPLE) and isinstance(two, _SIMPLE)
            if simple and source.in_body(one) and not source.between(one, two).strip():
                yield one, two


_EDITS: dict[Flaw, Callable[[Function, _Source], _Edits]] = {
    "syntax": _signs,
    "repeated": _copies,
    "unreachable": _swaps,
    "unused": _forgotten,
    "same_operands": _same,
    "no_return": _dropped_returns,
    "read_early": _swaps,
}
