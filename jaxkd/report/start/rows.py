"""Text of the table that shows models beside the start of their study."""

import dataclasses
import math

from jaxkd.evals.start_comparison import MeasureComparison, StartComparison, StartDifference
from jaxkd.report import cells

NOT_MEASURED = "not measured"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartRow:
    """One model's row of a measure; the first one is the start's."""

    label: str
    value: str
    difference: str = ""
    """Difference and interval, such as "+3.1 (0.4 to 5.9)"."""
    verdict: str = ""
    is_clear: bool = False
    """Whether the interval excludes 0, or there is a finding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartGroup:
    """Rows of one measure."""

    name: str
    unit: str
    """Unit and number of examples."""
    rows: tuple[StartRow, ...]


def groups(comparison: StartComparison) -> list[StartGroup]:
    """Format the rows of each measure, its start first; of a model without the metric, a dash."""
    return [
        StartGroup(
            name=one.name,
            unit=_unit(one),
            rows=(
                StartRow(label=comparison.start, value=_value(one, one.start), verdict=_start_verdict(one)),
                *(_row(one, model) for model in one.models),
            ),
        )
        for one in comparison.measures
    ]


def findings(comparison: StartComparison) -> list[tuple[str, list[str]]]:
    """Return the label of each model that was searched, and the lines that were found, by evaluator and seed."""
    evaluators = {one.evaluator for one in comparison.findings}
    several = len({seed for one in comparison.findings for seed in one.seeds}) > 1
    found: dict[str, list[str]] = {label: [] for label in comparison.searched}
    for one in comparison.findings:
        names = [one.evaluator] if len(evaluators) > 1 else []
        seeds = [f"seed {', '.join(map(str, one.seeds))}"] if several else []
        where = f"{', '.join(names + seeds)}: " if names or seeds else ""
        found[one.label].append(f"{where}{one.text}")
    return list(found.items())


def _row(measured: MeasureComparison, model: StartDifference) -> StartRow:
    return StartRow(
        label=model.label,
        value=_value(measured, model.value),
        difference=_difference(measured, model),
        verdict=model.verdict,
        is_clear=model.is_clear,
    )


def _unit(measured: MeasureComparison) -> str:
    return measured.measure.unit if not measured.examples else f"{measured.measure.unit}, n = {measured.examples:,}"


def _start_verdict(measured: MeasureComparison) -> str:
    return NOT_MEASURED if measured.evaluator is None else ""


def _scale(measured: MeasureComparison) -> float:
    return 100.0 if measured.measure.unit == "%" else 1.0


def _value(measured: MeasureComparison, value: float | None) -> str:
    if value is None or not math.isfinite(value) or measured.measure.unit != "%":
        return cells.number(value)
    return f"{100 * value:.1f}"


def _difference(measured: MeasureComparison, model: StartDifference) -> str:
    if model.difference is None or not math.isfinite(model.difference):
        return cells.number(model.difference)
    scale, interval = _scale(measured), model.interval
    ends = () if interval is None else (scale * interval.low, scale * interval.high)
    estimate = scale * model.difference
    places = 1 if measured.measure.unit == "%" else _places(max(map(abs, (estimate, *ends))))
    text = _signed(estimate, places, plus=True)
    if ends:
        low, high = (_signed(end, places) for end in ends)
        text += f" ({low} to {high})"
    return text


def _places(largest: float) -> int:
    """Number of decimals that shows three digits of the largest number."""
    return 0 if largest >= 100 else 3 if largest == 0 else min(max(2 - math.floor(math.log10(largest)), 0), 6)


def _signed(value: float, places: int, *, plus: bool = False) -> str:
    """Format with a minus sign, or with a plus sign if wanted; 0 has none."""
    text = f"{abs(value):.{places}f}"
    if not text.strip("0."):
        return text
    sign = "\N{MINUS SIGN}" if value < 0 else "+" if plus else ""
    return f"{sign}{text}"
