"""The report of discovered equations as one HTML file."""

from itertools import groupby
from pathlib import Path

from jaxkd.dynamics.validation.discovered import Discovered, derivative
from jaxkd.report import document
from jaxkd.report.dynamics import discovery_figures, discovery_text


def write_discovery(path: Path, discovered: Discovered) -> None:
    """Write the report atomically, replacing an existing file.

    Args:
        path: output file.
        discovered: equations, checks and data to show.
    """
    alarm, coverage = discovery_text.coverage(discovered)
    document.write(
        path,
        "discovery.html.jinja",
        title=discovered.title,
        facts=discovered.facts.items(),
        found=discovered,
        equations=[
            (derivative(state, discovered.time, order=discovered.order), [discovery_text.row(term) for term in terms])
            for state, terms in groupby(discovered.terms, key=lambda term: term.state)
        ],
        alarm=alarm,
        coverage=coverage,
        trusted=not discovered.missing and bool(discovered.checks) and all(one.holds for one in discovered.checks),
        drawings=_drawings(discovered),
        most_states=discovery_figures.STATES,
        beyond=discovery_figures.BEYOND,
    )


def _drawings(discovered: Discovered) -> dict[str, str]:
    shown = discovered.states[: discovery_figures.STATES]
    return {
        "forecasts": discovery_figures.forecasts(discovered),
        "phase": discovery_figures.phase(discovered),
        "slopes": discovery_figures.slopes(discovered),
        "paths": discovery_figures.paths(discovered) if any(one.state in shown for one in discovered.paths) else "",
        "remainders": discovery_figures.remainders(discovered),
    }
