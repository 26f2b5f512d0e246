"""Continuations of shared contexts as token trees, several in a row of an array.

A tree is a context, the trunk, with branches: each continuation but for its last token, which is predicted and never
read.  Trees of any shape fill rows to nearly the last column, so little is computed for padding and few shapes exist.
"""

import bisect
import dataclasses
import math
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxkd.sampling.prompts import bucket

WIDTHS = (32, 64, 96, 128, 192, 256, 384, 512)
"""Columns that rows may have; a longer tree has a row of its own length."""
WIDEST = WIDTHS[-1]

ATTENTION = 768
"""Columns of a row whose attention costs as much as everything else, for a small model on a CPU."""

DIGITS = 4
"""Leading binary digits of the number of rows of a group, the others being 0: few programs, and few rows of padding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContextTree:
    """A context and continuations of it."""

    trunk: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]
    """Tokens of each continuation."""
    indices: tuple[int, ...]
    """Index of each continuation in the list of requests."""

    @property
    def tokens(self) -> int:
        """Number of tokens that are read."""
        return len(self.trunk) + self.targets - len(self.branches)

    @property
    def targets(self) -> int:
        """Number of tokens that are predicted."""
        return sum(map(len, self.branches))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TreeBatch:
    """Rows of trees, as NumPy or JAX arrays."""

    tokens: Int[Array | np.ndarray, "b t"]
    positions: Int[Array | np.ndarray, "b t"]
    """Position of each token in its context and continuation, from 0."""
    trees: Int[Array | np.ndarray, "b t"]
    """Tree of each token, counted from 1 in each row; 0 is padding."""
    branches: Int[Array | np.ndarray, "b t"]
    """Branch of each token, counted from 1 in each tree; 0 is the trunk."""
    columns: Int[Array | np.ndarray, "b k"]
    """Column after which each target is predicted."""
    targets: Int[Array | np.ndarray, "b k"]
    mask: Bool[Array | np.ndarray, "b k"]
    """True where there is a target."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilledRows:
    """Trees that run together; the targets of a row are those of its trees' branches, in their order."""

    trees: tuple[tuple[ContextTree, ...], ...]
    """Trees of each row; fewer rows than the arrays have, if those are padded."""
    rows: int
    length: int
    targets: int

    def arrays(self) -> TreeBatch:
        """Return the arrays."""
        tokens, positions, trees, branches = np.zeros((4, self.rows, self.length), np.int32)
        columns, targets = np.zeros((2, self.rows, self.targets), np.int32)
        mask = np.zeros((self.rows, self.targets), bool)
        for row, held in enumerate(self.trees):
            end = scored = 0
            for number, tree in enumerate(held, start=1):
                last = end + len(tree.trunk) - 1
                for branch, (read, start) in enumerate([(tree.trunk, 0), *_read(tree)]):
                    here = np.s_[row, end : end + len(read)]
                    tokens[here], trees[here], branches[here] = read, number, branch
                    positions[here] = np.arange(start, start + len(read))
                    if branch:
                        continuation = tree.branches[branch - 1]
                        there = np.s_[row, scored : scored + len(continuation)]
                        columns[there] = [last, *range(end, end + len(read))]
                        targets[there], mask[there] = continuation, True
                        scored += len(continuation)
                    end += len(read)
        return TreeBatch(
            tokens=tokens,
            positions=positions,
            trees=trees,
            branches=branches,
            columns=columns,
            targets=targets,
            mask=mask,
        )


def grow(requests: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[ContextTree]:
    """Collect the continuations of each context in a tree, or in a few, lest a row becomes much longer than its trunk.

    Args:
        requests: context and continuation of each.

    Example:
        >>> [tree.branches for tree in grow([((5, 6), (7, 8)), ((5, 6), (9,))])]
        [((7, 8), (9,))]
    """
    grown: list[ContextTree] = []
    latest: dict[tuple[int, ...], int] = {}
    for index, (trunk, branch) in enumerate(requests):
        held = latest.get(trunk)
        if held is not None and grown[held].tokens + len(branch) - 1 <= max(WIDEST, 2 * len(trunk)):
            tree = grown[held]
            branches, indices = (*tree.branches, branch), (*tree.indices, index)
            grown[held] = dataclasses.replace(tree, branches=branches, indices=indices)
        else:
            latest[trunk] = len(grown)
            grown.append(ContextTree(trunk=trunk, branches=(branch,), indices=(index,)))
    return grown


def fill(trees: Sequence[ContextTree], *, rows: int, parts: int) -> Iterator[FilledRows]:
    """Fill rows with trees, and group the rows of one width into groups of one size.

    The width is that with the least to compute: narrow rows have less attention, wide ones less padding.

    Args:
        trees: the trees.
        rows: maximum number of rows of `WIDEST` columns in a group; of wider rows there are fewer, of others more.
        parts: divisor of the number of rows of a group: 1, or the number of devices over which they are split.
    """
    filled = min((_filled(trees, width) for width in WIDTHS), key=_cost)
    for width in sorted({row.width for row in filled}):
        alike = [row.trees for row in filled if row.width == width]
        at_once = max(1, rows * WIDEST // width)
        even = math.ceil(len(alike) / math.ceil(len(alike) / at_once))
        step = math.lcm(1 << max(0, even.bit_length() - DIGITS), parts)
        size = math.ceil(even / step) * step
        most = max(sum(tree.targets for tree in row) for row in alike)
        for start in range(0, len(alike), size):
            yield FilledRows(
                trees=tuple(alike[start : start + size]),
                rows=size,
                length=width,
                targets=bucket(most, limit=1 << (most - 1).bit_length()),
            )


def _read(tree: ContextTree) -> Iterator[tuple[tuple[int, ...], int]]:
    """Tokens of each branch that are read, and the position of the first."""
    return ((branch[:-1], len(tree.trunk)) for branch in tree.branches)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    width: int
    trees: tuple[ContextTree, ...]


def _cost(filled: Sequence[_Row]) -> float:
    return sum(row.width * (1 + row.width / ATTENTION) for row in filled)


def _filled(trees: Sequence[ContextTree], width: int) -> list[_Row]:
    """Best-fit decreasing bin packing: the longest first, each into the row that it fills best."""
    rows: list[list[ContextTree]] = []
    widths: list[int] = []
    room: list[tuple[int, int]] = []  # free columns and index of each row, ascending
    for tree in sorted(trees, key=lambda tree: -tree.tokens):
        place = bisect.bisect_left(room, (tree.tokens, 0))
        if place == len(room):
            widths.append(width if tree.tokens <= width else bucket(tree.tokens, limit=2 * tree.tokens))
            rows.append([])
            free, row = widths[-1], len(rows) - 1
        else:
            free, row = room.pop(place)
        rows[row].append(tree)
        bisect.insort(room, (free - tree.tokens, row))
    return [_Row(width=one, trees=tuple(row)) for one, row in zip(widths, rows, strict=True)]
