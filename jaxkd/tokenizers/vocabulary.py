"""Relation of two models' vocabularies, by the bytes that tokens stand for, not by their spelling."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from jaxkd.tokenizers.pieces import Meaning, meanings
from jaxkd.tokenizers.reader import Reader

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Kind: TypeAlias = Literal["identical", "padded", "overlapping", "disjoint"]

_OTHER_METHODS = (
    "Different vocabularies take a cross-vocabulary method: DSKD with cross-model attention, DSKDv2 with exact token "
    "alignment, ULD, MinED, ALM or GOLD."
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Relation:
    """Relation of a student's and a teacher's vocabulary, and the tokens that they share."""

    kind: Kind
    """identical: the same tokens under the same ids, and heads of one size.  padded: the same tokens
    under the same ids, but one head has more rows, or one tokenizer has further tokens after the
    last of the other.  overlapping: some tokens in common, not all under the same ids.  disjoint: none."""
    student_size: int
    """Rows of the student's head, tokens or not."""
    teacher_size: int
    student_tokens: int
    """Tokens of the student's tokenizer that its head has a row for."""
    teacher_tokens: int
    common_prefix_size: int
    """Number of leading rows that are the same token, or none, in both heads.  0 unless identical or padded."""
    student_ids: Int[np.ndarray, " n"]
    """Ids of the shared tokens, ascending."""
    teacher_ids: Int[np.ndarray, " n"]
    """Ids of the same tokens in the teacher's vocabulary."""

    @property
    def shared(self) -> int:
        """Number of tokens in common."""
        return len(self.student_ids)

    @property
    def student_of_teacher(self) -> Int[np.ndarray, " v"]:
        """Student's id for each row of the teacher's head, -1 if it has no such token."""
        ids = np.full(self.teacher_size, -1, np.int32)
        ids[self.teacher_ids] = self.student_ids
        return ids

    def __str__(self) -> str:
        """Return the relation in one sentence."""
        counts = f"{self.student_tokens:,} tokens of the student and {self.teacher_tokens:,} of the teacher"
        match self.kind:
            case "identical":
                return f"Student and teacher have the same {self.shared:,} tokens under the same ids."
            case "padded":
                return (
                    f"Of {counts}, {self.shared:,} are the same under the same ids; their heads, of "
                    f"{self.student_size:,} and {self.teacher_size:,} rows, share the first "
                    f"{self.common_prefix_size:,}."
                )
            case "overlapping":
                return f"Of {counts}, {self.shared:,} are the same, not all under the same ids."
            case "disjoint":
                return f"Of {counts}, none are the same."


def relate(
    student: "PreTrainedTokenizerBase", teacher: "PreTrainedTokenizerBase", *, student_size: int, teacher_size: int
) -> Relation:
    """Compare two vocabularies token by token.

    Two tokens are the same if they stand for the same bytes, and special tokens if they have the same
    text or role.  The end of a sequence is paired first, since it ends an answer, however it is
    spelled; special tokens whose texts differ are paired by beginning, unknown and padding.  A special
    token is never the same as an ordinary one of that text.

    Args:
        student: tokenizer that runs on the `tokenizers` library.
        teacher: tokenizer of the same kind.
        student_size: `vocab_size` of the student's model, the rows of its head.  Tokens beyond it are
            left out: the model can neither read nor predict them.
        teacher_size: `vocab_size` of the teacher's model, likewise.

    Raises:
        TypeError: a tokenizer that does not run on the `tokenizers` library.
        ValueError: tokens in an unsupported spelling, or a size below 1.

    Source: the overlap of songmzhang/DSKDv2@5025279 and the pairs of songmzhang/KDFlow@3a7a21a.
    Deviation: those compare spellings, with one character for a space replaced.
    """
    for name, size in (("student_size", student_size), ("teacher_size", teacher_size)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, the vocab_size of a model, got {size}.")
    ours, theirs = meanings(student, student_size), meanings(teacher, teacher_size)
    common_prefix_size = _shared_size(ours, theirs, student_size, teacher_size)
    if common_prefix_size:
        ids = np.array(sorted(ours.keys() & theirs.keys()), np.int32)
        whole = student_size == teacher_size == common_prefix_size
        kind, student_ids, teacher_ids = ("identical" if whole else "padded"), ids, ids
    else:
        pairs = sorted(_pairs(ours, theirs))
        kind = "overlapping" if pairs else "disjoint"
        student_ids, teacher_ids = np.array(pairs, np.int32).reshape(-1, 2).T
    return Relation(
        kind=kind,
        student_size=student_size,
        teacher_size=teacher_size,
        student_tokens=len(ours),
        teacher_tokens=len(theirs),
        common_prefix_size=common_prefix_size,
        student_ids=student_ids,
        teacher_ids=teacher_ids,
    )


@functools.lru_cache(maxsize=8)
def relation(student: Reader, teacher: Reader) -> Relation:
    """Relate two checkpoints by their tokenizers and configs, once per process.

    Raises:
        TypeError: as `relate`.
        ValueError: as `relate`.
        FileNotFoundError: a checkpoint without a tokenizer.
    """
    return relate(
        student.tokenizer(),
        teacher.tokenizer(),
        student_size=student.config().vocab_size,
        teacher_size=teacher.config().vocab_size,
    )


def common_prefix_size(student: Reader, teacher: Reader) -> int:
    """Return the number of leading rows with the same tokens in two heads; 0 if the vocabularies differ.

    If the files of one are not local, as in a plan, it is the number of rows that both heads have: as many or a few
    more.
    """
    if student.planned or teacher.planned:
        return min(student.config().vocab_size, teacher.config().vocab_size)
    if student.path == teacher.path:
        return student.config().vocab_size
    return relation(student, teacher).common_prefix_size


def require_shared(student: Reader, teacher: Reader, *, method: str) -> None:
    """Reject two vocabularies for a method that compares distributions over one.

    Nothing is rejected while the files of one are not local: a run's stream reads the tokenizers of both first.

    Raises:
        ValueError: vocabularies that differ in more than padding.
    """
    if common_prefix_size(student, teacher) == 0:
        raise ValueError(
            f"student and teacher must share one vocabulary in {method}, got {student.path} and {teacher.path}. "
            f"{relation(student, teacher)} {_OTHER_METHODS}"
        )


def require_overlap(student: Reader, teacher: Reader, *, method: str) -> None:
    """Reject two vocabularies without a token in common for a method that needs some; files as in `require_shared`.

    Raises:
        ValueError: no token in common.
    """
    if student.planned or teacher.planned:
        return
    if relation(student, teacher).kind == "disjoint":
        raise ValueError(
            f"student and teacher must have tokens in common in {method}, got {student.path} and {teacher.path}. "
            f"{relation(student, teacher)} DSKDCrossAttention and ULD need none."
        )


def _shared_size(ours: dict[int, Meaning], theirs: dict[int, Meaning], our_size: int, their_size: int) -> int:
    """Return the number of equal leading rows, if all tokens of one side have the same ids on the other; else 0."""
    common = ours.keys() & theirs.keys()
    if not common or len(common) < min(len(ours), len(theirs)):
        return 0
    if not all(_same(ours[index], theirs[index]) for index in common):
        return 0
    further = min(ours.keys() ^ theirs.keys(), default=None)
    if further is None:
        return min(our_size, their_size)
    return 0 if further < max(common) else min(our_size, their_size, further)


def _same(ours: Meaning, theirs: Meaning) -> bool:
    return not set(ours.names).isdisjoint(theirs.names) or not set(ours.roles).isdisjoint(theirs.roles)


def _pairs(ours: dict[int, Meaning], theirs: dict[int, Meaning]) -> Iterator[tuple[int, int]]:
    """Yield ids of the same token on both sides, each id at most once."""
    our_roles, their_roles = _by_role(ours), _by_role(theirs)
    our_names, their_names = _by_name(ours), _by_name(theirs)
    used, taken = set(), set()
    for our, their in (
        *_matches(our_roles, their_roles, ("eos",)),
        *_matches(our_names, their_names, our_names),
        *_matches(our_roles, their_roles, ("bos", "unk", "pad")),
    ):
        if our not in used and their not in taken:
            used.add(our)
            taken.add(their)
            yield our, their


def _matches(ours: Mapping[Any, int], theirs: Mapping[Any, int], keys: Iterable[Any]) -> Iterator[tuple[int, int]]:
    return ((ours[key], theirs[key]) for key in keys if key in ours and key in theirs)


def _by_role(meanings: dict[int, Meaning]) -> dict[str, int]:
    return {role: index for index, meaning in meanings.items() for role in meaning.roles}


def _by_name(meanings: dict[int, Meaning]) -> dict[tuple[str, bytes], int]:
    """Return the token of each name: the first whose best name it is, so "A" is a piece, not a fallback byte."""
    found: dict[tuple[str, bytes], int] = {}
    for place in range(2):
        for index, meaning in meanings.items():
            for name in meaning.names[place : place + 1]:
                found.setdefault(name, index)
    return found
