"""Units of coefficients, from those of the columns."""

import re
from collections.abc import Mapping

import sympy

_FACTOR = re.compile(r"\s*(?P<before>[*/·]?)\s*(?P<name>[^\W\d_]+|[°%‰]\w*|1(?![\w.]))(?:(?:\^|\*\*)(?P<power>-?\d+))?")


def unit_of(term: sympy.Expr, state: sympy.Symbol, time: str, units: Mapping[str, str]) -> str:
    """Unit of the coefficient of a term in d state / d time; empty if it cannot be determined.

    Args:
        term: a product of powers; the argument of a function, such as sin(x), must be a number without a unit.
        state: state whose rate of change has the term.
        time: name of the time column.
        units: units of the columns, such as `m/s`, `kg m^2` or `1/h`; any other text is one unit.

    Example:
        >>> x, v = sympy.symbols("x v")
        >>> unit_of(x**2 * v, v, "t", {"t": "s", "x": "m", "v": "m/s"})
        '1/(m^2*s)'
    """
    powers = term.as_powers_dict()
    symbols = [*powers, state, sympy.Symbol(time)]
    if not all(symbol.is_Symbol and str(symbol) in units for symbol in symbols if symbol != 1):
        return ""
    unit = {symbol: _unit(units[str(symbol)]) for symbol in symbols if symbol != 1}
    product = sympy.Mul(*(unit[symbol] ** power for symbol, power in powers.items() if symbol != 1))
    above, below = sympy.fraction(unit[state] / unit[sympy.Symbol(time)] / product)
    bracketed = f"({below})" if below.is_Mul else str(below)
    return (str(above) if below == 1 else f"{above}/{bracketed}").replace("**", "^")


def _unit(text: str) -> sympy.Expr:
    product, end = sympy.Integer(1), 0
    while match := _FACTOR.match(text, end):
        name = match["name"]
        factor = (sympy.Integer(1) if name == "1" else sympy.Symbol(name, positive=True)) ** int(match["power"] or 1)
        product = product / factor if match["before"] == "/" else product * factor
        end = match.end()
    return product if end == len(text.rstrip()) else sympy.Symbol(text, positive=True)
