"""Principles of a constitution, checked when they are made."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from jaxkd.data.examples import Messages

_PLACEHOLDER = re.compile(r"\{[^{}\n]*\}|\[\[.*?\]\]|\bTODO\b", re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Principle:
    """A principle in two requests: to criticise an answer by it, and to revise the answer.

    Raises:
        ValueError: an empty id or request, an unfilled placeholder, or a weight that is not above 0 and finite.
    """

    id: str
    """Name of the principle, unique in its constitution."""
    critique: str
    """Request for a critique of the answer before it."""
    revision: str
    """Request for a revision of the answer that was criticised."""
    weight: float = 1.0
    """Frequency with which the principle is drawn, relative to the others' weights."""
    tags: tuple[str, ...] = ()
    """Topics, for a reader."""

    def __post_init__(self) -> None:
        _require_id(self.id)
        for side in ("critique", "revision"):
            _require_text(getattr(self, side), f"{side} of principle {self.id!r}")
        _require_weight(self.weight, self.id)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferencePrinciple:
    """A principle by which two answers are compared.

    Raises:
        ValueError: an empty id or text, an unfilled placeholder, or a weight that is not above 0 and finite.
    """

    id: str
    """Name of the principle, unique among those for comparisons."""
    text: str
    """Question which of two answers is better, and by what."""
    weight: float = 1.0
    """Frequency with which the principle is drawn, relative to the others' weights."""

    def __post_init__(self) -> None:
        _require_id(self.id)
        _require_text(self.text, f"text of comparison principle {self.id!r}")
        _require_weight(self.weight, self.id)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constitution:
    """Principles, whatever file they came from.

    Raises:
        ValueError: no principle of either kind, or two of one id.
    """

    name: str
    principles: tuple[Principle, ...] = ()
    """Principles for critiques and revisions."""
    preferences: tuple[PreferencePrinciple, ...] = ()
    """Principles for comparisons of two answers."""
    demonstrations: tuple[Messages, ...] = ()
    """Dialogues that show how a critique and a revision look."""

    def __post_init__(self) -> None:
        if not self.principles and not self.preferences:
            raise ValueError(f"constitution {self.name!r} must have at least one principle, got none.")
        for kind, found in (("principles", self.principles), ("preferences", self.preferences)):
            _require_distinct(found, kind)


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


def _require_id(id: str) -> None:
    if not id.strip():
        raise ValueError("the id of a principle must not be empty, got an empty text. Name the principle.")


def _require_text(text: str, name: str) -> None:
    if not text.strip():
        raise ValueError(f"the {name} must not be empty, got an empty text. Write it, or leave the principle out.")
    placeholder = _PLACEHOLDER.search(text)
    if placeholder:
        raise ValueError(f"the {name} must hold no unfilled placeholder, got {placeholder.group()[:40]!r}. Fill it in.")


def _require_weight(weight: float, id: str) -> None:
    if not (weight > 0 and math.isfinite(weight)):
        raise ValueError(
            f"the weight of principle {id!r} must be above 0 and finite, got {weight}. Leave out a principle that is "
            "not to be drawn."
        )


def _require_distinct(found: Sequence[_HasId], kind: str) -> None:
    repeated = [id for id, count in Counter(one.id for one in found).items() if count > 1]
    if repeated:
        raise ValueError(f"the ids of {kind} must be unique, got {', '.join(map(repr, repeated))} more than once.")
