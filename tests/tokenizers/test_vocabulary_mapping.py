"""Each teacher token's nearest student token, of hand-made tokenizers, and its file."""

import os

import numpy as np
import pytest

from jaxkd.runtime.packages import cache_folder
from jaxkd.tokenizers import vocabulary_mapping
from jaxkd.tokenizers.vocabulary_mapping import VocabularyMapping, nearest_tokens
from tests.tokenizers.test_vocabulary import byte_level, sentence_piece

STUDENT = byte_level(["cat", "Ġcat", "dog", "do", "Ġ", "Ċ"], special=["<eos>"], eos="<eos>")
TEACHER = sentence_piece(["▁cat", "cut", "▁dogs", "do", "<0x0A>", "▁▁", "xyz"], special=["</s>"], eos="</s>")
SIZES = {"student_size": 8, "teacher_size": 9}  # one row behind the tokens of either


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path))


def test_hand_values(capfd):
    mapping = nearest_tokens(STUDENT, TEACHER, **SIZES)
    # The same token first, its spaces included; then by edit distance without spaces, the lowest id of equals: "xyz" is
    # three edits from all of "cat", "dog", "do" and the spaces.
    assert mapping.student_of_teacher.tolist() == [1, 0, 2, 3, 5, 4, 0, 6, -1]
    assert mapping.teacher_of_student.tolist() == [1, 0, 2, 3, 5, 4, 7, -1]
    assert "nearest tokens 4/4" in capfd.readouterr().err


def test_of_several_teacher_tokens_the_first_stands_for_a_student_token():
    mapping = VocabularyMapping.of(np.array([2, -1, 0, 2, 0], np.int32), 4)
    assert mapping.teacher_of_student.tolist() == [2, -1, 0, -1]


def test_a_tokenizer_is_mapped_onto_itself():
    mapping = nearest_tokens(STUDENT, STUDENT, student_size=8, teacher_size=8)
    assert mapping.student_of_teacher.tolist() == [0, 1, 2, 3, 4, 5, 6, -1]
    assert mapping.teacher_of_student.tolist() == [0, 1, 2, 3, 4, 5, 6, -1]


def test_tokens_without_a_row_are_left_out():
    mapping = nearest_tokens(STUDENT, TEACHER, student_size=2, teacher_size=3)
    assert mapping.student_of_teacher.tolist() == [1, 0, 0]
    assert mapping.teacher_of_student.tolist() == [1, 0]


def test_it_is_computed_once_and_kept_under_what_it_depends_on(monkeypatch):
    first = nearest_tokens(STUDENT, TEACHER, **SIZES)
    folder = cache_folder() / "vocabulary_mappings"
    assert len(os.listdir(folder)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(vocabulary_mapping, "nearest_texts", None)  # would be called
        again = nearest_tokens(STUDENT, TEACHER, **SIZES)
    np.testing.assert_array_equal(again.student_of_teacher, first.student_of_teacher)
    nearest_tokens(TEACHER, STUDENT, student_size=9, teacher_size=8)
    nearest_tokens(STUDENT, TEACHER, student_size=6, teacher_size=9)
    assert len(os.listdir(folder)) == 3


def test_what_is_stopped_while_it_writes_leaves_no_mapping(monkeypatch):
    def stop(file, array):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            nearest_tokens(STUDENT, TEACHER, **SIZES)
    assert nearest_tokens(STUDENT, TEACHER, **SIZES).student_of_teacher[1] == 0
