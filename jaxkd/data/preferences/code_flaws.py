"""Flaws of a Python function that its source alone shows, without a run or a reference solution."""

import ast
import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeAlias

Flaw: TypeAlias = Literal["syntax", "repeated", "unreachable", "unused", "same_operands", "no_return", "read_early"]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

Nodes: TypeAlias = Sequence[ast.AST]
"""All nodes of a function, including it."""

ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_POINTLESS = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr, ast.BitXor)
"""Operators that are pointless on two equal operands."""
DEEPEST = 200
"""Levels of nested nodes that are checked: the checks recurse, and Python allows a thousand calls."""
_SAYS_RETURN = re.compile(r"\s*Returns?\b", re.IGNORECASE)


def flaws(function: str) -> tuple[Flaw, ...]:
    r"""Return the kinds of flaws of a function, in the order of `Flaw`; empty if there are none.

    - `syntax`: it does not parse, is not one function with a body besides its docstring, or nests expressions deeper
      than people write.  No other is then reported.
    - `repeated`: a statement twice in a row.
    - `unreachable`: a statement after a `return`, `raise`, `continue` or `break` in its own block.
    - `unused`: a parameter, or a variable that an assignment binds, that nothing reads.  `self`, `cls`, `*args`,
      `**kwargs` and names that begin with an underscore are exempt.
    - `same_operands`: a comparison, conjunction or difference of an expression and itself, or its assignment to itself.
    - `no_return`: the docstring begins with "Return", and no value is returned or yielded.
    - `read_early`: a variable that is read before it is first bound.

    Args:
        function: source code, from `def` on.

    Source: inferred; pyflakes and pylint have similar warnings.

    Example:
        >>> flaws('def double(number):\n    "Return twice the number."\n    twice = number - number')
        ('unused', 'same_operands', 'no_return')
    """
    found = parsed(function)
    if found is None:
        return ("syntax",)
    nodes = list(ast.walk(found))
    return tuple(flaw for flaw, holds in _CHECKS.items() if holds(found, nodes))


def parsed(function: str) -> Function | None:
    """Parse a text of one function with a body besides its docstring; None for any other text."""
    try:
        with warnings.catch_warnings():
            # Invalid escapes are not checked here.
            warnings.simplefilter("ignore")
            tree = ast.parse(function)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match tree.body:
        case [ast.FunctionDef() | ast.AsyncFunctionDef() as found] if _is_shallow(found):
            documented = ast.get_docstring(found, clean=False) is not None
            return found if len(found.body) > documented else None
    return None


def _is_shallow(node: ast.AST) -> bool:
    """Return whether at most `DEEPEST` nodes lie within one another, without recursion."""
    level = [node]
    for _ in range(DEEPEST):
        level = [child for one in level for child in ast.iter_child_nodes(one)]
        if not level:
            return True
    return False


def blocks(nodes: Nodes) -> Iterator[list[ast.stmt]]:
    """Yield the statement lists of some nodes."""
    for node in nodes:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                yield block


def operands(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """Return pairs of operands that should not be equal."""
    match node:
        case ast.Compare(left=left, comparators=[right]):
            return [(left, right)]
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _POINTLESS):
            return [(left, right)]
        case ast.BoolOp(values=values):
            return list(itertools.pairwise(values))
        case ast.Assign(targets=[target], value=value):
            return [(target, value)]
    return []


def parameters(function: Function) -> list[str]:
    """Return the parameters, passed by name or position, that should be read."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of the function itself, not of nested ones."""
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, _SCOPES):
            left.extend(ast.iter_child_nodes(node))


def returns(function: Function) -> list[ast.AST]:
    """Return the nodes that return or yield a value."""
    return [
        node
        for node in own_nodes(function)
        if isinstance(node, ast.Yield | ast.YieldFrom) or (isinstance(node, ast.Return) and node.value is not None)
    ]


def says_return(function: Function) -> bool:
    """Whether the docstring promises a value."""
    return _SAYS_RETURN.match(ast.get_docstring(function) or "") is not None


def _repeated(function: Function, nodes: Nodes) -> bool:
    del function
    return any(_alike(one, two, ast.dump) for block in blocks(nodes) for one, two in itertools.pairwise(block))


def _unreachable(function: Function, nodes: Nodes) -> bool:
    del function
    return any(isinstance(statement, ENDS) for block in blocks(nodes) for statement in block[:-1])


def _unused(function: Function, nodes: Nodes) -> bool:
    read = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)}
    elsewhere = _declared(nodes)
    bound = [
        target.id
        for node in own_nodes(function)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and not target.id.startswith("_") and target.id not in elsewhere
    ]
    return any(name not in read for name in (*parameters(function), *bound))


def _same_operands(function: Function, nodes: Nodes) -> bool:
    del function
    # Not `ast.dump`: it distinguishes assigned from read names.
    return any(_alike(one, two, ast.unparse) for node in nodes for one, two in operands(node))


def _no_return(function: Function, nodes: Nodes) -> bool:
    del nodes
    return says_return(function) and not returns(function)


def _read_early(function: Function, nodes: Nodes) -> bool:
    order = _Order()
    for statement in function.body:
        order.visit(statement)
    bound = {name for name, binds in order.uses if binds}
    seen = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)} | _declared(nodes)
    for name, binds in order.uses:
        if not binds and name in bound and name not in seen:
            return True
        seen.add(name)
    return False


def _alike(one: ast.AST, two: ast.AST, written: Callable[[ast.AST], str]) -> bool:
    return type(one) is type(two) and written(one) == written(two)


def _declared(nodes: Nodes) -> set[str]:
    """Return names that belong to an outer scope."""
    return {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}


class _Order(ast.NodeVisitor):
    """Names of one scope, in the order in which it reads and binds them."""

    def __init__(self) -> None:
        self.uses: list[tuple[str, bool]] = []
        """Pairs of a name and whether it is bound there."""

    def visit_Name(self, node: ast.Name) -> None:
        self.uses.append((node.id, isinstance(node.ctx, ast.Store)))

    def visit_Assign(self, node: ast.Assign) -> None:
        self._each(node.value, *node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._each(node.value, node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.uses.append((node.target.id, False))
        self._each(node.value, node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._each(node.value, node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._each(node.iter, node.target, *node.body, *node.orelse)

    visit_AsyncFor = visit_For

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        self._bound(node.name)
        self._each(*node.body)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self._bound((alias.asname or alias.name).split(".")[0])

    visit_ImportFrom = visit_Import

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.pattern is not None:
            self.visit(node.pattern)
        self._bound(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        self._bound(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        self._bound(node.rest)

    def generic_visit(self, node: ast.AST) -> None:
        # An inner scope runs when it is called, and a comprehension has its own names.
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._bound(node.name)
        elif not isinstance(node, (*_SCOPES, *_COMPREHENSIONS)):
            super().generic_visit(node)

    def _each(self, *nodes: ast.AST) -> None:
        for node in nodes:
            self.visit(node)

    def _bound(self, name: str | None) -> None:
        if name is not None:
            self.uses.append((name, True))


_CHECKS: dict[Flaw, Callable[[Function, Nodes], bool]] = {
    "repeated": _repeated,
    "unreachable": _unreachable,
    "unused": _unused,
    "same_operands": _same_operands,
    "no_return": _no_return,
    "read_early": _read_early,
}
