"""Two answers to each prompt, joined by key and prompt, with the principle by which they are compared."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeAlias

from jaxkd.constitution.preference_labels import comparison_principle
from jaxkd.constitution.principles import PreferencePrinciple
from jaxkd.data.examples import Example, Messages

LabelReason: TypeAlias = Literal["unpaired", "empty", "equal", "no_verdict", "undecided"]
"""Reason to drop a pair: its prompt has one answer only, an answer is empty, both are equal, an order has no verdict,
or the probability is 0.5 or within the margin of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerPair:
    """Two answers to a prompt, as examples of one key and prompt."""

    first: Example
    second: Example
    principle: PreferencePrinciple
    """Principle by which they are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DroppedPair:
    """Answers that are not learnt from."""

    first: Example | None
    """First answer, None if there is only a second one."""
    second: Example | None
    """Second answer, None if there is only a first one."""
    reason: LabelReason


def join_answers(
    first: Sequence[Example], second: Sequence[Example], *, constitution: str, seed: int
) -> tuple[list[AnswerPair], list[DroppedPair]]:
    """Join two sets of answers to the same prompts by key and prompt, and draw a principle for each pair.

    Args:
        first: answers, one a key.
        second: other answers to the same prompts, under the same keys.
        constitution: path of a constitution, or its name, as `read_constitution` takes it.
        seed: seed of the principles.

    Returns:
        The pairs to compare in the order of `first`, and the others: answers without a counterpart, pairs with an empty
        answer, and pairs of equal texts, ignoring spaces around them.

    Raises:
        ValueError: two answers of one key, no prompt with two answers, or as `comparison_principle`.

    Source: inferred.  Deviation: none.

    Example:
        >>> def answer(key, text):
        ...     return Example(key=key, group=key, messages=(("user", f"Name {key}."),), response=text)
        >>> one, other = [answer("a", "1"), answer("b", "2")], [answer("b", "3"), answer("c", "4")]
        >>> pairs, dropped = join_answers(one, other, constitution="eight-principles", seed=0)
        >>> [(pair.first.response, pair.second.response) for pair in pairs], [pair.reason for pair in dropped]
        ([('2', '3')], ['unpaired', 'unpaired'])
    """
    firsts, seconds = _by_prompt(first, "first"), _by_prompt(second, "second")
    if firsts.keys().isdisjoint(seconds):
        raise ValueError(
            f"first and second must have answers to the same prompts under the same keys, got {len(firsts)} and "
            f"{len(seconds)} without one in common. The first key is {next(iter(firsts), ('',))[0]!r}. Give the rows "
            'of both a "key".'
        )
    pairs, dropped = [], []
    for place, one in firsts.items():
        other = seconds.get(place)
        if other is None:
            dropped.append(DroppedPair(first=one, second=None, reason="unpaired"))
        elif (reason := _same(one.response.strip(), other.response.strip())) is not None:
            dropped.append(DroppedPair(first=one, second=other, reason=reason))
        else:
            principle = comparison_principle(constitution, seed=seed, key=one.key)
            pairs.append(AnswerPair(first=one, second=other, principle=principle))
    dropped += [
        DroppedPair(first=None, second=other, reason="unpaired")
        for place, other in seconds.items()
        if place not in firsts
    ]
    return pairs, dropped


def _by_prompt(answers: Sequence[Example], name: str) -> dict[tuple[str, Messages], Example]:
    repeated = [key for key, count in Counter(answer.key for answer in answers).items() if count > 1]
    if repeated:
        raise ValueError(
            f"{name} must have one answer to each key, got several to {repeated[0]!r}. Take a source for each answer."
        )
    return {(answer.key, answer.messages): answer for answer in answers}


def _same(first: str, second: str) -> LabelReason | None:
    """Return the reason for which two texts are not compared; None if they are."""
    return "empty" if "" in (first, second) else "equal" if first == second else None
