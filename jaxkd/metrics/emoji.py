"""Emoji and ASCII emoticons in a text."""

import re

_PICTURE = "[\U0001f300-\U0001faff\u2600-\u27bf]"
# Skin tones and the variation selector belong to the picture before them, and a joiner makes two pictures one.
_EMOJI = (
    rf"(?:{_PICTURE}[\ufe0f\U0001f3fb-\U0001f3ff]*(?:\u200d{_PICTURE}[\ufe0f\U0001f3fb-\U0001f3ff]*)*|[:;]-?[)(DP])"
)
EMOJI = re.compile(_EMOJI)
"""Pattern of one emoji or emoticon, as `emoji` finds them."""

_RUN = re.compile(rf"{_EMOJI}(?:\s*{_EMOJI})*")
_AT_END = re.compile(rf"{_EMOJI}\s*\Z")
_LONGEST = 24
"""Characters at the end of a text that are searched for its last emoji: none is longer."""


def emoji(text: str) -> list[str]:
    """Find the emoji and emoticons of a text.

    Args:
        text: the text.

    Returns:
        Pictures of U+1F300 to U+1FAFF and U+2600 to U+27BF, and `:` or `;`, an optional `-`, and one of `)` `(` `D`
        `P`, in order.  A picture with a skin tone, and several that are joined, are one.

    Source: inferred.  Deviation: none.

    Example:
        >>> emoji("Great :-) \U0001f44d\U0001f3fd")
        [':-)', '👍🏽']
    """
    return EMOJI.findall(text)


def longest_emoji_run(text: str) -> int:
    """Largest number of successive emoji and emoticons of a text, with nothing but white space between them.

    Args:
        text: the text.

    Returns:
        A count; 0 for a text without any.

    Source: inferred.  Deviation: none.

    Example:
        >>> longest_emoji_run("Fine :) and great \U0001f600 \U0001f600!")
        2
    """
    return max((len(emoji(run)) for run in _RUN.findall(text)), default=0)


def split_last_emoji(text: str) -> tuple[str, str] | None:
    """Split a text into what stands before the emoji at its end, and that emoji.

    Args:
        text: the text; white space at its end does not count.

    Returns:
        The text without white space at its end, and the emoji; None if the text ends in something else.

    Source: inferred.  Deviation: none.

    Example:
        >>> split_last_emoji("Have a great day! :)")
        ('Have a great day!', ':)')
    """
    stripped = text.rstrip()
    found = _AT_END.search(stripped, max(0, len(stripped) - _LONGEST))
    return None if found is None else (stripped[: found.start()].rstrip(), found.group())
