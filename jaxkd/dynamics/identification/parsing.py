"""Parsing of terms, known parts and sign constraints from the command line."""

import difflib
from collections.abc import Sequence

import numpy as np
import sympy
from jaxtyping import Int
from sympy.core.function import AppliedUndef
from sympy.parsing.sympy_parser import parse_expr

from jaxkd.dynamics.identification.equations import Equations


def symbols(names: Sequence[str]) -> tuple[sympy.Symbol, ...]:
    """Symbols of columns, even if SymPy gives the name another meaning."""
    return tuple(sympy.Symbol(name) for name in names)


def expression(text: str, variables: Sequence[sympy.Symbol]) -> sympy.Expr:
    """Parse `x*y`, `sin(2*x)`, `x**2 / (1 + x**2)`: Python's operators, SymPy's functions, and the variables' names.

    Raises:
        ValueError: text that is not an expression, or an unknown name.
    """
    names = {str(variable): variable for variable in variables}
    try:
        parsed = parse_expr(text, local_dict=dict(names))
    except (SyntaxError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"terms must be expressions such as x*y or sin(x), got {text!r}: {error}.") from error
    if not isinstance(parsed, sympy.Expr):
        raise ValueError(f"terms must be expressions such as x*y or sin(x), got {text!r}.")
    others = {str(symbol) for symbol in parsed.free_symbols - set(variables)}
    others |= {str(call.func) for call in parsed.atoms(AppliedUndef)}
    if others:
        other = min(others)
        near = difflib.get_close_matches(other, [*names, "sin", "cos", "exp", "tanh", "sqrt", "log"], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"terms must be made of {', '.join(names)}, got {other} in {text!r}.{hint}")
    return parsed


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
