"""Edit distances between tokens, and the alignment of two tokenizations of one text that minimises them.

MinED uses it to compare models.  All of this runs on the host, during data preparation; `minimum_edit` holds the part
that a jitted loss needs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

_BLOCK = 64
"""Queries per block: their distances to a whole vocabulary take some megabytes."""


class WarpingPath(NamedTuple):
    """Teacher positions matched with each student position; they are consecutive."""

    first: Int[np.ndarray, " n"]
    last: Int[np.ndarray, " n"]


def edit_distances(text: bytes, others: Sequence[bytes]) -> Int[np.ndarray, " n"]:
    """Return the Levenshtein distance from one text to each of the others, in bytes.

    Args:
        text: a text of any length.
        others: texts of any lengths.

    Returns:
        The number of insertions, deletions and substitutions for each of the others.

    Source: the definition, by RapidFuzz.  Deviation: none.

    Example:
        >>> edit_distances(b"kitten", [b"sitting", b"kitten", b""]).tolist()
        [3, 0, 6]
    """
    return edit_costs([text], others)[0]


def edit_costs(student: Sequence[bytes], teacher: Sequence[bytes]) -> Int[np.ndarray, "n m"]:
    """Return the edit distance of each token of one sequence to each token of another.

    Args:
        student: texts of the student's tokens; without their spaces for MinED.
        teacher: texts of the teacher's tokens.

    Returns:
        Costs for `warped`.

    Source: MinED (FuseLLM, arXiv 2401.10491, section 3.2).  Deviation: bytes, where its code counts characters of token
    strings.

    Example:
        >>> edit_costs([b"un", b"likely"], [b"unlike", b"ly"]).tolist()
        [[4, 2], [4, 4]]
    """
    return process.cdist(student, teacher, scorer=Levenshtein.distance, dtype=np.int32)


def nearest_texts(
    queries: Sequence[bytes], candidates: Sequence[bytes], *, done: Callable[[int], None] = lambda count: None
) -> Int[np.ndarray, " n"]:
    """Find the candidate of the least edit distance for each query; ties go to the first.

    Args:
        queries: texts of any lengths.
        candidates: texts to choose from, at least one.
        done: called from time to time with the number of finished queries.

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
    """Find the cheapest monotone path from the first pair of positions to the last, by dynamic time warping.

    A step advances by one position on one side or on both, and pays the cost of the pair that it reaches.  Among paths
    of equal cost, seen from the end, a step on both sides is preferred, then one on the teacher's side alone.

    Args:
        costs: cost of each pair of a student and a teacher position, 0 or more; at least one position on each side.

    Returns:
        The teacher positions of each student position, from 0.

    Raises:
        ValueError: no positions on one side.

    Source: MinED (FuseLLM, arXiv 2401.10491, section 3.2); the order among equal paths is that of
    songmzhang/DSKD@077337a.  Deviation: none.

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
        elif teacher <= student:
            j -= 1
        else:
            i -= 1
    return WarpingPath(first=first, last=last)


def aligned_positions(
    path: WarpingPath,
    student_ids: Int[np.ndarray, " n"],
    teacher_ids: Int[np.ndarray, " m"],
    student_of_teacher: Int[np.ndarray, " vt"],
) -> Int[np.ndarray, " n"]:
    """Return the teacher position aligned with each student position; -1 if there is none.

    A student position is aligned if it is matched with exactly one teacher position, whose token the vocabulary maps to
    the student's token.

    Args:
        path: warping path of the two sequences.
        student_ids: tokens of the student's sequence; MinED aligns the input tokens, not the targets.
        teacher_ids: tokens of the teacher's sequence.
        student_of_teacher: the vocabulary mapping; -1 for a padding row.

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
