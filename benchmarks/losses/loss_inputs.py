"""Inputs of the losses, the same numbers in every process.

This file imports only NumPy and the standard library, so that a peer's driver samples the same inputs.
"""

import dataclasses

import numpy as np

LOGIT_SCALE = 2.0
"""Standard deviation of the logits of the tokens that a position does not favour, at a large width."""
FAVOURED = 7.0
"""Height of the logit of a position's label above the rest, in these standard deviations."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Size of a loss: positions, and two heads over one vocabulary."""

    tokens: int
    vocabulary: int
    width: int
    """Width of the student's hidden states."""
    teacher_width: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Hidden states [tokens, width], head weights [vocabulary, width] in float32, and one label per position."""

    student: np.ndarray
    student_weight: np.ndarray
    teacher: np.ndarray
    teacher_weight: np.ndarray
    labels: np.ndarray


def draw(shape: Shape, *, seed: int = 0) -> Inputs:
    """Return random inputs that resemble a language model and its teacher.

    A position has one likely token, its label; the narrower side holds the first columns of the wider one, so that
    the two are about a nat apart.
    """
    rng = np.random.default_rng(seed)
    width = max(shape.width, shape.teacher_width)
    labels = rng.integers(shape.vocabulary, size=shape.tokens)
    values = rng.standard_normal((shape.tokens, width), np.float32)
    weight = rng.standard_normal((shape.vocabulary, width), np.float32)
    student, student_weight = _side(values[:, : shape.width], weight[:, : shape.width], labels)
    teacher, teacher_weight = _side(values[:, : shape.teacher_width], weight[:, : shape.teacher_width], labels)
    return Inputs(
        student=student,
        student_weight=student_weight,
        teacher=teacher,
        teacher_weight=teacher_weight,
        labels=labels.astype(np.int32),
    )


def _side(values: np.ndarray, weight: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    root = np.float32(weight.shape[1] ** 0.5)
    return values + np.float32(FAVOURED) / root * weight[labels], np.float32(LOGIT_SCALE) / root * weight
