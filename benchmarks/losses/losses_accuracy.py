"""Accuracy of the losses: float32 and bfloat16 against float64 from the same rounded inputs."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment
from benchmarks.losses import float64_oracle
from benchmarks.losses.float64_oracle import Exact
from benchmarks.losses.loss_inputs import Inputs, Shape, draw
from benchmarks.losses.loss_step import (
    CROSS_ENTROPY,
    DIVERGENCES,
    IMPLEMENTATIONS,
    Implementation,
    concrete,
    cross_entropy_step,
    divergence_step,
    takes,
)
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.records import Hiddens

LOSS = Bar(relation="<=", limit=2e-6)
"""Bound on the error relative to the loss, or to 1 if that is larger."""
GRADIENT = Bar(relation="<=", limit=5e-6)
"""Bound on the norm of the error relative to the gradient's, the larger one of hidden states and head weight."""
BFLOAT16_KL = Bar(relation="<", limit=1e-3)

LARGE = Shape(tokens=64, vocabulary=151_936, width=32, teacher_width=48)
LONG = Shape(tokens=2048, vocabulary=4099, width=48, teacher_width=32)

LOSSES = (*DIVERGENCES, CROSS_ENTROPY)
QUICK_LOSSES = ("forward KL", "reverse KL", "Jensen-Shannon", CROSS_ENTROPY)

UNJUDGED_GRADIENTS = ("sorted Wasserstein",)
"""Losses whose gradient jumps where the sorted probabilities of the two sides cross.  In a large vocabulary these
nearly coincide, and no float32 arithmetic can distinguish the sides of a jump."""

PERTURBATION = 0.041
"""Distance of the bfloat16 student's hidden states from the teacher's, for a KL of about 3e-3 nats."""


def measure(quick: bool) -> Measured:
    """Measure the errors of every loss by every implementation; quick: four losses at the larger vocabulary."""
    shapes = (LARGE,) if quick else (LARGE, LONG)
    drawn = [draw(shape) for shape in shapes]
    # By default, a device may round the inputs of a float32 product: that is its choice, not the loss's error.
    with jax.default_matmul_precision("highest"):
        rows = [row for loss in (QUICK_LOSSES if quick else LOSSES) for row in _rows(loss, drawn)]
        rows += _bfloat16_rows(LARGE)
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="losses_accuracy",
    summary="errors of the losses and their gradients in float32 and bfloat16, against float64",
    measure=measure,
)


def _rows(loss: str, drawn: Sequence[Inputs]) -> list[Row]:
    """Return the largest errors of value and gradient over all inputs, for implementations that support the loss."""
    exact = [_exact(loss, inputs) for inputs in drawn]
    rows = []
    for implementation in IMPLEMENTATIONS:
        if not takes(implementation, loss):
            continue
        errors = [
            _errors(loss, implementation, inputs, weights, truth)
            for inputs, (truth, weights) in zip(drawn, exact, strict=True)
        ]
        value, gradient = (float(error) for error in np.max(errors, axis=0))
        bar = None if loss in UNJUDGED_GRADIENTS else GRADIENT
        rows.append(Row(figure=f"{loss} by {implementation}: loss", value=value, unit="", bar=LOSS))
        rows.append(Row(figure=f"{loss} by {implementation}: gradient", value=gradient, unit="", bar=bar))
    return rows


def _errors(
    loss: str, implementation: Implementation, inputs: Inputs, weights: np.ndarray, exact: Exact
) -> tuple[float, float]:
    """Return the error of the value, relative to it or to 1, and of the gradient, relative to its norm."""
    total, gradient = _computed(loss, implementation, inputs, weights)
    pairs = (gradient.values, exact.values_gradient), (gradient.head.weight, exact.weight_gradient)
    # Not max: that can skip a NaN.
    largest = np.max([_relative(computed, expected) for computed, expected in pairs])
    return abs(total - exact.total) / max(1.0, abs(exact.total)), float(largest)


def _exact(loss: str, inputs: Inputs) -> tuple[Exact, np.ndarray]:
    """Return the float64 result, and the float32 weights of a mean over the positions at which it can be compared."""
    counted = float64_oracle.smooth(loss, inputs)
    weights = (counted / counted.sum()).astype(np.float32)
    if loss == CROSS_ENTROPY:
        return float64_oracle.cross_entropy(inputs, weights), weights
    return float64_oracle.divergence(loss, inputs, weights), weights


def _computed(loss: str, implementation: Implementation, inputs: Inputs, weights: np.ndarray) -> tuple[float, Hiddens]:
    student, teacher = concrete(inputs, jnp.float32)
    if loss == CROSS_ENTROPY:
        total, gradient = cross_entropy_step(implementation)(student, jnp.asarray(inputs.labels), jnp.asarray(weights))
    else:
        total, gradient = divergence_step(loss, implementation)(student, teacher, jnp.asarray(weights))
    return float(total), gradient


def _relative(value: jax.Array, exact: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(value, np.float64) - exact) / np.linalg.norm(exact))


def _bfloat16_rows(shape: Shape) -> list[Row]:
    """Return the rows of the relative error of a small KL between two bfloat16 models."""
    inputs = _near_teacher(shape)
    weights = np.full(shape.tokens, 1 / shape.tokens, np.float32)
    exact = float64_oracle.divergence("forward KL", inputs, weights).total
    rows = [Row(figure="forward KL between two bfloat16 models", value=exact, unit="nats")]
    for implementation in IMPLEMENTATIONS:
        student, teacher = concrete(inputs, jnp.bfloat16)
        total, _ = divergence_step("forward KL", implementation)(student, teacher, jnp.asarray(weights))
        error = abs(float(total) - exact) / exact
        rows.append(
            Row(
                figure=f"forward KL between two bfloat16 models by {implementation}: relative error",
                value=error,
                unit="",
                bar=BFLOAT16_KL,
            )
        )
    return rows


def _near_teacher(shape: Shape) -> Inputs:
    """Return a student with the teacher's head and almost its hidden states, all exact in bfloat16."""
    inputs = draw(shape)
    rounded = functools.partial(np.asarray, dtype=jnp.bfloat16)
    noise = np.random.default_rng(1).standard_normal(inputs.teacher.shape, np.float32)
    weight = rounded(inputs.teacher_weight).astype(np.float32)
    return dataclasses.replace(
        inputs,
        teacher=rounded(inputs.teacher).astype(np.float32),
        teacher_weight=weight,
        student=rounded(inputs.teacher + PERTURBATION * noise).astype(np.float32),
        student_weight=weight,
    )
