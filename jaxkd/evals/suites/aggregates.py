"""Aggregates over tasks: `sum` and `mean` of metrics, parsed and never executed."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

_PIECE = re.compile(r"\s*(?:(?P<call>\w+)\s*\(|(?P<term>[\w-]+\.[\w@-]+)|(?P<sign>[,)])|(?P<other>\S.*))", re.DOTALL)
_FUNCTIONS = ("sum", "mean")
_DEEPEST = 20
"""Calls inside one another."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregated:
    """Value of an aggregate over the terms that exist."""

    value: float | None
    """None if no term exists."""
    missing: tuple[str, ...] = ()
    """Terms without a value, which are left out."""

    @property
    def partial(self) -> bool:
        """Whether terms are missing, so that the value compares with no complete one."""
        return bool(self.missing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """Sum or mean of terms and calls."""

    function: Literal["sum", "mean"]
    arguments: tuple["str | Call", ...]


Expression: TypeAlias = str | Call
"""A term `TASK.METRIC`, or a call."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A named expression over the metrics of tasks."""

    name: str
    expression: Expression

    @property
    def terms(self) -> tuple[str, ...]:
        """Terms `TASK.METRIC` in the order of the text."""
        return tuple(_terms(self.expression))

    def of(self, values: Mapping[str, float | None]) -> Aggregated:
        """Compute the aggregate.

        Args:
            values: value of each term; a term that is None or not there is left out and named.
        """
        missing = tuple(term for term in self.terms if values.get(term) is None)
        return Aggregated(value=_value(self.expression, values), missing=missing)


def parse(text: str) -> Expression:
    """Parse an expression such as `sum(T1.accuracy, mean(T4.rouge_l, T4.judge4))`.

    Raises:
        ValueError: anything but `sum`, `mean` and terms `TASK.METRIC`.

    Example:
        >>> Aggregate(name="SUM", expression=parse("sum(T1.accuracy, T2.accuracy)")).of({"T1.accuracy": 80.0})
        Aggregated(value=80.0, missing=('T2.accuracy',))
    """
    pieces = list(_PIECE.finditer(text.strip()))
    pieces.reverse()
    expression = _expression(pieces, text, depth=0)
    if pieces:
        raise _unexpected(text, pieces[-1].group().strip())
    return expression


def _expression(pieces: list[re.Match[str]], text: str, *, depth: int) -> Expression:
    piece = pieces.pop() if pieces else None
    if piece is None or depth > _DEEPEST:
        raise _unexpected(text, "its end" if piece is None else f"more than {_DEEPEST} calls inside one another")
    if piece["term"] is not None:
        return piece["term"]
    if piece["call"] not in _FUNCTIONS:
        raise _unexpected(text, piece.group().strip())
    arguments = [_expression(pieces, text, depth=depth + 1)]
    while (sign := pieces.pop() if pieces else None) is not None and sign["sign"] == ",":
        arguments.append(_expression(pieces, text, depth=depth + 1))
    if sign is None or sign["sign"] != ")":
        raise _unexpected(text, "its end" if sign is None else sign.group().strip())
    return Call(function="sum" if piece["call"] == "sum" else "mean", arguments=tuple(arguments))


def _unexpected(text: str, found: str) -> ValueError:
    return ValueError(
        f"an aggregate must consist of sum(...), mean(...) and terms TASK.METRIC, got {found!r} in {text!r}. It is "
        "parsed and never executed."
    )


def _terms(expression: Expression) -> Iterator[str]:
    if isinstance(expression, str):
        yield expression
    else:
        for argument in expression.arguments:
            yield from _terms(argument)


def _value(expression: Expression, values: Mapping[str, float | None]) -> float | None:
    if isinstance(expression, str):
        return values.get(expression)
    found = [value for argument in expression.arguments if (value := _value(argument, values)) is not None]
    if not found:
        return None
    return sum(found) if expression.function == "sum" else sum(found) / len(found)
