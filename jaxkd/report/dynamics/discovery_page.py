"""The report of discovered equations as one HTML file."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jaxkd.dynamics.validation.discovered import Discovered, FoundTerm
from jaxkd.dynamics.validation.trust import Check
from jaxkd.report import cells, document
from jaxkd.report.dynamics import discovery_figures

_DIGITS = 4
"""Number of significant digits of a coefficient."""

CALIBRATED = 0.8
"""Least coverage of calibrated 90 % intervals; below it they understate the uncertainty."""


def write_discovery(path: Path, discovered: Discovered) -> None:
    """Write the report atomically, replacing an existing file.

    Args:
        path: output file.
        discovered: equations, checks and data to show.
    """
    alarm, coverage = _coverage(discovered)
    document.write(
        path,
        "discovery.html.jinja",
        title=discovered.title,
        facts=discovered.facts.items(),
        found=discovered,
        equations=[
            (f"d{state}/d{discovered.time}", [_row(term) for term in terms])
            for state, terms in groupby(discovered.terms, key=lambda term: term.state)
        ],
        alarm=alarm,
        coverage=coverage,
        trusted=bool(discovered.checks) and all(one.holds for one in discovered.checks),
        verdict=_verdict(discovered.checks),
        drawings=_drawings(discovered),
        most_states=discovery_figures.STATES,
        beyond=discovery_figures.BEYOND,
    )


def _row(term: FoundTerm) -> dict[str, str]:
    """Return the text of a term's table cells."""
    interval, chosen = cells.NOTHING, "given"
    if term.inclusion is not None:
        interval = f"{_significant(term.low)} to {_significant(term.high)}"
        chosen = f"{_percent(term.inclusion)} of draws"
    coefficient = _significant(term.coefficient)
    unit = term.unit or cells.NOTHING
    return {"term": term.term, "coefficient": coefficient, "interval": interval, "chosen": chosen, "unit": unit}


def _coverage(discovered: Discovered) -> tuple[str, str]:
    """Return a warning about the intervals, empty if they are calibrated, and a sentence on their coverage."""
    if discovered.coverage is None:
        return "", "How often such intervals hold what is true was not tried."
    if math.isnan(discovered.coverage):
        return "Intervals not calibrated", "simulations of the equations diverge."
    tried = (
        f"{discovered.simulations} simulations of these equations with this noise, in which they were looked for "
        f"again, {_percent(discovered.coverage)} of the coefficients were within theirs."
    )
    if discovered.coverage < CALIBRATED:
        return "Intervals not calibrated at this noise", f"in {tried}"
    return "", f"In {tried}"


def _verdict(checks: Sequence[Check]) -> str:
    if not checks:
        return "Nothing was checked."
    failed = [f"“{one.question}”" for one in checks if not one.holds]
    if not failed:
        return f"All {len(checks)} checks hold." if len(checks) > 1 else "The one check holds."
    listed = " and ".join(part for part in (", ".join(failed[:-1]), failed[-1]) if part)
    return f"{len(failed)} of {len(checks)} checks {'does' if len(failed) == 1 else 'do'} not hold: {listed}"


def _drawings(discovered: Discovered) -> dict[str, str]:
    shown = discovered.states[: discovery_figures.STATES]
    return {
        "forecasts": discovery_figures.forecasts(discovered),
        "phase": discovery_figures.phase(discovered),
        "slopes": discovery_figures.slopes(discovered),
        "paths": discovery_figures.paths(discovered) if any(one.state in shown for one in discovered.paths) else "",
        "remainders": discovery_figures.remainders(discovered),
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _significant(value: float) -> str:
    """Format with four significant digits, and with a power of ten if there would be zeros to count."""
    if value == 0 or not math.isfinite(value):
        return cells.NOTHING if value else "0"
    digits, exponent = f"{value:.{_DIGITS - 1}e}".split("e")
    power = int(exponent)
    if -3 <= power < _DIGITS + 2:
        # Digits after the fourth become zeros: they are not significant.
        text = f"{float(f'{digits}e{exponent}'):.{max(_DIGITS - 1 - power, 0)}f}"
    else:
        text = f"{digits}e{power}"
    return text.replace("-", "−")
