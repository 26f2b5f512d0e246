"""Result of a benchmark: rows of a table, each with the bar that it has to pass."""

import dataclasses
import math
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self, get_args

from benchmarks.environment import Environment

Relation = Literal["<", "<=", ">", ">="]

_COMPARE: Mapping[Relation, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """Bound that a figure must satisfy, as in `< 0.3`."""

    relation: Relation
    limit: float

    def __post_init__(self) -> None:
        if self.relation not in _COMPARE:
            raise ValueError(f"relation must be one of {', '.join(get_args(Relation))}, got {self.relation!r}.")

    def __str__(self) -> str:
        return f"{self.relation} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Whether `value` passes."""
        return bool(_COMPARE[self.relation](value, self.limit))  # a NumPy value gives a NumPy bool, which is no JSON


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One figure."""

    figure: str
    """Description of the measured quantity."""
    value: float
    unit: str
    bar: Bar | None = None
    """Bound on `value`; None: reported, not judged."""
    samples: tuple[float, ...] = ()
    """Repetitions whose median is `value`; empty for a single measurement."""
    interval: tuple[float, float] | None = None
    """Bounds of a share with 95 % confidence."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"value must be finite, got {self.value} for {self.figure!r}. Leave the row out.")

    @classmethod
    def median(cls, figure: str, samples: Sequence[float], unit: str, *, bar: Bar | None = None) -> Self:
        """Return the row of repeated measurements."""
        return cls(figure=figure, value=statistics.median(samples), unit=unit, bar=bar, samples=tuple(samples))

    @classmethod
    def share(cls, figure: str, outcomes: Sequence[bool], *, bar: Bar | None = None) -> Self:
        """Return the row of a share of independent trials, with Wilson's interval."""
        from scipy.stats import binomtest

        right = sum(map(bool, outcomes))
        interval = binomtest(right, len(outcomes)).proportion_ci(0.95, method="wilson")
        value = right / len(outcomes)
        return cls(figure=figure, value=value, unit="", bar=bar, interval=(float(interval.low), float(interval.high)))

    @property
    def holds(self) -> bool | None:
        """Whether the bar holds; None without a bar."""
        return None if self.bar is None else self.bar.holds(self.value)

    @property
    def spread(self) -> tuple[float, float] | None:
        """Lowest and highest repetition; None for a single measurement."""
        return (min(self.samples), max(self.samples)) if self.samples else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Result of a benchmark."""

    rows: tuple[Row, ...]
    environment: Environment
    """Environment of the measured interpreter, which need not be the one that runs the benchmark."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A named measurement."""

    name: str
    summary: str
    """One line for `--list`."""
    measure: Callable[[bool], Measured]
    """Function that measures, given whether a quick look is enough: fewer repetitions, or fewer rows."""
