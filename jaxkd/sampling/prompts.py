"""Padding of prompts to arrays of few shapes, so that few samplers are compiled."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jaxkd.sampling.records import Prompts
from jaxkd.sharding import ROWS

SHORTEST_BUCKET = 16
"""Number of tokens of the smallest bucket."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Prompts that run together."""

    indices: tuple[int, ...]
    """Indices of the prompts in the list."""
    rows: int
    """Rows of the arrays; those beyond `indices` have no prompt."""
    length: int
    """Columns of the arrays."""


def bucket(length: int, *, limit: int) -> int:
    """Number of columns for a prompt of this length: 16, 24, 32, 48, 64, 96, ..., at most `limit`.

    Two buckets per doubling: at most a third of a row is padding, and the lengths up to 8,192 have 19 buckets.

    Example:
        >>> [bucket(length, limit=1000) for length in (1, 16, 17, 33, 800)]
        [16, 16, 24, 48, 1000]
    """
    power = SHORTEST_BUCKET
    while power < length:
        power *= 2
    between = power * 3 // 4
    chosen = between if power > SHORTEST_BUCKET and length <= between else power
    return min(chosen, limit)


def batches(lengths: Sequence[int], *, rows: int, parts: int, limit: int) -> Iterator[Batch]:
    """Group prompts into batches of few different shapes: prompts of similar length run together.

    The number of distinct shapes, and so of compilations, is at most the number of batches, and at most the number of
    buckets times that of the powers of two up to `rows`, however many prompts there are.

    Args:
        lengths: tokens of each prompt.
        rows: maximum rows of a batch.
        parts: divisor of the rows of a batch: 1, or the number of devices over which they are split.
        limit: maximum columns.

    Example:
        >>> [batch.indices for batch in batches([5, 40, 7], rows=2, parts=1, limit=64)]
        [(0, 2), (1,)]
    """
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    for start in range(0, len(order), rows):
        indices = tuple(order[start : start + rows])
        filled = min(1 << (len(indices) - 1).bit_length(), rows)
        yield Batch(
            indices=indices,
            rows=-(-filled // parts) * parts,
            length=bucket(lengths[indices[-1]], limit=limit),
        )


def row_parts() -> int:
    """Return the number of devices over which the ambient mesh splits rows."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else math.prod(mesh.shape[name] for name in ROWS)


def pad(
    prompts: Sequence[Sequence[int]],
    *,
    example_ids: Sequence[int] | None = None,
    rows: int | None = None,
    length: int | None = None,
) -> Prompts:
    """Left-pad prompts into NumPy arrays.

    Args:
        prompts: token ids; an empty one is a row that gets no text.
        example_ids: one per prompt; by default its index.
        rows: rows of the result, padded with empty ones; by default one per prompt.
        length: columns; by default those of the longest prompt.

    Raises:
        ValueError: more prompts than rows, a prompt longer than `length`, or example ids that do not match.

    Example:
        >>> pad([[7, 8], [9]]).tokens.tolist()
        [[7, 8], [0, 9]]
    """
    rows = len(prompts) if rows is None else rows
    longest = max((len(prompt) for prompt in prompts), default=0)
    length = max(longest, 1) if length is None else length
    example_ids = range(len(prompts)) if example_ids is None else example_ids
    if len(prompts) > rows:
        raise ValueError(f"rows must be at least one a prompt, got {rows} for {len(prompts)} prompts.")
    if longest > length:
        raise ValueError(f"length must hold the longest prompt, got {length} for {longest} tokens. Shorten the prompt.")
    check_example_ids(example_ids, len(prompts))
    tokens = np.zeros((rows, length), np.int32)
    lengths, ids = np.zeros((2, rows), np.int32)
    ids[: len(prompts)] = example_ids
    for row, prompt in enumerate(prompts):
        lengths[row] = len(prompt)
        tokens[row, length - len(prompt) :] = prompt
    return Prompts(tokens=tokens, lengths=lengths, example_ids=ids)


def check_example_ids(example_ids: Sequence[int], prompts: int) -> None:
    """Check that there is one example id per prompt.

    Raises:
        ValueError: more or fewer of them.
    """
    if len(example_ids) != prompts:
        raise ValueError(f"example_ids must name each prompt, got {len(example_ids)} for {prompts} prompts.")
