"""The verdict on a search for equations, in sentences."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from jaxkd.dynamics.validation.trust import Check

ADVICE = (
    "--order 2 (equations of second order) if its rate of change was not measured",
    "--delays (its own past as further states)",
)
"""Means that take the place of a state that was not measured."""

NOISY = 0.25
"""Noise of a sample, as a share of the standard deviation, that is named as a reason."""


def verdict(
    states: Sequence[str],
    checks: Sequence[Check],
    *,
    found: Bool[np.ndarray, " states"],
    constant: Bool[np.ndarray, " states"],
    suspect: Bool[np.ndarray, " states"],
    noise: Float[np.ndarray, " states"],
    candidates: int,
    advice: Sequence[str] = ADVICE,
) -> tuple[str, ...]:
    """Describe which equations were found, why others were not, and what the checks say.

    Args:
        states: names of the states.
        checks: checks of the equations.
        found: whether each state has an equation with a term.
        constant: whether each state never changes.
        suspect: whether the past of each state explains what the measured states do not.
        noise: standard deviation of the noise, as a share of each state's.
        candidates: number of terms in the library.
        advice: means to try where the measured states do not suffice.

    Returns:
        Sentences, the most important one first.

    Example:
        >>> passed = Check(question="Is it stable?", found="yes", bar="yes", holds=True)
        >>> one, no = np.array([True]), np.array([False])
        >>> verdict("x", (passed,), found=one, constant=no, suspect=no, noise=np.zeros(1), candidates=4)
        ('Equation found for x.', 'The one check holds.')
    """
    sentences = [
        f"No equation found for {name}, because {reason}."
        for state, name in enumerate(states)
        if not found[state] and not constant[state]
        for reason in [_reason(bool(suspect[state]), float(noise[state]), candidates, advice)]
    ]
    have = [name for state, name in enumerate(states) if found[state]]
    if have:
        sentences.append(f"{'Equation' if len(have) == 1 else 'Equations'} found for {listed(have)}.")
    still = [name for state, name in enumerate(states) if constant[state] and not found[state]]
    if still:
        sentences.append(f"{listed(still)} never {'changes' if len(still) == 1 else 'change'}.")
    return (*sentences, of_checks(checks)) if have else tuple(sentences)


def of_checks(checks: Sequence[Check]) -> str:
    """Count the checks that hold, and name the others."""
    if not checks:
        return "Nothing was checked."
    failed = [f"“{one.question}”" for one in checks if one.holds is False]
    open_ = [f"“{one.question}”" for one in checks if one.holds is None]
    whole = len(checks)
    if not failed and not open_:
        return f"All {whole} checks hold." if whole > 1 else "The one check holds."
    text = f"{whole - len(open_)} of {whole} checks hold" if not failed else ""
    if failed:
        text = f"{len(failed)} of {whole} checks {'does' if len(failed) == 1 else 'do'} not hold: {listed(failed)}"
    if open_:
        text += f"; {len(open_)} could not be made: {listed(open_)}"
    return text


def listed(names: Sequence[str]) -> str:
    """Join names with commas and a last "and"."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _reason(suspect: bool, noise: float, candidates: int, advice: Sequence[str]) -> str:
    """Say why there is no equation, and what to try."""
    if suspect:
        return (
            "its past explains how it moves and the measured states do not: a state was not measured, or a term is "
            f"missing; try {', '.join(advice)}, further columns as states, or --terms"
        )
    reason = f"no sum of the {candidates} candidate terms predicts how it moves in data left out"
    less = ()
    if noise > NOISY:
        reason += f", and noise is {100 * noise:.0f} % of its standard deviation"
        less = ("less noise",)
    further = "further columns as states, other terms (--terms, --degree), or more records"
    return f"{reason}; try {', '.join((*less, *advice, further))}"
