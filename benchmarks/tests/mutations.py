"""Small faults that a test should notice: one operator, constant, call or statement of a source file changed."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_CALLS = {
    "maximum": "minimum",
    "minimum": "maximum",
    "max": "min",
    "min": "max",
    "argmax": "argmin",
    "argmin": "argmax",
    "any": "all",
    "all": "any",
    "sum": "mean",
    "mean": "sum",
    "floor": "ceil",
    "ceil": "floor",
    "zeros": "ones",
    "ones": "zeros",
    "zeros_like": "ones_like",
    "ones_like": "zeros_like",
    "log": "log1p",
    "exp": "expm1",
}
"""Names of NumPy's and JAX's functions that take the same arguments."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mutation:
    """A replacement in one source file."""

    path: str
    """File that is changed, relative to the root of the repository."""
    line: int
    """Line of the source, counted from 1."""
    scope: str
    """Top-level function or class that holds the change, or "" for a statement of the module itself."""
    start: int
    """First byte that is replaced."""
    end: int
    """First byte after it."""
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}  {_one_line(self.before)}  ->  {_one_line(self.after)}"

    def applied(self, source: bytes) -> bytes:
        """Return the source with the replacement made.

        Raises:
            ValueError: the source does not hold `before` at that position.
        """
        if source[self.start : self.end] != self.before.encode():
            raise ValueError(
                f"source must be the text that the mutation was made for, got another at {self.path}:{self.line}. "
                "List the mutations of it anew."
            )
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutations(path: str, source: str) -> tuple[Mutation, ...]:
    r"""List every mutation of a source file, in the order of its text.

    Docstrings, annotations, imports and messages are left alone: no test of behaviour can notice them.

    Args:
        path: path of the file, stored in each mutation.
        source: text of the file.

    Example:
        >>> for one in mutations("half.py", "def half(x):\n    return x / 2"):
        ...     print(one)
        half.py:2  x / 2  ->  (x * 2)
        half.py:2  2  ->  3
    """
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    encoded = source.encode()

    def at(scope: str, node: ast.expr | ast.stmt, after: str) -> Mutation:
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        return Mutation(
            path=path,
            line=node.lineno,
            scope=scope,
            start=start,
            end=end,
            before=encoded[start:end].decode(),
            after=after,
        )

    found = []
    for statement in ast.parse(source).body:
        scope = getattr(statement, "name", "")
        for node in _behaviour(statement):
            if isinstance(node, ast.Raise):
                found.append(at(scope, node, "pass"))
            elif isinstance(node, ast.expr):
                found += [at(scope, node, f"({ast.unparse(other)})") for other in _changed(node)]
    unbracketed = (
        dataclasses.replace(one, after=one.after[1:-1]) if one.before.isidentifier() or _is_number(one.before) else one
        for one in found
    )
    return tuple(sorted(unbracketed, key=lambda one: (one.start, one.end, one.after)))


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Walk the nodes that decide what a program computes."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.JoinedStr() | ast.Assert():
            return
        case ast.Expr(value=ast.Constant(value=str())):
            return
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return
        case ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec")):
            return
        case ast.Raise():
            yield node
            return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _behaviour(child)


def _changed(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(op=op) if type(op) in _OPERATORS and not _is_text(node):
            yield ast.BinOp(left=node.left, op=_OPERATORS[type(op)](), right=node.right)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield node.operand
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            yield ast.Compare(left=node.left, ops=[_COMPARISONS[type(op)]()], comparators=node.comparators)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(op=ast.And() if isinstance(op, ast.Or) else ast.Or(), values=values)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(test=test, body=orelse, orelse=body)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(value=not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value=value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value=2 * value if value else 1.0)
        case ast.Call(func=function, args=arguments):
            yield from _other_calls(node, function, arguments)


def _other_calls(node: ast.Call, function: ast.expr, arguments: list[ast.expr]) -> Iterator[ast.expr]:
    match function:
        case ast.Attribute(attr="stop_gradient") | ast.Name(id="stop_gradient" | "abs" | "reversed"):
            yield arguments[0]
        case ast.Attribute(attr="where") if len(arguments) == 3:
            condition, yes, no = arguments
            yield ast.Call(func=function, args=[condition, no, yes], keywords=node.keywords)
        case ast.Attribute(value=value, attr=name) if name in _CALLS:
            other = ast.Attribute(value=value, attr=_CALLS[name])
            yield ast.Call(func=other, args=arguments, keywords=node.keywords)
        case ast.Name(id=name) if name in _CALLS:
            yield ast.Call(func=ast.Name(id=_CALLS[name]), args=arguments, keywords=node.keywords)


def _is_text(node: ast.expr) -> bool:
    return any(
        isinstance(one, ast.JoinedStr) or (isinstance(one, ast.Constant) and isinstance(one.value, str))
        for one in ast.walk(node)
    )


def _is_number(text: str) -> bool:
    return isinstance(_parsed(text), ast.Constant)


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def of_folder(root: Path, folder: str) -> tuple[Mutation, ...]:
    """List the mutations of a package, or of a module if there is no package of that name.

    Args:
        root: root of the repository.
        folder: path relative to it, such as jaxkd/losses.
    """
    files = sorted((root / folder).rglob("*.py")) or [root / f"{folder}.py"]
    return tuple(
        mutation
        for file in files
        for mutation in mutations(str(file.relative_to(root)), file.read_text(encoding="utf-8"))
    )
