"""Nearest student token of each teacher token by edit distance, through which MinED reads a teacher's distribution."""

import dataclasses
import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from jaxkd.alignment.edit_distance import nearest_texts
from jaxkd.runtime.packages import cache_folder
from jaxkd.runtime.progress import progress
from jaxkd.tokenizers.loading import fingerprint
from jaxkd.tokenizers.pieces import token_bytes
from jaxkd.tokenizers.reader import Reader
from jaxkd.tokenizers.vocabulary import relate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_VERSION = "1"
"""Version of cached files: a new rule needs a new number."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class VocabularyMapping:
    """Mapping between the tokens of a student and of a teacher."""

    student_of_teacher: Int[np.ndarray, " vt"]
    """Student's token for each row of the teacher's head; -1 for a row without a token."""
    teacher_of_student: Int[np.ndarray, " vs"]
    """First of the teacher's tokens that map to each row of the student's head; -1 if none does."""

    @classmethod
    def of(cls, student_of_teacher: Int[np.ndarray, " vt"], student_size: int) -> "VocabularyMapping":
        """Build both directions from the first."""
        teacher_of_student = np.full(student_size, -1, np.int32)
        teachers = np.flatnonzero(student_of_teacher >= 0)[::-1]  # the last write is the first token
        teacher_of_student[student_of_teacher[teachers]] = teachers
        return cls(student_of_teacher=student_of_teacher, teacher_of_student=teacher_of_student)


def nearest_tokens(
    student: "PreTrainedTokenizerBase", teacher: "PreTrainedTokenizerBase", *, student_size: int, teacher_size: int
) -> VocabularyMapping:
    """Map each teacher token to the student token at the least edit distance, which is 0 for a shared token.

    Shared tokens, by `jaxkd.tokenizers.vocabulary.relate`, come first.  The others are compared by the bytes that they
    stand for, without spaces; ties go to the lowest id.  The result is stored in the cache: computing it takes seconds
    to minutes, depending on the number of tokens that are not shared.

    Args:
        student: tokenizer that runs on the `tokenizers` library.
        teacher: tokenizer of the same kind.
        student_size: rows of the student's head; tokens beyond it are left out.
        teacher_size: rows of the teacher's head, likewise.

    Raises:
        TypeError: as `relate`.
        ValueError: as `relate`.

    Source: MinED (FuseLLM, arXiv 2401.10491, section 3.2), whose mapping songmzhang/DSKD@077337a reads.
    Deviation: bytes, where that code compares spellings without "▁" and "Ġ"; special tokens with the same role are the
    same, however they are spelled.
    """
    path = _path(student, teacher, student_size, teacher_size)
    if path.exists():
        student_of_teacher = np.load(path)
    else:
        student_of_teacher = _nearest(student, teacher, student_size, teacher_size)
        _save(path, student_of_teacher)
    return VocabularyMapping.of(student_of_teacher, student_size)


@functools.lru_cache(maxsize=8)
def mapping(student: Reader, teacher: Reader) -> VocabularyMapping:
    """Compute `nearest_tokens` of two checkpoints, once per process.

    Raises:
        TypeError: as `relate`.
        ValueError: as `relate`.
    """
    return nearest_tokens(
        student.tokenizer(),
        teacher.tokenizer(),
        student_size=student.config().vocab_size,
        teacher_size=teacher.config().vocab_size,
    )


def _nearest(
    student: "PreTrainedTokenizerBase", teacher: "PreTrainedTokenizerBase", student_size: int, teacher_size: int
) -> Int[np.ndarray, " vt"]:
    relation = relate(student, teacher, student_size=student_size, teacher_size=teacher_size)
    ours, theirs = (
        {index: text.replace(b" ", b"") for index, text in sorted(token_bytes(tokenizer).items()) if index < size}
        for tokenizer, size in ((student, student_size), (teacher, teacher_size))
    )
    mapping = np.full(teacher_size, -1, np.int32)
    mapping[relation.teacher_ids] = relation.student_ids
    others = [index for index in theirs if mapping[index] < 0]
    if others:
        with progress(len(others), "nearest tokens") as bar:
            nearest = nearest_texts([theirs[index] for index in others], list(ours.values()), done=bar.update)
        mapping[others] = np.array(list(ours))[nearest]
    return mapping


def _path(
    student: "PreTrainedTokenizerBase", teacher: "PreTrainedTokenizerBase", student_size: int, teacher_size: int
) -> Path:
    """Return a path named by all that the mapping depends on."""
    parts = (_VERSION, fingerprint(student), fingerprint(teacher), str(student_size), str(teacher_size))
    name = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    return cache_folder() / "vocabulary_mappings" / f"{name}.npy"


def _save(path: Path, mapping: Int[np.ndarray, " vt"]) -> None:
    """Write a file that appears complete or not at all, even if two processes write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        partial = Path(folder) / path.name
        np.save(partial, mapping)
        os.replace(partial, path)
