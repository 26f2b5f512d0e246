"""Replay buffer of a student's answers.

Its arrays have fixed shapes, so that it is part of a checkpoint.  It is a dict of NumPy arrays, or of JAX arrays after
a step: `examples [c]`, `tokens [c k]`, `lengths [c]`, `ended [c]` and `written []`, the total number of answers added.
When it is full, a new answer replaces the oldest.
"""

from collections.abc import Sequence

import jax
import numpy as np

from jaxkd.data.text.chat import Answer
from jaxkd.typing import Key, Params


def empty(capacity: int, *, max_new_tokens: int) -> Params:
    """Return an empty buffer.

    Args:
        capacity: largest number of answers, at least 1.
        max_new_tokens: largest number of tokens of an answer.
    """
    return {
        "examples": np.zeros(capacity, np.int32),
        "tokens": np.zeros((capacity, max_new_tokens), np.int32),
        "lengths": np.zeros(capacity, np.int32),
        "ended": np.zeros(capacity, bool),
        "written": np.zeros((), np.int32),
    }


def size(buffer: Params) -> int:
    """Return the number of answers in the buffer."""
    return min(int(buffer["written"]), len(buffer["lengths"]))


def added(buffer: Params, examples: Sequence[int], answers: Sequence[Answer]) -> Params:
    """Return a copy with further answers, in order.

    Args:
        buffer: from `empty` or an earlier step; further entries are copied.
        examples: index of the example of each answer, as `Tokenized.index`.
        answers: new answers, none longer than a row of the buffer.

    Example:
        >>> one, two = Answer(tokens=(5, 6), ended=True), Answer(tokens=(7,), ended=False)
        >>> buffer = added(empty(1, max_new_tokens=4), [0, 3], [one, two])
        >>> size(buffer), answer(buffer, 0)
        (1, (3, Answer(tokens=(7,), ended=False)))
    """
    changed = {name: np.array(leaf) for name, leaf in buffer.items()}
    for example, written in zip(examples, answers, strict=True):
        index = int(changed["written"]) % len(changed["lengths"])
        changed["examples"][index] = example
        changed["tokens"][index] = 0
        changed["tokens"][index, : len(written.tokens)] = written.tokens
        changed["lengths"][index] = len(written.tokens)
        changed["ended"][index] = written.ended
        changed["written"] += 1
    return changed


def answer(buffer: Params, index: int) -> tuple[int, Answer]:
    """Return the example index and the answer at position `index`, below `size`."""
    # Copied whole and indexed on the host: on the device, indexing would wait for running computations.
    held = {name: np.asarray(leaf) for name, leaf in buffer.items()}
    tokens = held["tokens"][index, : int(held["lengths"][index])]
    return int(held["examples"][index]), Answer(tokens=tuple(tokens.tolist()), ended=bool(held["ended"][index]))


def drawn(buffer: Params, count: int, key: Key) -> list[tuple[int, Answer]]:
    """Sample `count` different answers, each equally likely; `count` is at most `size`."""
    indices = jax.random.choice(key, size(buffer), (count,), replace=False)
    return [answer(buffer, int(index)) for index in indices]
