"""Parsing of terms, known parts and sign constraints from the command line.

Text is never evaluated: a SymPy expression is built from the nodes of its syntax tree, of which only names, numbers,
arithmetic and the functions listed here are accepted.
"""

import ast
import difflib
import math
import operator
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from jaxtyping import Int

from jaxkd.dynamics.identification.equations import Equations

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    name: getattr(sympy, name)
    for name in (
        *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        *("exp", "log", "sqrt", "sign", "Abs", "Max", "Min"),
    )
} | {"abs": sympy.Abs, "max": sympy.Max, "min": sympy.Min}
"""Functions of expressions, all of which JAX has."""

CONSTANTS: Mapping[str, sympy.Expr] = {"pi": sympy.pi, "E": sympy.E}
"""Numbers with a name, unless a variable has it."""

LARGEST_POWER = 20
"""Largest absolute value of an exponent, also of a power of a power."""

MOST_TERMS = 10_000
"""Maximum number of terms of an expression that is multiplied out."""

LONGEST = 1_000
"""Maximum number of characters of an expression."""

_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_BITS = 1024
"""Maximum bits of a numerator or denominator after a power; doubles hold no larger number."""


def symbols(names: Sequence[str]) -> tuple[sympy.Symbol, ...]:
    """Symbols of columns, even if SymPy gives the name another meaning."""
    return tuple(sympy.Symbol(name) for name in names)


def expression(text: str, variables: Sequence[sympy.Symbol]) -> sympy.Expr:
    """Parse `x*y`, `sin(2*x)`, `x**2 / (1 + x**2)`: arithmetic, numbers, `FUNCTIONS`, and the variables' names.

    Raises:
        ValueError: text that is not such an expression, an unknown name, an exponent that is not a number of at most
            `LARGEST_POWER`, or a number that is too large for a double.
    """
    if len(text) > LONGEST:
        raise ValueError(
            f"terms must have at most {LONGEST} characters, got {len(text)}: {text[:40]!r}... Split the sum into terms."
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return _Reader(text.strip(), variables).read(tree.body)[0]
    except SyntaxError as error:
        raise _invalid(text, error.msg) from error
    except (RecursionError, MemoryError) as error:
        raise _invalid(text, "too deeply nested") from error


class _Reader:
    """Builds an expression from the syntax tree of its text."""

    def __init__(self, text: str, variables: Sequence[sympy.Symbol]) -> None:
        self.text = text
        # Python's grammar normalises identifiers.
        self.variables = {unicodedata.normalize("NFKC", str(variable)): variable for variable in variables}

    def read(self, node: ast.expr) -> tuple[sympy.Expr, int]:
        """Return the expression, and how many terms it has at most when multiplied out."""
        match node:
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                written, terms = self._number(node), 1
            case ast.Name():
                written, terms = self._name(node.id), 1
            case ast.UnaryOp(op=ast.UAdd() | ast.USub()):
                inner, terms = self.read(node.operand)
                written = -inner if isinstance(node.op, ast.USub) else inner
            case ast.BinOp(op=ast.Pow()):
                written, terms = self._power(node)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                (left, ours), (right, theirs) = self.read(node.left), self.read(node.right)
                if isinstance(node.op, ast.Div) and right == 0:
                    raise _invalid(self.text, "it divides by 0")
                written = _OPERATORS[type(node.op)](left, right)
                terms = ours + theirs if isinstance(node.op, ast.Add | ast.Sub) else ours * theirs
            case ast.BinOp(op=ast.BitXor()):
                raise _invalid(self.text, "a power is written x**2")
            case ast.Call(func=ast.Name()) if not node.keywords:
                written, terms = self._call(node), 1
            case _:
                raise _invalid(self.text, f"{ast.get_source_segment(self.text, node)!r} is no arithmetic")
        if terms > MOST_TERMS:
            raise _invalid(self.text, f"it has more than {MOST_TERMS:,} terms when multiplied out")
        if written.is_number:
            _require_finite(written, self.text)
        return written, terms

    def _number(self, node: ast.Constant) -> sympy.Expr:
        if isinstance(node.value, int):
            return sympy.Integer(node.value)
        # All digits, as they are written.
        digits = ast.get_source_segment(self.text, node) or repr(node.value)
        return sympy.Float(digits.replace("_", ""))

    def _name(self, name: str) -> sympy.Expr:
        if name in self.variables:
            return self.variables[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        raise self._unknown(name)

    def _unknown(self, name: str) -> ValueError:
        near = difflib.get_close_matches(name, [*self.variables, *FUNCTIONS], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        names = ", ".join(map(str, self.variables.values()))
        return ValueError(f"terms must be made of {names}, got {name} in {self.text!r}.{hint}")

    def _power(self, node: ast.BinOp) -> tuple[sympy.Expr, int]:
        (base, terms), (exponent, _) = self.read(node.left), self.read(node.right)
        if not exponent.is_Number or abs(float(exponent)) > LARGEST_POWER:
            raise _invalid(self.text, f"exponents must be numbers of at most {LARGEST_POWER}")
        size = abs(float(exponent))
        if isinstance(base, sympy.Rational) and max(int(base.p).bit_length(), int(base.q).bit_length()) * size > _BITS:
            raise _invalid(self.text, "a number in it is too large")
        if base == 0 and exponent < 0:
            raise _invalid(self.text, "it divides by 0")
        written = base**exponent
        if isinstance(written, sympy.Pow) and abs(written.exp) > LARGEST_POWER:
            raise _invalid(self.text, f"exponents must be numbers of at most {LARGEST_POWER}")
        return written, math.comb(terms + math.ceil(size) - 1, math.ceil(size)) if terms > 1 else 1

    def _call(self, node: ast.Call) -> sympy.Expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            raise self._unknown(name)
        several = name.lower() in ("max", "min")
        if not node.args or (len(node.args) > 1 and not several):
            takes = "at least one value" if several else "one value"
            raise _invalid(self.text, f"{name} takes {takes}, got {len(node.args)}")
        return FUNCTIONS[name](*(self.read(argument)[0] for argument in node.args))


def _require_finite(number: sympy.Expr, text: str) -> None:
    """Require a number of double precision, before the next operation can make it larger."""
    try:
        finite = math.isfinite(float(number))
    except TypeError:  # complex
        finite = False
    if not finite:
        raise _invalid(text, "a number in it is not finite and real")


def _invalid(text: str, reason: str) -> ValueError:
    return ValueError(f"terms must be expressions such as x*y or sin(x), got {text!r}: {reason}.")


def known(texts: Sequence[str], states: tuple[sympy.Symbol, ...], inputs: tuple[sympy.Symbol, ...]) -> Equations | None:
    """Parse `x = v`: dx/dt has the part v, with this coefficient.  None if there are no texts.

    Raises:
        ValueError: text that is not such an equation, or the same state twice.
    """
    parts: dict[sympy.Symbol, sympy.Expr] = {}
    for text in texts:
        name, equals, right = text.partition("=")
        state = next((state for state in states if str(state) == name.strip()), None)
        if state is None or not equals or state in parts:
            names = ", ".join(map(str, states))
            raise ValueError(f"known must be such as 'x = v - 0.5*x', once for a state of {names}, got {text!r}.")
        parts[state] = expression(right, (*states, *inputs))
    if not parts:
        return None
    return Equations.of([parts.get(state, sympy.Integer(0)) for state in states], states, inputs)


def signs(
    texts: Sequence[str],
    terms: tuple[sympy.Expr, ...],
    states: tuple[sympy.Symbol, ...],
    inputs: tuple[sympy.Symbol, ...],
) -> Int[np.ndarray, "terms states"] | None:
    """Parse `v: x*y < 0`: the coefficient of x*y in dv/dt is not positive.  None if there are no texts.

    Raises:
        ValueError: text that is not such a constraint, or a term that is not in `terms`.
    """
    table = np.zeros((len(terms), len(states)), int)
    for text in texts:
        name, colon, rest = text.partition(":")
        term, relation, bound = rest.partition("<" if "<" in rest else ">")
        state = next((column for column, state in enumerate(states) if str(state) == name.strip()), None)
        if state is None or not colon or not relation or bound.strip() != "0":
            raise ValueError(
                f"signs must be such as 'v: x*y < 0', of a state of {', '.join(map(str, states))}, got {text!r}."
            )
        parsed = expression(term, (*states, *inputs))
        if parsed not in terms:
            raise ValueError(f"signs must be of terms of the library, got {parsed} in {text!r}. Add it with --terms.")
        table[terms.index(parsed), state] = -1 if relation == "<" else 1
    return table if texts else None
