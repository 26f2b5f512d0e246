"""The alignment rule of DSKDv2 as it was published, without strings in the loop.

The rule walks along both lists of token strings and keeps what it has passed on each side, A and B.
A is always the beginning of the teacher's text and B that of the student's, so A == B is a statement
about two lengths: they are equal, and not beyond what the two texts have in common at their beginning.
The same holds for the equality of the next two strings once A == B.  So the host counts characters,
once for an example, and the walk compares integers.
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
"""What the rule deletes from every token string: how SentencePiece and byte-level BPE write a space."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenStrings:
    """How long the token strings of a text are, without markers."""

    lengths: Int[Array, "*b k"]
    """In characters; 0 where there is no token."""
    is_end: Bool[Array, "*b k"]
    """Whether the string is that of the end of a sequence."""
    count: Int[Array, "*b"]
    """Tokens of the text: they come first."""


class Prepared(NamedTuple):
    """What `align_greedily` takes."""

    student: TokenStrings
    teacher: TokenStrings
    common: Int[Array, " b"]
    """Characters that the two texts have in common at their beginning."""


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
        student: for each example the strings of its tokens, as the vocabulary spells them.
        teacher: those of the teacher's tokenizer, for the same examples.
        student_end: the string of the student's end of sequence.
        teacher_end: that of the teacher's.
        student_room: columns of the student's arrays; None for as many as the longest example needs.
        teacher_room: columns of the teacher's arrays.

    Returns:
        Arrays with one row an example, int32.

    Raises:
        ValueError: different numbers of examples, or one that is longer than the room for it.

    Source: songmzhang/DSKDv2@5025279, from a description.  Deviation: none; the equality of strings is
    decided by lengths and the common beginning.

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
    """The pairs that the published loop finds: equal strings behind equal strings, markers deleted.

    It is exact, with its weaknesses: a character that two tokenizers spell differently ends the
    alignment of a response, be it a newline or an emoji.  Use it to reproduce published results, and
    `exact_token.align` for everything else.

    Args:
        student: lengths of the student's token strings, from `prepare`.
        teacher: lengths of the teacher's.
        common: characters that the two texts have in common at their beginning.

    Returns:
        int32; slot i is that of token i of the shorter side, the student's where both are equally long.
        Exchanged sides give the same pairs.  It takes n + m steps.

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
    """Of one example."""
    room, others = student.lengths.shape[0], teacher.lengths.shape[0]
    if room > others:  # the rule does not know which side is which
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
        # The shorter side catches up; sides of equal length both go on, paired or not.
        moves_i, moves_j = going & (passed_i <= passed_j), going & (passed_j <= passed_i)
        after = (
            i + moves_i,
            j + moves_j,
            passed_i + jnp.where(moves_i, length_i, 0),
            passed_j + jnp.where(moves_j, length_j, 0),
        )
        return after, (jnp.where(paired, here_j, room), here_i)

    zero = jnp.zeros_like(common)
    _, (places, partners) = jax.lax.scan(step, (zero,) * 4, None, length=room + others)
    partner = jnp.full(room, -1, jnp.int32).at[places].set(partners, mode="drop")
    return pairs_of(partner, partner >= 0)


def _stripped(strings: Sequence[str]) -> Int[np.ndarray, " n"]:
    """The characters of a text as numbers."""
    text = "".join(strings).translate(dict.fromkeys(map(ord, MARKERS)))
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<i4")


def _common(ours: Int[np.ndarray, " n"], theirs: Int[np.ndarray, " m"]) -> int:
    """How many characters two texts share before the first that differs."""
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
