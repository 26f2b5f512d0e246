"""Edit distances between tokens, and the alignment of two tokenizations of one text that costs the least of them.

MinED compares models with it.  All of this runs on the host, when data are prepared; `minimum_edit` has what a
jitted loss then needs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

_BLOCK = 64
"""Queries at a time: their distances to a whole vocabulary take some megabytes."""


class WarpingPath(NamedTuple):
    """For each student position the teacher positions that it is matched with, which follow one another."""

    first: Int[np.ndarray, " n"]
    last: Int[np.ndarray, " n"]


def edit_distances(text: bytes, others: Sequence[bytes]) -> Int[np.ndarray, " n"]:
    """Levenshtein distance from one text to each of the others: insertions, deletions and substitutions of bytes.

    Args:
        text: of any length.
        others: of any lengths.

    Returns:
        One count for each of the others.

    Source: the definition, by RapidFuzz.  Deviation: none.

    Example:
        >>> edit_distances(b"kitten", [b"sitting", b"kitten", b""]).tolist()
        [3, 0, 6]
    """
    return edit_costs([text], others)[0]


def edit_costs(student: Sequence[bytes], teacher: Sequence[bytes]) -> Int[np.ndarray, "n m"]:
    """Edit distance of each token of one sequence to each of another.

    Args:
        student: what the student's tokens stand for; without their spaces for MinED.
        teacher: the same of the teacher.

    Returns:
        Costs for `warped`.

    Source: MinED (FuseLLM, arXiv 2401.10491, section 3.2).  Deviation: bytes, where its code counts characters of
    spellings.

    Example:
        >>> edit_costs([b"un", b"likely"], [b"unlike", b"ly"]).tolist()
        [[4, 2], [4, 4]]
    """
    return process.cdist(student, teacher, scorer=Levenshtein.distance, dtype=np.int32)


def nearest_texts(
    queries: Sequence[bytes], candidates: Sequence[bytes], *, done: Callable[[int], None] = lambda count: None
) -> Int[np.ndarray, " n"]:
    """For each query the candidate of the least edit distance; of several the first.

    Args:
        queries: of any lengths.
        candidates: at least one.
        done: called with the number of queries done, now and then.

    Returns:
        Positions in `candidates`.

    Raises:
        ValueError: no candidates.

    Source: MinED (FuseLLM, arXiv 2401.10491), the vocabulary mapping.  Deviation: none.

    Example:
        >>> nearest_texts([b"cat", b"cats"], [b"bat", b"cat", b"cat"]).tolist()
        [1, 1]
    """
    if not candidates:
        raise ValueError("candidates must hold at least one text, got none.")
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(queries)))
        found[block] = edit_costs(queries[block], candidates).argmin(axis=1)
        done(block.stop)
    return found


def warped(costs: Num[np.ndarray, "n m"]) -> WarpingPath:
    """The cheapest monotone path from the first pair of positions to the last, by dynamic time warping.

    A step goes on by one position on one side or on both, and pays the cost of the pair that it reaches.  Among paths
    of equal cost, seen from the end, a step on both sides comes first, then one of the student alone.

    Args:
        costs: 0 or more, of each pair of a student and a teacher position; at least one of each.

    Returns:
        The teacher positions of each student position, from 0.

    Raises:
        ValueError: no positions on one side.

    Source: MinED (FuseLLM, arXiv 2401.10491, section 3.2).  Deviation: the order of equal paths is inferred.

    Example:
        >>> path = warped(edit_costs([b"an", b"ox"], [b"an", b"o", b"x"]))
        >>> path.first.tolist(), path.last.tolist()
        ([0, 1], [0, 2])
    """
    n, m = costs.shape
    if n == 0 or m == 0:
        raise ValueError(f"costs must be of at least one position on each side, got shape {costs.shape}.")
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(n + m - 1):  # all pairs of one diagonal at once
        i = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        j = diagonal - i
        total[i + 1, j + 1] = costs[i, j] + np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
    first, last = np.full(n, m), np.full(n, -1)
    i, j = n, m
    while i > 0 and j > 0:
        first[i - 1], last[i - 1] = min(first[i - 1], j - 1), max(last[i - 1], j - 1)
        both, student, teacher = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if both <= min(student, teacher):
            i, j = i - 1, j - 1
        elif student <= teacher:
            i -= 1
        else:
            j -= 1
    return WarpingPath(first=first, last=last)


def aligned_positions(
    path: WarpingPath,
    student_ids: Int[np.ndarray, " n"],
    teacher_ids: Int[np.ndarray, " m"],
    student_of_teacher: Int[np.ndarray, " vt"],
) -> Int[np.ndarray, " n"]:
    """For each student position the teacher position that it is aligned with, and -1 without one.

    It is aligned where it is matched with one teacher position alone, whose token the vocabulary mapping leads to the
    student's token there.

    Args:
        path: of the two sequences.
        student_ids: tokens of the student's sequence; MinED aligns the tokens that go in, not the targets.
        teacher_ids: tokens of the teacher's.
        student_of_teacher: the vocabulary mapping, -1 for a row that is no token.

    Returns:
        Positions in `teacher_ids`.

    Source: songmzhang/DSKD@077337a, which follows MinED (FuseLLM, arXiv 2401.10491).  Deviation: none.

    Example:
        >>> import numpy as np
        >>> path = WarpingPath(first=np.array([0, 1]), last=np.array([0, 2]))
        >>> aligned_positions(path, np.array([5, 6]), np.array([1, 2, 2]), np.array([-1, 5, 6])).tolist()
        [0, -1]
    """
    alone = (path.first == path.last) & (student_of_teacher[teacher_ids[path.first]] == student_ids)
    return np.where(alone, path.first, -1)
