"""What a search for equations leaves to be shown: plain data, in the user's units."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from jaxkd.dynamics.validation.trust import Check


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundTerm:
    """A term of one equation."""

    state: str
    """Whose rate of change it is a part of."""
    term: str
    coefficient: float
    low: float
    high: float
    """Of a 90 % interval; both are the coefficient where it was given."""
    inclusion: float | None
    """The share of bootstrap draws in which it is chosen; None where it was given."""
    unit: str
    """Of the coefficient; empty where the columns have none."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """A trajectory that the equations were not found on."""

    source: str
    times: Float[np.ndarray, " times"]
    measured: Float[np.ndarray, "times states"]
    slopes: Float[np.ndarray, "times states"]
    """Of the curves through the samples."""
    predicted_slopes: Float[np.ndarray, "times states"]
    """The equations' right-hand sides along those curves."""
    forecast: Float[np.ndarray, "times states"]
    """From the first sample on; nan where it diverges."""
    low: Float[np.ndarray, "times states"]
    high: Float[np.ndarray, "times states"]
    """Of a 90 % band of forecasts, of the equations of the bootstrap draws."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """How well candidates of more and more terms explain one state."""

    state: str
    terms: Int[np.ndarray, " candidates"]
    errors: Float[np.ndarray, " candidates"]
    """Mean over folds, as a share of what the state moves."""
    deviations: Float[np.ndarray, " candidates"]
    """Standard errors of those means."""
    chosen: int
    """Position of the candidate."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Discovered:
    """Everything that the report shows."""

    title: str
    facts: Mapping[str, str]
    """For the head of the page, in this order."""
    time: str
    states: tuple[str, ...]
    units: Mapping[str, str]
    equations: str
    """One a line, to be read."""
    latex: str
    python: str
    """Source of a function."""
    terms: tuple[FoundTerm, ...]
    coverage: float | None
    """The share of coefficients within their intervals in simulations of the equations; nan where these diverge, None
    where there were none."""
    simulations: int
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    shown: Shown
    training: tuple[Float[np.ndarray, "times states"], ...]
    """Smooth states of each trajectory that the equations were found on."""
    remainder: Float[np.ndarray, "pieces samples states"]
    """What the best forecasts of pieces leave of the samples; nan where there are none."""
    noise: Float[np.ndarray, " states"]
    """Standard deviation of a sample about its curve."""
    paths: tuple[Path, ...]
    command: str
