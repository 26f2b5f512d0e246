"""Units of coefficients, from those of the columns."""

import re
from collections.abc import Mapping

import sympy

_FACTOR = re.compile(r"\s*(?P<before>[*/·]?)\s*(?P<name>[^\W\d_]+|[°%‰]\w*|1(?![\w.]))(?:(?:\^|\*\*)(?P<power>-?\d+))?")


_RADIAN = sympy.Symbol("rad", positive=True)


def unit_of(term: sympy.Expr, state: sympy.Symbol, time: str, units: Mapping[str, str]) -> str:
    """Unit of the coefficient of a term in d state / d time; empty if it cannot be determined.

    Args:
        term: the argument of a function other than abs, sign, max and min must have no unit, or be in radians.
            Summands must have one unit, which is also that of numbers among them, such as of 2 in `x / (2 + x)`.
        state: state whose rate of change has the term.
        time: name of the time column.
        units: units of the columns, such as `m/s`, `kg m^2` or `1/h`; any other text is one unit.

    Example:
        >>> x, v = sympy.symbols("x v")
        >>> unit_of(x**2 * v, v, "t", {"t": "s", "x": "m", "v": "m/s"})
        '1/(m^2*s)'
        >>> unit_of(sympy.sin(x), v, "t", {"t": "s", "x": "rad", "v": "rad/s"})
        'rad/s^2'
    """
    own, clock, product = (_measured(one, units) for one in (state, sympy.Symbol(time), term))
    if own is None or clock is None or product is None:
        return ""
    above, below = sympy.fraction(own / clock / product)
    bracketed = f"({below})" if below.is_Mul else str(below)
    return (str(above) if below == 1 else f"{above}/{bracketed}").replace("**", "^")


def _measured(expression: sympy.Expr, units: Mapping[str, str]) -> sympy.Expr | None:
    """Return the unit of an expression, None if unknown."""
    if expression.is_number or isinstance(expression, sympy.sign):
        return sympy.Integer(1)
    if isinstance(expression, sympy.Symbol):
        return _unit(units[str(expression)]) if str(expression) in units else None
    if isinstance(expression, sympy.Pow) and expression.exp.is_number:
        base = _measured(expression.base, units)
        return None if base is None else base**expression.exp
    sums = isinstance(expression, sympy.Add | sympy.Max | sympy.Min)
    arguments = [part for part in expression.args if isinstance(part, sympy.Expr)]
    parts = [_measured(part, units) for part in arguments if not (sums and part.is_number)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if isinstance(expression, sympy.Mul):
        return sympy.Mul(*known)
    if sums or isinstance(expression, sympy.Abs):
        return known[0] if len(set(known)) == 1 else None
    return sympy.Integer(1) if {*known} <= {sympy.Integer(1), _RADIAN} else None


def _unit(text: str) -> sympy.Expr:
    product, end = sympy.Integer(1), 0
    while match := _FACTOR.match(text, end):
        name = match["name"]
        factor = (sympy.Integer(1) if name == "1" else sympy.Symbol(name, positive=True)) ** int(match["power"] or 1)
        product = product / factor if match["before"] == "/" else product * factor
        end = match.end()
    return product if end == len(text.rstrip()) else sympy.Symbol(text, positive=True)
