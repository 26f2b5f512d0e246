"""The published alignment rule of DSKDv2, without strings in the loop.

The rule walks along both lists of token strings and stores the text passed on each side, A and B.  A is always a prefix
of the teacher's text and B one of the student's, so A == B means that their lengths are equal and do not exceed the
common prefix of the two texts.  The same holds for the equality of the next two strings once A == B.  So the host
counts characters, once per example, and the walk compares integers.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxkd.alignment.positions import exchanged, pairs_of
from jaxkd.records import Alignment

MARKERS = "▁Ġ"
"""Characters that the rule deletes from every token string: the space of SentencePiece and of byte-level BPE."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenStrings:
    """Lengths of the token strings of a text, without markers."""

    lengths: Int[Array, "*b k"]
    """Number of characters; 0 where there is no token."""
    is_end: Bool[Array, "*b k"]
    """Whether the string is the end-of-sequence token."""
    count: Int[Array, "*b"]
    """Number of tokens of the text; they come first."""


class Prepared(NamedTuple):
    """Arguments of `align_greedily`."""

    student: TokenStrings
    teacher: TokenStrings
    common: Int[Array, " b"]
    """Number of characters in the common prefix of the two texts."""


def prepare(
    student: Sequence[Sequence[str]],
    teacher: Sequence[Sequence[str]],
    *,
    student_end: str,
    teacher_end: str,
    student_room: int | None = None,
    teacher_room: int | None = None,
) -> Prepared:
    """Count characters on the host.

    Args:
        student: token strings of each example, as the vocabulary spells them.
        teacher: token strings of the teacher's tokenizer, for the same examples.
        student_end: string of the student's end-of-sequence token.
        teacher_end: string of the teacher's end-of-sequence token.
        student_room: columns of the student's arrays; None fits the longest example.
        teacher_room: columns of the teacher's arrays; None fits the longest example.

    Returns:
        Arrays with one row per example, int32.

    Raises:
        ValueError: different numbers of examples, or an example longer than its room.

    Source: songmzhang/DSKDv2@5025279, from a description.  Deviation: none; the equality of strings follows from
    lengths and the common prefix.

    Example:
        >>> prepared = prepare([["Ut", "il", "Ġa"]], [["▁Util", "▁b"]], student_end="</s>", teacher_end="</s>")
        >>> prepared.student.lengths.tolist(), prepared.teacher.lengths.tolist(), prepared.common.tolist()
        ([[2, 2, 1]], [[4, 1]], [4])
    """
    if len(student) != len(teacher):
        raise ValueError(
            f"student and teacher must hold the same examples, got {len(student)} and {len(teacher)}. "
            "Give one list of strings for each example on both sides."
        )
    ours = _counted("student", student, student_end, student_room)
    theirs = _counted("teacher", teacher, teacher_end, teacher_room)
    common = [_common(_stripped(a), _stripped(b)) for a, b in zip(student, teacher, strict=True)]
    return Prepared(student=ours, teacher=theirs, common=jnp.asarray(common, jnp.int32))


def align_greedily(student: TokenStrings, teacher: TokenStrings, common: Int[Array, "*b"]) -> Alignment:
    """Find the pairs of the published loop: equal strings after equal prefixes, markers deleted.

    It reproduces the rule exactly, including its weaknesses: a character that two tokenizers spell differently, such as
    a newline or an emoji, ends the alignment of a response.  Use it to reproduce published results, and
    `exact_token.align` for everything else.

    Args:
        student: lengths of the student's token strings, from `prepare`.
        teacher: lengths of the teacher's token strings.
        common: number of characters in the common prefix of the two texts.

    Returns:
        int32; slot i belongs to token i of the shorter side, the student's if both are equally long.  Swapped sides
        give the same pairs.  It takes n + m steps.

    Raises:
        ValueError: sides with different leading axes.

    Source: songmzhang/DSKDv2@5025279, from a description.  Deviation: none.

    Example:
        >>> prepared = prepare(
        ...     [["Ut", "il", "izing", "Ġit", "</s>"]],
        ...     [["Util", "izing", "▁it", "<|end|>"]],
        ...     student_end="</s>",
        ...     teacher_end="<|end|>",
        ... )
        >>> pairs = align_greedily(*prepared)
        >>> pairs.student.tolist(), pairs.teacher.tolist(), pairs.mask.tolist()
        ([[0, 2, 3, 4]], [[0, 1, 2, 3]], [[False, True, True, True]])
    """
    rows = {side.lengths.shape[:-1] for side in (student, teacher)} | {common.shape}
    if len(rows) > 1:
        raise ValueError(
            f"student, teacher and common must hold the same examples, got lengths of shape {student.lengths.shape} "
            f"and {teacher.lengths.shape} and common of shape {common.shape}. Take all three from one prepare."
        )
    align = _align
    for _ in common.shape:
        align = jax.vmap(align)
    return align(*jax.tree.map(jnp.asarray, (student, teacher, common)))


def _align(student: TokenStrings, teacher: TokenStrings, common: Int[Array, ""]) -> Alignment:
    """Align one example."""
    room, others = student.lengths.shape[0], teacher.lengths.shape[0]
    if room > others:  # the rule is symmetric
        return exchanged(_align(teacher, student, common))
    if room == 0:
        return pairs_of(jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.bool_))

    def step(state: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
        i, j, passed_i, passed_j = state
        going = (i < teacher.count) & (j < student.count)
        here_i, here_j = jnp.minimum(i, others - 1), jnp.minimum(j, room - 1)
        length_i, length_j = teacher.lengths[here_i], student.lengths[here_j]
        same_before = (passed_i == passed_j) & (passed_i <= common)
        same_string = (length_i == length_j) & (passed_i + length_i <= common)
        paired = going & same_before & (same_string | (teacher.is_end[here_i] & student.is_end[here_j]))
        # The shorter side catches up; sides of equal length both advance, paired or not.
        moves_i, moves_j = going & (passed_i <= passed_j), going & (passed_j <= passed_i)
        after = (
            i + moves_i,
            j + moves_j,
            passed_i + jnp.where(moves_i, length_i, 0),
            passed_j + jnp.where(moves_j, length_j, 0),
        )
        return after, (jnp.where(paired, here_j, room), here_i)

    zero = jnp.zeros_like(common)
    _, (indices, partners) = jax.lax.scan(step, (zero,) * 4, None, length=room + others)
    partner = jnp.full(room, -1, jnp.int32).at[indices].set(partners, mode="drop")
    return pairs_of(partner, partner >= 0)


def _stripped(strings: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Return the characters of a text as numbers."""
    text = "".join(strings).translate(dict.fromkeys(map(ord, MARKERS)))
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<i4")


def _common(ours: Int[np.ndarray, " n"], theirs: Int[np.ndarray, " m"]) -> int:
    """Return the length of the common prefix of two texts."""
    size = min(len(ours), len(theirs))
    different = np.flatnonzero(ours[:size] != theirs[:size])
    return int(different[0]) if different.size else size


def _counted(name: str, examples: Sequence[Sequence[str]], end: str, room: int | None) -> TokenStrings:
    longest = max(map(len, examples), default=0)
    room = longest if room is None else room
    if longest > room:
        raise ValueError(
            f"{name}_room must be at least the {longest} tokens of the longest example, got {room}. "
            "Cut the example, or give more room."
        )
    lengths = np.zeros((len(examples), room), np.int32)
    is_end = np.zeros((len(examples), room), np.bool_)
    for row, strings in enumerate(examples):
        lengths[row, : len(strings)] = [len(string) - sum(map(string.count, MARKERS)) for string in strings]
        is_end[row, : len(strings)] = [string == end for string in strings]
    count = np.fromiter(map(len, examples), np.int32, len(examples))
    return TokenStrings(lengths=jnp.asarray(lengths), is_end=jnp.asarray(is_end), count=jnp.asarray(count))
