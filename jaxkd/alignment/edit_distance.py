"""Edit distances between tokens, and the alignment of two tokenizations of one text that costs the least of them.

MinED compares models with it.  All of this is NumPy on the host, when data are prepared; `minimum_edit` has what a
jitted loss then needs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num, Shaped, UInt8


class WarpingPath(NamedTuple):
    """For each student position the teacher positions that it is matched with, which follow one another."""

    first: Int[np.ndarray, " n"]
    last: Int[np.ndarray, " n"]


def edit_distances(text: bytes, others: Sequence[bytes]) -> Int[np.ndarray, " n"]:
    """Levenshtein's distance from one text to each of the others: insertions, deletions and substitutions of bytes.

    Args:
        text: of any length.
        others: of any lengths.

    Returns:
        One count for each of the others.

    Source: the bit-parallel algorithm of Myers (J. ACM 46, 1999) as Hyyrö (2003) writes it, over all others at once.
    Deviation: none.

    Example:
        >>> edit_distances(b"kitten", [b"sitting", b"kitten", b""]).tolist()
        [3, 0, 6]
    """
    return _distances(text, _matrix(others), np.array([len(other) for other in others], np.int64))


def edit_costs(student: Sequence[bytes], teacher: Sequence[bytes]) -> Int[np.ndarray, "n m"]:
    """The edit distance of each token of one sequence to each of another.

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
    texts, places = _distinct(teacher)
    rows, row_places = _distinct(student)
    matrix, lengths = _matrix(texts), np.array([len(text) for text in texts], np.int64)
    costs = np.array([_distances(row, matrix, lengths) for row in rows], np.int64).reshape(len(rows), len(texts))
    return costs[row_places][:, places]


def nearest_texts(
    queries: Sequence[bytes], candidates: Sequence[bytes], *, done: Callable[[int], None] = lambda count: None
) -> Int[np.ndarray, " n"]:
    """For each query the candidate of the least edit distance; of several the first.

    Exact.  Most candidates are never compared: a text lacks some of the query's bytes, or has others, and needs at
    least one edit for each, as it does for each byte that it is longer or shorter.

    Args:
        queries: of any lengths.
        candidates: at least one.
        done: called with the number of queries done, after each.

    Returns:
        Places in `candidates`.

    Raises:
        ValueError: no candidates.

    Source: MinED (FuseLLM, arXiv 2401.10491), the vocabulary mapping.  Deviation: none.

    Example:
        >>> nearest_texts([b"cat", b"cats"], [b"bat", b"cat", b"cat"]).tolist()
        [1, 1]
    """
    if not candidates:
        raise ValueError("candidates must hold at least one text, got none.")
    first: dict[bytes, int] = {}
    for place, candidate in enumerate(candidates):
        first.setdefault(candidate, place)
    texts, places = list(first), np.array(list(first.values()))
    matrix, lengths = _matrix(texts), np.array([len(text) for text in texts], np.int64)
    signatures = np.array([_signature(text) for text in texts], np.uint64)
    nearest: dict[bytes, int] = {}
    found = np.empty(len(queries), np.int64)
    for count, query in enumerate(queries):
        if query not in nearest:
            if query in first:
                nearest[query] = first[query]
            else:
                nearest[query] = int(places[_nearest(query, matrix, lengths, signatures)])
        found[count] = nearest[query]
        done(count + 1)
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


def _nearest(
    query: bytes,
    matrix: UInt8[np.ndarray, "n length"],
    lengths: Int[np.ndarray, " n"],
    signatures: Shaped[np.ndarray, " n"],
) -> int:
    """The place of the nearest text; of several the first."""
    own = _signature(query)
    lacking, further = np.bitwise_count(own & ~signatures), np.bitwise_count(signatures & ~own)
    bounds = np.maximum(np.maximum(lacking, further), np.abs(lengths - len(query)))
    best, place = np.iinfo(np.int64).max, -1
    for bound in range(int(bounds.min()), int(bounds.max()) + 1):
        chosen = np.flatnonzero(bounds == bound)
        if chosen.size:
            distances = _distances(query, matrix[chosen], lengths[chosen])
            nearest = int(distances.argmin())
            if (distances[nearest], chosen[nearest]) < (best, place):
                best, place = int(distances[nearest]), int(chosen[nearest])
        if best <= bound:  # the others are further away
            break
    return place


def _signature(text: bytes) -> np.uint64:
    """Which bytes a text has, in 64 bits: four bytes share one."""
    bits = 0
    for byte in text:
        bits |= 1 << (byte & 63)
    return np.uint64(bits)


def _distinct(texts: Sequence[bytes]) -> tuple[list[bytes], Int[np.ndarray, " n"]]:
    """The texts without repetitions, and the place of each in them."""
    place = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    return list(place), np.array([place[text] for text in texts], np.int64)


def _matrix(texts: Sequence[bytes]) -> UInt8[np.ndarray, "n length"]:
    """A text a row, behind it zeros."""
    width = max((len(text) for text in texts), default=0)
    padded = b"".join(text.ljust(width, b"\0") for text in texts)
    return np.frombuffer(padded, np.uint8).reshape(len(texts), width)


def _distances(
    pattern: bytes, matrix: UInt8[np.ndarray, "n length"], lengths: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Myers: a column of the dynamic programme is the differences between its entries, +1 or -1, a bit for each."""
    size = len(pattern)
    if size == 0:
        return lengths.copy()
    # Integers of Python's have as many bits as a long pattern needs.
    kind = np.uint64 if size <= 64 else object
    whole, top, one = (_number(value, kind) for value in ((1 << size) - 1, size - 1, 1))
    where = np.zeros(256, kind)
    for place, byte in enumerate(pattern):
        where[byte] |= _number(1 << place, kind)
    rises, falls = np.full(len(lengths), whole, kind), np.zeros(len(lengths), kind)
    distances = np.full(len(lengths), size, np.int64)
    for column in range(int(lengths.max(initial=0))):
        equal = where[matrix[:, column]]
        vertical = equal | falls
        horizontal = (((equal & rises) + rises) ^ rises) | equal
        up, down = falls | ~(horizontal | rises), rises & horizontal
        change = ((up >> top) & one).astype(np.int64) - ((down >> top) & one).astype(np.int64)
        distances += np.where(column < lengths, change, 0)
        up, down = (up << one) | one, down << one
        rises, falls = (down | ~(vertical | up)) & whole, (up & vertical) & whole
    return distances


def _number(value: int, kind: type) -> int | np.uint64:
    return value if kind is object else np.uint64(value)
