"""Examples without the rows and closers that hygiene finds, and what was dropped and repaired."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from jaxkd.data.examples import Example
from jaxkd.data.text.hygiene.closers import shared_closers, without_closers
from jaxkd.data.text.hygiene.reasons import REASONS, Hygiene, Reason, drop_reasons

Initial: TypeAlias = Literal["first", "previous", "none"]
"""The assistant's turn that a response revises: its first, the one before the last of the user, or none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleanedRow:
    """An example, and what hygiene makes of it."""

    example: Example
    """The example as it was."""
    response: str
    """The response without its shared closers."""
    reasons: tuple[Reason, ...]
    """Reasons to drop it; empty if it is kept."""

    @property
    def repaired(self) -> bool:
        """Whether a shared closer was taken away."""
        return self.response != self.example.response


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cleaned:
    """All rows, kept or dropped."""

    rows: tuple[CleanedRow, ...]
    """Rows in the order of the examples."""
    closers: Mapping[str, float]
    """Share of all examples that each closer ended, the most frequent first."""

    @property
    def kept(self) -> list[CleanedRow]:
        """Rows to learn from."""
        return [row for row in self.rows if not row.reasons]

    @property
    def dropped(self) -> list[CleanedRow]:
        """Rows with a reason to drop them."""
        return [row for row in self.rows if row.reasons]

    def counts(self) -> dict[Reason, int]:
        """Rows by reason, of which one may have several; those of "shared_closer" were repaired."""
        counts = Counter(reason for row in self.rows for reason in row.reasons)
        counts["shared_closer"] = sum(row.repaired for row in self.rows)
        return {reason: counts[reason] for reason in REASONS}


def clean(
    examples: Sequence[Example],
    hygiene: Hygiene,
    *,
    initial: Initial = "first",
    ended: Mapping[str, bool] | None = None,
) -> Cleaned:
    """Repair the responses of examples, and find the reasons to drop them.

    Args:
        examples: all examples: what many share is counted over them.
        hygiene: the thresholds.
        initial: the assistant's turn of a prompt that the response revises, if it has one.  "none" for conversations
            in which each response answers another question.
        ended: whether a response ended by itself, by the example's key; unknown for other keys.

    Returns:
        A row for each example.  Reasons are those of the repaired response.

    Raises:
        ValueError: an unknown `initial`.

    Source: inferred.  Deviation: none.

    Example:
        >>> texts = ["Mars is a planet. Bye! :)", "Venus is a planet. Bye! :)", "Vega is a star. Bye! :)", "No."]
        >>> examples = [Example(key=text, group="a", messages=(("user", "Which?"),), response=text) for text in texts]
        >>> cleaned = clean(examples, Hygiene())
        >>> [row.response for row in cleaned.kept]
        ['Mars is a planet.', 'Venus is a planet.', 'Vega is a star.']
        >>> {reason: count for reason, count in cleaned.counts().items() if count}, cleaned.closers
        ({'length': 1, 'shared_closer': 3}, {':)': 0.75, 'Bye!': 0.75})
    """
    responses = [example.response for example in examples]
    closers: dict[str, float] = {}
    if "shared_closer" in hygiene.reasons:
        closers = shared_closers(responses, share=hygiene.closer_share, fewest=hygiene.fewest_closers)
    rows = []
    for example in examples:
        response = without_closers(example.response, closers)
        reasons = drop_reasons(
            response,
            hygiene,
            initial=initial_response(example.messages, initial),
            ended=None if ended is None else ended.get(example.key),
        )
        rows.append(CleanedRow(example=example, response=response, reasons=reasons))
    return Cleaned(rows=tuple(rows), closers=closers)


def initial_response(messages: Sequence[tuple[str, str]], initial: Initial) -> str | None:
    """Return the assistant's turn of a prompt that its response revises; None if there is none.

    Args:
        messages: prompt, as (role, text) pairs.
        initial: "first" is the first of the assistant's turns; "previous" is the last before the user's last turn, a
            critique where the model wrote one in the conversation; "none" is always None.

    Returns:
        The text of the turn, or None.

    Raises:
        ValueError: an unknown `initial`.

    Source: inferred.  Deviation: none.

    Example:
        >>> turns = [("user", "Hi"), ("assistant", "Go away."), ("user", "Critique it."), ("assistant", "Rude.")]
        >>> initial_response([*turns, ("user", "Revise it.")], "first")
        'Go away.'
    """
    if initial not in ("first", "previous", "none"):
        raise ValueError(f'initial must be "first", "previous" or "none", got {initial!r}.')
    users = [place for place, (role, _) in enumerate(messages) if role == "user"]
    before = [text for role, text in messages[: max(users, default=0)] if role == "assistant"]
    if initial == "none" or not before:
        return None
    return before[0 if initial == "first" else -1]
