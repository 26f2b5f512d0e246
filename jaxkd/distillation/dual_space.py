"""Spaces in which dual-space distillation compares two models: both, or one of them, to see what each is worth."""

from typing import Literal, TypeAlias, get_args

from jaxkd.records import Mean

Spaces: TypeAlias = Literal["both", "student", "teacher"]
"""Spaces whose terms are in the loss: the student's, into which the teacher is projected, the teacher's, or both."""


def require_spaces(spaces: Spaces) -> None:
    """Reject an unknown choice of spaces.

    Raises:
        ValueError: an unknown choice.
    """
    if spaces not in get_args(Spaces):
        raise ValueError(f"spaces must be one of {', '.join(get_args(Spaces))}, got {spaces!r}.")


def rates(spaces: Spaces, kd_rate: float) -> tuple[float, float]:
    """Return the weights of the terms in the student's space and in the teacher's.

    Example:
        >>> rates("student", 0.5)
        (0.5, 0.0)
    """
    return kd_rate * (spaces != "teacher"), kd_rate * (spaces != "student")


def compared(spaces: Spaces, in_student: dict[str, Mean], in_teacher: dict[str, Mean]) -> dict[str, Mean]:
    """Return the metrics of the spaces that are compared: a term without a weight has no value."""
    return (in_student if spaces != "teacher" else {}) | (in_teacher if spaces != "student" else {})
