"""Checks of identified equations, each with the measured value and its bound."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float

from jaxkd.dynamics.identification.equations import Equations
from jaxkd.dynamics.identification.sparse_fit import Bootstrap, SparseFit
from jaxkd.dynamics.validation.held_out import HeldOut
from jaxkd.dynamics.validation.hidden_states import HiddenStateTest

FORECAST = 0.1
"""Largest forecast error beyond the samples' noise, as a share of a state's deviation."""

AUTOCORRELATION = 0.3
LEFT_OVER = 0.01
"""Largest autocorrelated residual that always passes, as a share of the standard deviation."""

CONDITION = 100.0
INCLUSION = 0.8

HALVED = 0.5
PAST = 0.005
"""Share of a state's variation that the past must explain to be reported."""

UNEXPLAINED = 0.25
"""Largest unexplained share at which a test without suspicion is an answer.

Of a share n that is noise and a share h that a hidden state causes, the present leaves n + h unexplained and the past
n, so that it is suspected if h > n.  Without suspicion a hidden state causes at most half of what is unexplained: with
this bar an eighth of the variance of how a state moves, or 0.35 of its deviation.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """A question and its answer."""

    question: str
    found: str
    """Measured value, in words, and where it was worst."""
    bar: str
    """Required value, in words."""
    holds: bool | None
    """Answer; None if there is none: nothing to check, or too few data."""


def trust(
    fit: SparseFit,
    drawn: Bootstrap,
    held: HeldOut,
    hidden: HiddenStateTest | None,
    *,
    stable: float,
    names: tuple[str, ...],
    known: Equations | None = None,
    unseen: bool = True,
) -> tuple[Check, ...]:
    """Check whether identified equations can be trusted.

    Args:
        fit: fit with the chosen terms.
        drawn: bootstrap of the fit.
        held: forecasts of held-out trajectories.
        hidden: hidden-state test of the training trajectories; None if they are too short for it.
        stable: share of long simulations that stay near the data, in [0, 1].
        names: names of the states.
        known: known part of the equations.
        unseen: whether `held` is of trajectories that the equations were not found on.

    Returns:
        Six checks, each of which all states must pass; without an equation there is no answer to the first five.

    Source: inferred; the bars were set on a damped oscillator and on the systems of Van der Pol, FitzHugh and Nagumo,
    and Duffing.  Deviation: none.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxkd.dynamics import bootstrap, held_out, hidden_state_test, identify, polynomials, systems
        >>> with jax.enable_x64(True):
        ...     system = systems.DAMPED_OSCILLATOR
        ...     states = systems.with_noise(system.trajectories(jax.random.key(0), 8), jax.random.key(1), level=0.05)
        ...     times, names = jnp.tile(system.times(), (8, 1)), system.equations.states
        ...     terms = polynomials(names, degree=2)
        ...     found = identify(states[:6], times[:6], names=names, terms=terms)
        ...     drawn = bootstrap(found.fit, jax.random.key(2), replicates=50)
        ...     held = held_out(found.equations, states[6:], times[6:])
        ...     said = {"terms": terms, "variables": names, "window": 11, "lengths": (121,) * 6}
        ...     before = hidden_state_test(found.states, states[:6], times[:6], **said)
        >>> [check.holds for check in trust(found.fit, drawn, held, before, stable=1.0, names=("x", "v"))]
        [True, True, True, True, True, True]
    """
    checks = (
        _forecast(held, names, unseen=unseen),
        _remainder(held, names),
        Check(
            question="Do long simulations stay near the data?",
            found=f"{100 * stable:.0f} % of them",
            bar="all",
            holds=stable == 1,
        ),
        _condition(fit, names),
        _inclusion(fit, drawn, names),
    )
    if not has_equation(fit, known).any():
        checks = tuple(dataclasses.replace(check, found="there is no equation", holds=None) for check in checks)
    return (*checks, _hidden(hidden, names))


def has_equation(fit: SparseFit, known: Equations | None) -> Bool[np.ndarray, " states"]:
    """Return which states have an equation with a term, found or known."""
    tables = [fit.support] if known is None else [fit.support, known.coefficients]
    return np.any([np.any(np.asarray(table) != 0, axis=0) for table in tables], axis=0)


def suspected(test: HiddenStateTest) -> Bool[np.ndarray, " states"]:
    """Return for which states the past explains half of what the present does not, or more."""
    return (test.by_past < HALVED * np.minimum(test.by_present, 1.0)) & (_gain(test) > PAST)


def _gain(test: HiddenStateTest) -> Float[np.ndarray, " states"]:
    """Return the share that the past explains beyond the present; a fit worse than none explains nothing."""
    return np.minimum(test.by_present, 1.0) - test.by_past


def _forecast(held: HeldOut, names: tuple[str, ...], *, unseen: bool) -> Check:
    reached = float(np.mean(held.reached))
    error = held.forecast_error
    worst = _worst(error)
    found = f"off by {error[worst]:.2g} of the standard deviation, worst in {names[worst]}"
    if reached < 1:
        found = f"{100 * (1 - reached):.0f} % of the forecasts diverge or are too stiff"
    holds: bool | None = reached == 1 and bool(error[worst] <= FORECAST)
    if not unseen:
        # Success on the trajectories themselves proves nothing, failure does.
        found, holds = f"none was held out; on the same one {found}", None if holds else False
    return Check(
        question="Do they forecast a trajectory that they were not found on, a quarter of it at a time?",
        found=found,
        bar=f"at most {FORECAST:g}",
        holds=holds,
    )


def _remainder(held: HeldOut, names: tuple[str, ...]) -> Check:
    # Autocorrelation that noise alone reaches with this many samples.
    chance = 2 / math.sqrt(held.remainder[..., 0].size)
    own, left = held.autocorrelation, held.left_over
    passes = (own <= max(AUTOCORRELATION, chance)) | (left <= LEFT_OVER)
    worst = _worst(np.where(passes, -1.0, 1.0) + own)
    found = f"its autocorrelation is {own[worst]:.2g}, worst in {names[worst]}"
    if not np.isfinite(own[worst]):
        found = "nothing is left where forecasts diverge"
    elif not passes[worst]:
        found += f", where {left[worst]:.2g} of the standard deviation is no noise"
    return Check(
        question="Is what is left of the best forecasts noise?",
        found=found,
        bar=f"at most {max(AUTOCORRELATION, chance):.2g}, or at most {LEFT_OVER:g} of the standard deviation",
        holds=bool(np.all(passes)),
    )


def _condition(fit: SparseFit, names: tuple[str, ...]) -> Check:
    fitted = np.asarray(fit.support).any(axis=0)
    values = np.where(fitted, condition_of_chosen(fit), -np.inf)
    worst = _worst(values)
    return Check(
        question="Can the data tell the chosen terms apart?",
        found=f"errors grow by up to {values[worst]:.2g} in the coefficients of {names[worst]}"
        if fitted.any()
        else "no coefficient was fitted",
        bar=f"at most {CONDITION:g}",
        holds=bool(values[worst] <= CONDITION) if fitted.any() else None,
    )


def _inclusion(fit: SparseFit, drawn: Bootstrap, names: tuple[str, ...]) -> Check:
    fitted = np.asarray(fit.support).any(axis=0)
    shares = np.where(np.asarray(fit.support), np.asarray(drawn.inclusion), 1.0).min(axis=0)
    worst = int(np.argmin(np.where(fitted, shares, np.inf)))
    found = "each in all draws"
    if shares[worst] < 1:
        found = f"each in at least {100 * shares[worst]:.0f} % of the draws, least in {names[worst]}"
    return Check(
        question="Would other trajectories have given the same terms?",
        found=found if fitted.any() else "no term was chosen",
        bar=f"at least {100 * INCLUSION:.0f} %",
        holds=bool(shares[worst] >= INCLUSION) if fitted.any() else None,
    )


def _hidden(test: HiddenStateTest | None, names: tuple[str, ...]) -> Check:
    question = "Are all states measured, and all terms in the library?"
    bar = f"at most {PAST:g}, or less than half of what is unexplained"
    if test is None:
        return Check(question=question, found="the records are too short to tell", bar=bar, holds=None)
    share, suspect = _gain(test), suspected(test)
    worst = _worst(np.where(suspect, share, -np.abs(share)))
    found = f"the past explains {max(0.0, share[worst]):.2g} more of how {names[worst]} moves"
    if np.any(suspect):
        found += ": a state that was not measured, or a term that the library lacks"
        return Check(question=question, found=found, bar=bar, holds=False)
    least = _worst(test.by_present)
    if test.by_present[least] > UNEXPLAINED:
        part = f"{100 * test.by_present[least]:.0f} %" if test.by_present[least] < 1 else "all"
        found = f"not to be told: {part} of how {names[least]} moves is unexplained, and its past explains little more"
        return Check(question=question, found=found, bar=bar, holds=None)
    return Check(question=question, found=found, bar=bar, holds=True)


def condition_of_chosen(fit: SparseFit) -> Float[np.ndarray, " channels"]:
    """Factor by which relative errors of the data can grow in the coefficients, given the terms.

    Args:
        fit: result of `sparse_fit`.

    Returns:
        One number per channel; 1 for a channel without terms.

    Source: Golub & Van Loan, Matrix Computations, section 5.3.8.  Deviation: terms are taken at length 1.
    """
    # Stacked triangles are equivalent to the triangle that they merge into.
    columns = np.reshape(np.asarray(fit.triangles), (-1, fit.triangles.shape[2]))[:, : fit.scale.size]
    return np.array([_condition_number(columns[:, chosen]) for chosen in np.asarray(fit.support).T])


def _condition_number(columns: Float[np.ndarray, "rows terms"]) -> float:
    if not columns.shape[1]:
        return 1.0
    return float(np.linalg.cond(columns / np.linalg.norm(columns, axis=0)))


def _worst(values: Float[np.ndarray, " states"]) -> int:
    return int(np.argmax(np.nan_to_num(values, nan=np.inf)))
