"""Strings that end a text, found on the device while it is written, wherever the tokens cut them.

A string is matched byte by byte by an automaton (Aho and Corasick, 1975) whose state is the longest end of the text
that could still become a stop string.  What a whole token does to a state is worked out once for every state and
token; the decoding loop then looks up one number a token, and need not ask the host what the text is.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from jaxkd.sampling.records import StopTable


def stop_table(token_bytes: Mapping[int, bytes], stop: Sequence[str], *, vocab_size: int) -> StopTable:
    """The table for some strings, as a NumPy array of `bytes in all of them x vocab_size` integers at most.

    A text matches where the bytes of its tokens, one after the other, hold one of the strings: exactly where the
    decoded text does, special tokens included.

    Args:
        token_bytes: what each token stands for, as `data.vocabulary.token_bytes` gives it; a token that is not
            there stands for nothing.
        stop: the strings; one that stands in the prompt does not count, nor one that begins there.
        vocab_size: rows of the model's head.

    Raises:
        ValueError: no string, or an empty one.

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
    for place in range(texts.shape[1]):
        longer = np.flatnonzero(lengths > place)
        transitions[:, longer] = steps[transitions[:, longer], texts[longer, place]]
    return StopTable(transitions=transitions)


def before_stop(text: str, stop: Sequence[str]) -> str:
    """The text up to the first of the strings.

    Example:
        >>> before_stop("yes. No", ["No", "."])
        'yes'
    """
    return text[: min((place for string in stop if (place := text.find(string)) >= 0), default=len(text))]


def _byte_steps(wanted: Sequence[bytes]) -> Int[np.ndarray, "states 256"]:
    """From a state and a byte to a state; the last row is the complete match, which is never left."""
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
