"""Places of a reply that may state its answer, and the answer that the strongest of them agree on."""

import dataclasses
import enum
import re
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from jaxkd.metrics.half_width import half_width

WINDOW = 48
"""Characters before a place that are searched for what it states: bounded, so that long replies take linear time."""

OPEN = r"[\s(\[{<\"'“‘*_`$「『【《]{0,6}"
CLOSE = r"[)\]}>\"'”’*_`$」』】》]{0,6}"
"""Brackets, quotes and emphasis that an answer may stand in."""

Value = TypeVar("Value", bound=Hashable)

_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s?\{")
_LINE_START = re.compile(rf"\n[#>•\-]{{0,6}}{OPEN}")
_LINE_END = re.compile(rf"{CLOSE}[.:,;!。、；！]{{0,2}} ?{CLOSE}\n")


class Strength(enum.IntEnum):
    """How clearly a reply states an answer; a stronger statement overrules a weaker one."""

    BARE = 0
    """Somewhere in a sentence."""
    MARKED = 1
    """Set apart: (B), **B**, option B."""
    START = 2
    """First on a line."""
    ALONE = 3
    """A line by itself."""
    ANNOUNCED = 4
    """The answer is B."""
    FINAL = 5
    r"""The final answer is B, \boxed{B}."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mention(Generic[Value]):
    """One place of a reply that may state its answer."""

    value: Value
    strength: Strength


def plain(reply: str) -> str:
    r"""Return a reply in half width, between two line ends, with single spaces and lines, and no `\text` of LaTeX."""
    text = _LATEX.sub("{", half_width(reply))
    return _LINES.sub("\n", _SPACES.sub(" ", f"\n{text}\n"))


def begins_line(text: str, start: int) -> bool:
    """Whether only marks of lists, quotes and emphasis stand before a place in its line."""
    begin = text.rfind("\n", max(0, start - WINDOW), start)
    return begin >= 0 and _LINE_START.fullmatch(text, begin, start) is not None


def ends_line(text: str, end: int) -> bool:
    """Whether only punctuation stands after a place in its line."""
    return _LINE_END.match(text, end) is not None


def unanimous(mentions: Sequence[Mention[Value]]) -> Value | None:
    """Return the value of the strongest mentions; None if there are none, or if they differ."""
    strongest = max((mention.strength for mention in mentions), default=None)
    values = {mention.value for mention in mentions if mention.strength == strongest}
    return values.pop() if len(values) == 1 else None
