"""Chaotic systems of the package dysts, by name."""

import dataclasses
import difflib
import functools
import inspect
import json
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import sympy

from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.systems.attractor import OnAttractor
from jaxkd.dynamics.systems.autonomous import System

PERIODS, SAMPLES = 4, 100
"""Number of periods per trajectory, and of samples per period."""
TRANSIENT, LONG = 20, 200
"""Periods of the trajectory that initial states are sampled from: discarded first, and used after that."""

DEGREE = 3
"""Maximum total degree of the right-hand sides that `names` lists."""
DIMENSIONS = range(3, 11)
TEN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChaoticSystem:
    """Chaotic system, with its two time scales: period and Lyapunov exponent."""

    system: System
    period: float
    """Period of the dominant frequency, in the unit of time."""
    lyapunov: float
    """Estimate of the largest Lyapunov exponent, > 0, in 1 over the unit of time."""


@functools.cache
def chaotic(name: str) -> ChaoticSystem:
    """Return a chaotic system of dysts, which the extra `chaos` installs.

    Its equations are what dysts' own right-hand side returns for SymPy's symbols and its parameters, as the decimal
    numbers that dysts stores.  A trajectory has four periods of a hundred samples.  It starts at a random time of a
    trajectory of two hundred periods, which begins twenty periods after dysts' initial state.

    Args:
        name: name in dysts, such as Lorenz.

    Returns:
        The system in float64, with the period and the exponent that dysts states.  Over a Lyapunov time,
        halving `systems.TOLERANCE` changes its trajectories by at most 1e-6 of their standard deviation; after that the
        difference grows chaotically.

    Raises:
        ModuleNotFoundError: dysts is not installed.
        ValueError: no such system, or one whose right-hand side is not an expression of its states: it has a delay,
            depends on time, is computed on arrays, or calls NumPy.

    Source: Gilpin 2021, Chaos as an interpretable benchmark for forecasting and data-driven modelling (arXiv
    2110.05266).  Deviation: sampling, and several initial states instead of one.
    """
    entry = _entry(name)
    states, sides = _sides(name)
    equations = Equations.of(sides, states)
    period = float(entry["period"])
    initial = OnAttractor(
        start=tuple(float(value) for value in entry["initial_conditions"]),
        transient=TRANSIENT * period,
        duration=LONG * period,
    )
    return ChaoticSystem(
        system=System(
            name=name,
            equations=equations,
            initial=initial,
            duration=PERIODS * period,
            samples=PERIODS * SAMPLES + 1,
        ),
        period=period,
        lyapunov=float(entry["maximum_lyapunov_estimated"]),
    )


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of dysts' systems with polynomial right-hand sides, in alphabetical order.

    Their total degree is at most 3, in 3 to 10 states.

    Raises:
        ModuleNotFoundError: dysts is not installed.
    """
    return tuple(name for name in sorted(_catalogue()) if _is_listed(name))


def ten() -> tuple[str, ...]:
    """Return ten of `names`, evenly spaced: of n names, those at positions i * n // 10 for i from 0 to 9.

    Raises:
        ModuleNotFoundError: dysts is not installed.
    """
    listed = names()
    return tuple(listed[place * len(listed) // TEN] for place in range(TEN))


def _is_listed(name: str) -> bool:
    try:
        states, sides = _sides(name)
    except ValueError:
        return False
    if len(states) not in DIMENSIONS or not all(side.is_polynomial(*states) for side in sides):
        return False
    return all(sympy.Poly(side, *states).total_degree() <= DEGREE for side in sides)


@functools.cache
def _sides(name: str) -> tuple[tuple[sympy.Symbol, ...], tuple[sympy.Expr, ...]]:
    """Return states and right-hand sides."""
    entry, flows = _entry(name), _dysts("flows")
    kind, base = getattr(flows, name), flows.DynSys
    if not issubclass(kind, base):
        raise _refused(name, "which has a delay")
    if kind.rhs is not base.rhs:
        raise _refused(name, "whose right-hand side is computed on arrays")
    # Functions that Numba compiled retain their Python version.
    right = getattr(kind._rhs, "py_func", kind._rhs)
    states = sympy.symbols([*inspect.signature(right).parameters][: entry["embedding_dimension"]])
    time = sympy.Dummy("t")
    parameters = entry["parameters"]
    try:
        given = [sympy.Rational(str(parameters[key])) for key in sorted(parameters)]
        sides = tuple(sympy.sympify(side) for side in right(*states, time, *given))
    except TypeError as error:
        raise _refused(name, f"whose right-hand side takes no symbols ({error})") from error
    if any(time in side.free_symbols for side in sides):
        raise _refused(name, "whose right-hand side depends on time")
    return tuple(states), sides


def _refused(name: str, reason: str) -> ValueError:
    return ValueError(
        f"name must be that of a system whose right-hand side is an expression of its states, got {name!r}, {reason}. "
        "Take one of jaxkd.dynamics.systems.chaotic.names()."
    )


def _entry(name: str) -> Mapping[str, Any]:
    """Return dysts' entry for a system."""
    known = _catalogue()
    if name not in known:
        lowered = {one.lower(): one for one in known}
        near = difflib.get_close_matches(name.lower(), lowered, n=1)
        hint = f"Did you mean {lowered[near[0]]!r}?" if near else "Take one of jaxkd.dynamics.systems.chaotic.names()."
        raise ValueError(f"name must be that of a continuous system of dysts, got {name!r}. {hint}")
    return known[name]


@functools.cache
def _catalogue() -> Mapping[str, Mapping[str, Any]]:
    stored = Path(_dysts("base").DATAPATH_CONTINUOUS)
    return json.loads(stored.read_text(encoding="utf-8"))


def _dysts(module: str) -> ModuleType:
    if find_spec("dysts") is None:
        raise ModuleNotFoundError(
            "jaxkd.dynamics.systems.chaotic needs dysts. Install the extra: pip install 'jaxkd-distill[chaos]'.",
            name="dysts",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numba not installed", category=UserWarning)
        return import_module(f"dysts.{module}")
