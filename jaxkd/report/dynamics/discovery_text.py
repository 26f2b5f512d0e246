"""Numbers and sentences about discovered equations, the same on the page and on the terminal."""

import math

from jaxkd.dynamics.validation.discovered import Discovered, FoundTerm
from jaxkd.report import cells

_DIGITS = 4
"""Number of significant digits of a coefficient."""

CALIBRATED = 0.8
"""Least coverage of calibrated 90 % intervals; below it they understate the uncertainty."""


def row(term: FoundTerm) -> dict[str, str]:
    """Return the text of a term's table cells."""
    interval, chosen = cells.NOTHING, "given"
    if term.inclusion is not None:
        interval = f"{significant(term.low)} to {significant(term.high)}"
        chosen = f"{percent(term.inclusion)} of draws"
    return {
        "term": term.term,
        "coefficient": significant(term.coefficient),
        "interval": interval,
        "chosen": chosen,
        "unit": term.unit or cells.NOTHING,
    }


def coverage(discovered: Discovered) -> tuple[str, str]:
    """Return a warning about the intervals, empty if they are calibrated, and a sentence on their coverage."""
    if discovered.coverage is None:
        return "", "How often such intervals hold what is true was not tried."
    if math.isnan(discovered.coverage):
        return "Intervals not calibrated", "simulations of the equations diverge."
    tried = (
        f"{discovered.simulations} simulations of these equations with this noise, in which they were looked for "
        f"again, {percent(discovered.coverage)} of the coefficients were within theirs."
    )
    if discovered.coverage < CALIBRATED:
        return "Intervals not calibrated at this noise", f"in {tried}"
    return "", f"In {tried}"


def percent(share: float) -> str:
    """Format a share in per cent."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def significant(value: float) -> str:
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
    return text.replace("-", "\N{MINUS SIGN}")
