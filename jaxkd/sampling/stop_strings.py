"""Strings that end a text, found on the device during decoding, across token boundaries.

A string is matched byte by byte by an automaton (Aho and Corasick, 1975) whose state is the longest suffix of the text
that could still become a stop string.  The transitions of whole tokens are computed once for every state and token;
the decoding loop then looks up one number per token, and need not ask the host for the text.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from jaxkd.sampling.records import StopTable


def stop_table(token_bytes: Mapping[int, bytes], stop: Sequence[str], *, vocab_size: int) -> StopTable:
    """Build the table for some strings, a NumPy array of at most `bytes in all of them x vocab_size` integers.

    A text matches where the concatenated bytes of its tokens hold one of the strings: exactly where the decoded text
    does, special tokens included.

    Args:
        token_bytes: bytes of each token, as `pieces.token_bytes` gives them; a missing token has none.
        stop: the strings; one in the prompt does not count, nor one that begins there.
        vocab_size: rows of the model's head.

    Raises:
        ValueError: no strings, or an empty one.

    Example:
        >>> stop_table({0: b"a", 1: b"ab", 2: b"b"}, ["aab"], vocab_size=3).transitions.tolist()
        [[1, 0, 0], [2, 3, 0], [2, 3, 3]]
    """
    wanted = [text.encode() for text in stop]
    if not wanted or not all(wanted):
        raise ValueError(
            f"stop must hold strings that are not empty, got {list(stop)!r}. Leave it out to stop at none."
        )
    steps = _byte_steps(wanted)
    states = len(steps) - 1
    lengths = np.zeros(vocab_size, np.int64)
    texts = np.zeros((vocab_size, max(map(len, token_bytes.values()), default=0)), np.uint8)
    for token, text in token_bytes.items():
        if token < vocab_size:
            lengths[token] = len(text)
            texts[token, : len(text)] = np.frombuffer(text, np.uint8)
    transitions = np.repeat(np.arange(states, dtype=np.int32)[:, None], vocab_size, axis=1)
    for index in range(texts.shape[1]):
        longer = np.flatnonzero(lengths > index)
        transitions[:, longer] = steps[transitions[:, longer], texts[longer, index]]
    return StopTable(transitions=transitions)


def before_stop(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first of the strings.

    Example:
        >>> before_stop("yes. No", ["No", "."])
        'yes'
    """
    return text[: min((start for string in stop if (start := text.find(string)) >= 0), default=len(text))]


def _byte_steps(wanted: Sequence[bytes]) -> Int[np.ndarray, "states 256"]:
    """Next state for each state and byte; the last row is the complete match, which is never left."""
    beginnings = sorted({text[:length] for text in wanted for length in range(len(text))}, key=len)
    number = {beginning: state for state, beginning in enumerate(beginnings)}
    complete = len(beginnings)
    steps = np.full((complete + 1, 256), complete, np.int32)
    for beginning, state in number.items():
        for byte in range(256):
            seen = beginning + bytes([byte])
            if not seen.endswith(tuple(wanted)):
                steps[state, byte] = next(number[seen[cut:]] for cut in range(len(seen) + 1) if seen[cut:] in number)
    return steps
