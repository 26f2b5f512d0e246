"""The alignment loop of DSKDv2 in plain Python, written from a description of songmzhang/DSKDv2@5025279.

The oracle of `jaxkd.alignment.greedy`, and the baseline of the alignment's speed on a device.
"""

from collections.abc import Sequence


def greedy_pairs(
    teacher: Sequence[str], student: Sequence[str], *, teacher_end: str, student_end: str
) -> list[tuple[int, int]]:
    """Return the pairs (teacher's position, student's position) of token strings, in order."""
    teacher_strings = [string.replace("▁", "").replace("Ġ", "") for string in teacher]
    student_strings = [string.replace("▁", "").replace("Ġ", "") for string in student]
    pairs = []
    i, j = 0, 0
    teacher_text, student_text = "", ""
    while i < len(teacher_strings) and j < len(student_strings):
        theirs, ours = teacher_strings[i], student_strings[j]
        both_end = teacher[i] == teacher_end and student[j] == student_end
        if teacher_text == student_text and (theirs == ours or both_end):
            pairs.append((i, j))
            teacher_text, student_text = teacher_text + theirs, student_text + ours
            i, j = i + 1, j + 1
        elif len(teacher_text) > len(student_text):
            student_text += ours
            j += 1
        elif len(teacher_text) < len(student_text):
            teacher_text += theirs
            i += 1
        else:
            teacher_text, student_text = teacher_text + theirs, student_text + ours
            i, j = i + 1, j + 1
    return pairs
