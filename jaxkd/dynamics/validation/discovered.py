"""Results of a search for equations, as plain data in the user's units."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from jaxkd.dynamics.validation.trust import Check


def derivative(state: str, time: str, *, order: int = 1) -> str:
    """Return the name of a derivative.

    Example:
        >>> derivative("x", "t"), derivative("log x", "t"), derivative("x", "t", order=2)
        ('dx/dt', 'd(log x)/dt', 'd2x/dt2')
    """
    power = str(order) if order > 1 else ""
    return f"d{power}{f'({state})' if ' ' in state else state}/d{time}{power}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundTerm:
    """A term of one equation."""

    state: str
    """State whose rate of change has the term."""
    term: str
    coefficient: float
    low: float
    high: float
    """Upper end of a 90 % interval; `low` and `high` equal the coefficient if it was given."""
    inclusion: float | None
    """Share of bootstrap replicates in which it is chosen; None if it was given."""
    unit: str
    """Unit of the coefficient; empty if the columns have none."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """A held-out trajectory."""

    source: str
    unseen: bool
    """Whether the equations were found without it."""
    times: Float[np.ndarray, " times"]
    measured: Float[np.ndarray, "times states"]
    slopes: Float[np.ndarray, "times states"]
    """Slopes of the curves through the samples."""
    left_hand_sides: Float[np.ndarray, "times states"]
    """Derivatives of those curves of the equations' order: the slopes, or second derivatives."""
    right_hand_sides: Float[np.ndarray, "times states"]
    """The equations' right-hand sides along the curves."""
    forecast: Float[np.ndarray, "times states"]
    """Forecast from the first sample; nan where it diverges."""
    low: Float[np.ndarray, "times states"]
    high: Float[np.ndarray, "times states"]
    """Upper end of a 90 % band of forecasts, by the equations of the bootstrap replicates."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SparsityPath:
    """How well candidates of more and more terms explain one state."""

    state: str
    terms: Int[np.ndarray, " candidates"]
    errors: Float[np.ndarray, " candidates"]
    """Mean error over folds, as a share of the state's variation."""
    deviations: Float[np.ndarray, " candidates"]
    """Standard errors of `errors`."""
    chosen: int
    """Position of the chosen candidate."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Discovered:
    """Everything that the report shows."""

    title: str
    verdict: tuple[str, ...]
    """Sentences on what was found, the most important one first."""
    facts: Mapping[str, str]
    """Facts for the head of the page, in this order."""
    time: str
    states: tuple[str, ...]
    """Names for display, `x` or `log x`."""
    units: Mapping[str, str]
    """Units of the time and of the states that have one."""
    equations: str
    """Equations as text, one per line."""
    missing: tuple[str, ...]
    """States for which no equation was found, though they change."""
    latex: str
    python: str
    """Source of a function."""
    terms: tuple[FoundTerm, ...]
    coverage: float | None
    """Share of coefficients within their intervals in simulations of the equations; nan if these diverge, None if there
    were no simulations or no coefficients."""
    simulations: int
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    shown: Shown
    training: tuple[Float[np.ndarray, "times states"], ...]
    """Smooth states of each training trajectory."""
    remainder: Float[np.ndarray, "pieces samples states"]
    """Samples minus the best forecasts of pieces; nan if there are none."""
    noise: Float[np.ndarray, " states"]
    """Standard deviation of a sample about its curve."""
    paths: tuple[SparsityPath, ...]
    command: str
    order: int = 1
    """Order of the derivatives that the equations are of."""
