"""Each teacher token's nearest student token, by edit distance: what MinED reads a teacher's distribution through."""

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
"""Of what a cached file holds: another rule needs another number."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class VocabularyMapping:
    """Which token of a student stands for which of a teacher."""

    student_of_teacher: Int[np.ndarray, " vt"]
    """The student's token for each row of the teacher's head; -1 for a row that is no token."""
    teacher_of_student: Int[np.ndarray, " vs"]
    """The first of the teacher's tokens that lead to each row of the student's head; -1 where none does."""

    @classmethod
    def of(cls, student_of_teacher: Int[np.ndarray, " vt"], student_size: int) -> "VocabularyMapping":
        """Both directions from the first one."""
        teacher_of_student = np.full(student_size, -1, np.int32)
        teachers = np.flatnonzero(student_of_teacher >= 0)[::-1]  # the last write is the first token
        teacher_of_student[student_of_teacher[teachers]] = teachers
        return cls(student_of_teacher=student_of_teacher, teacher_of_student=teacher_of_student)


def nearest_tokens(
    student: "PreTrainedTokenizerBase", teacher: "PreTrainedTokenizerBase", *, student_size: int, teacher_size: int
) -> VocabularyMapping:
    """Map each teacher token to the student's token of the least edit distance, which is 0 for a token they share.

    Tokens that are the same, by `jaxkd.tokenizers.vocabulary.relate`, come first.  The others are compared by the
    bytes that they stand for, without spaces; of several at one distance the lowest id is taken.  The result is kept
    in the cache: making it takes seconds to minutes, by the number of tokens that they do not share.

    Args:
        student: a tokenizer that runs on the `tokenizers` library.
        teacher: another one.
        student_size: rows of the student's head; tokens beyond it are left out.
        teacher_size: the same of the teacher.

    Raises:
        TypeError: as `relate`.
        ValueError: as `relate`.

    Source: MinED (FuseLLM, arXiv 2401.10491, section 3.2), whose mapping songmzhang/DSKD@077337a reads.
    Deviation: bytes, where that code compares spellings without "▁" and "Ġ"; special tokens that have one role are the
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
    """`nearest_tokens` of two checkpoints; once per process.

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
            places = nearest_texts([theirs[index] for index in others], list(ours.values()), done=bar.update)
        mapping[others] = np.array(list(ours))[places]
    return mapping


def _path(
    student: "PreTrainedTokenizerBase", teacher: "PreTrainedTokenizerBase", student_size: int, teacher_size: int
) -> Path:
    """Named by everything that the mapping depends on."""
    parts = (_VERSION, fingerprint(student), fingerprint(teacher), str(student_size), str(teacher_size))
    name = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    return cache_folder() / "vocabulary_mappings" / f"{name}.npy"


def _save(path: Path, mapping: Int[np.ndarray, " vt"]) -> None:
    """The file appears complete or not at all, though two processes write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        partial = Path(folder) / path.name
        np.save(partial, mapping)
        os.replace(partial, path)
