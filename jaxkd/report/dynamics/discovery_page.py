"""The report of equations that were found in measured data, as one HTML file."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jaxkd.dynamics.validation.discovered import Discovered, FoundTerm
from jaxkd.dynamics.validation.trust import Check
from jaxkd.report import cells, document
from jaxkd.report.document import escaped
from jaxkd.report.dynamics import discovery_figures

_DIGITS = 4
"""Of a coefficient."""

CALIBRATED = 0.8
"""Of intervals of 90 %: below it they say too little of what is not known."""


def write_discovery(path: Path, discovered: Discovered) -> None:
    """Write the report, whole or not at all; a report that is there is replaced.

    Args:
        path: of the file.
        discovered: what it shows.
    """
    body = [
        document.head(discovered.title, facts=discovered.facts.items()),
        _equations(discovered),
        _trust(discovered.checks),
        _warnings(discovered.warnings),
        _figures(discovered),
        _to_take(discovered),
    ]
    document.write(path, title=discovered.title, body=body)


def _equations(discovered: Discovered) -> str:
    lines = "".join(f"<code>{escaped(line)}</code>" for line in discovered.equations.splitlines())
    table = _table(discovered) if discovered.terms else ""
    return f'<section><h2>Equations</h2><div class="equations">{lines}</div>{table}</section>'


def _table(discovered: Discovered) -> str:
    names = ["equation", "term", "coefficient", "90\N{NO-BREAK SPACE}% interval", "chosen in", "unit"]
    united = any(term.unit for term in discovered.terms)
    # A column without a single unit says nothing.
    head = "".join(f'<th scope="col">{name}</th>' for name in (names if united else names[:-1]))
    body = ""
    for state, terms in groupby(discovered.terms, key=lambda term: term.state):
        rows = [_row(term, united=united) for term in terms]
        rate = escaped(f"d{state}/d{discovered.time}")
        equation = f'<th scope="rowgroup" rowspan="{len(rows)}">{rate}</th>'
        body += f"<tbody><tr>{equation}{'</tr><tr>'.join(rows)}</tr></tbody>"
    return (
        f'<div class="scroll"><table class="terms"><thead><tr>{head}</tr></thead>{body}</table></div>'
        f'<p class="note">{_intervals(discovered)}</p>'
    )


def _intervals(discovered: Discovered) -> str:
    meaning = "An interval is what other trajectories would have given, had these terms been chosen."
    if discovered.coverage is None:
        return f"{meaning} How often such intervals hold what is true was not tried."
    if math.isnan(discovered.coverage):
        return f"{meaning} <strong>Intervals not calibrated</strong>: simulations of the equations diverge."
    tried = (
        f"{discovered.simulations} simulations of these equations with this noise, in which they were looked for "
        f"again, {_percent(discovered.coverage)} of the coefficients were within theirs."
    )
    if discovered.coverage < CALIBRATED:
        return f"{meaning} <strong>Intervals not calibrated at this noise</strong>: in {tried}"
    return f"{meaning} In {tried}"


def _row(term: FoundTerm, *, united: bool) -> str:
    if term.inclusion is None:
        interval, chosen = cells.NOTHING, "given"
    else:
        interval = f"{_significant(term.low)} to {_significant(term.high)}"
        chosen = f"{_percent(term.inclusion)} of draws"
    unit = f"<td>{escaped(term.unit) or cells.NOTHING}</td>" if united else ""
    return (
        f'<td class="term">{escaped(term.term)}</td><td class="coefficient">{_significant(term.coefficient)}</td>'
        f"<td>{interval}</td><td>{chosen}</td>{unit}"
    )


def _trust(checks: Sequence[Check]) -> str:
    items = "".join(
        f'<li class="{_kind(one.holds)}">{_mark(one.holds)}<div><h3>{escaped(one.question)}</h3>'
        f'<p>{escaped(one.found)} <span class="note">(to hold: {escaped(one.bar)})</span></p></div></li>'
        for one in checks
    )
    items = f'<ul class="checks">{items}</ul>' if items else ""
    kind = _kind(bool(checks) and all(one.holds for one in checks))
    verdict = f'<p class="verdict {kind}">{escaped(_verdict(checks))}</p>'
    return f"<section><h2>Can I trust this model?</h2>{verdict}{items}</section>"


def _verdict(checks: Sequence[Check]) -> str:
    if not checks:
        return "Nothing was checked."
    failed = [f"“{one.question}”" for one in checks if not one.holds]
    if not failed:
        return f"All {len(checks)} checks hold." if len(checks) > 1 else "The one check holds."
    listed = " and ".join(part for part in (", ".join(failed[:-1]), failed[-1]) if part)
    return f"{len(failed)} of {len(checks)} checks {'does' if len(failed) == 1 else 'do'} not hold: {listed}"


def _kind(holds: bool) -> str:
    return "holds" if holds else "fails"


def _mark(holds: bool) -> str:
    return f'<span class="mark" role="img" aria-label="{_kind(holds)}">{"✓" if holds else "✗"}</span>'


def _warnings(warnings: Sequence[str]) -> str:
    items = "".join(f"<li>{escaped(warning)}</li>" for warning in warnings)
    return f'<section><h2>Warnings</h2><ul class="warnings">{items}</ul></section>' if items else ""


def _figures(discovered: Discovered) -> str:
    source, several = discovered.shown.source, len(discovered.states) > 1
    drawn = [
        document.figure(
            "Forecast",
            f"Of {source}, which the equations were not found on, from its first sample on; the band is of 90 %, by "
            "what the coefficients and the start could have been, without the noise of samples. Look for a line that "
            "stays among the dots, and for where it leaves them.",
            discovery_figures.forecasts(discovered),
        ),
        document.figure(
            "Phase portrait",
            "Look for a line that turns where the dots turn. What lies far from the thin lines is a guess."
            if several and discovered.training
            else "Look for a line that runs through the dots.",
            discovery_figures.phase(discovered),
        ),
        document.figure(
            "Rates of change",
            f"Along the curves through the samples of {source}. Look for gaps that come back in the same place: a term "
            "is missing there. At both ends, slopes of curves are uncertain.",
            discovery_figures.slopes(discovered),
        ),
    ]
    if any(path.state in discovered.states[: discovery_figures.STATES] for path in discovered.paths):
        note = (
            "Errors on data left out, as a share of what the state moves, on a log axis; whiskers are one standard "
            "error, the ring is the choice. Look for errors that fall steeply up to the ring and hardly beyond it."
        )
        drawn.append(document.figure("How many terms", note, discovery_figures.paths(discovered)))
    note = (
        "What the best forecasts leave of the samples, in units of the noise, beside a standard normal curve. Look for "
        f"bars as wide as the curve; what is beyond ±{discovery_figures.BEYOND:g} is in the outermost ones."
    )
    drawn.append(document.figure("What is left", note, discovery_figures.remainders(discovered)))
    left_out = ""
    if len(discovered.states) > discovery_figures.STATES:
        left_out = f"The first {discovery_figures.STATES} of {len(discovered.states)} states are drawn."
        left_out = f'<p class="note">{left_out}</p>'
    return f'<section class="looks"><h2>See for yourself</h2>{left_out}{"".join(drawn)}</section>'


def _to_take(discovered: Discovered) -> str:
    sources = "".join(
        f'<details><summary>{name}</summary><pre class="block">{escaped(source)}</pre></details>'
        for name, source in (("LaTeX", discovered.latex), ("Python", discovered.python))
    )
    command = f'<h3>Command</h3><pre class="block">{escaped(discovered.command)}</pre>'
    return f'<section class="taken"><h2>Take it along</h2>{sources}{command}</section>'


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _significant(value: float) -> str:
    """Four significant digits; a power of ten where zeros would have to be counted."""
    if value == 0 or not math.isfinite(value):
        return cells.NOTHING if value else "0"
    digits, exponent = f"{value:.{_DIGITS - 1}e}".split("e")
    power = int(exponent)
    if -3 <= power < _DIGITS + 2:
        # Digits after the fourth are zeros, not what was found by chance.
        text = f"{float(f'{digits}e{exponent}'):.{max(_DIGITS - 1 - power, 0)}f}"
    else:
        text = f"{digits}e{power}"
    return text.replace("-", "−")
