"""One step of a loss, forward and backward from hidden states and heads, by each of the library's implementations."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import jax
import jax.numpy as jnp

from benchmarks.losses.loss_inputs import Inputs, Shape
from jaxkd.kernels import Divergence, SeparableDivergence, TokenChunk, linear_cross_entropy, linear_divergence
from jaxkd.losses import (
    AdaptiveKL,
    AlphaBeta,
    ForwardKL,
    JensenShannon,
    ReverseKL,
    SkewForwardKL,
    SkewReverseKL,
    SymmetricKL,
    TotalVariation,
    WassersteinSorted,
)
from jaxkd.records import Head, Hiddens

Implementation = Literal["auto", "reference", "token_chunk", "vocab_tile"]
IMPLEMENTATIONS: tuple[Implementation, ...] = ("reference", "token_chunk", "vocab_tile")

DIVERGENCES: Mapping[str, Divergence] = MappingProxyType(
    {
        "forward KL": ForwardKL(),
        "reverse KL": ReverseKL(),
        "symmetric KL": SymmetricKL(),
        "Jensen-Shannon": JensenShannon(),
        "skew forward KL": SkewForwardKL(),
        "skew reverse KL": SkewReverseKL(),
        "adaptive KL": AdaptiveKL(),
        "alpha-beta": AlphaBeta(),
        "total variation": TotalVariation(),
        "sorted Wasserstein": WassersteinSorted(),
    }
)
"""Divergences by their name in a row, with the default hyper-parameters."""

CROSS_ENTROPY = "cross entropy"

Step = jax.stages.Wrapped
"""A jitted function that returns the total, and its gradient with respect to the student's hidden states and head."""


def takes(implementation: Implementation, loss: str) -> bool:
    """Whether an implementation supports the loss of that name: a tile sees only a part of each distribution."""
    if implementation != "vocab_tile" or loss == CROSS_ENTROPY:
        return True
    return isinstance(DIVERGENCES[loss], SeparableDivergence)


def divergence_step(name: str, implementation: Implementation | TokenChunk) -> Step:
    """Return the step (student, teacher, weights) of a divergence."""
    divergence = DIVERGENCES[name]

    def total(student: Hiddens, teacher: Hiddens, weights: jax.Array) -> jax.Array:
        return linear_divergence(
            student, teacher, weights=weights, divergence=divergence, implementation=implementation
        ).total

    return jax.jit(jax.value_and_grad(total))


def cross_entropy_step(implementation: Implementation) -> Step:
    """Return the step (student, labels, weights) of the cross entropy."""

    def total(student: Hiddens, labels: jax.Array, weights: jax.Array) -> jax.Array:
        return linear_cross_entropy(student, labels, weights=weights, implementation=implementation).total

    return jax.jit(jax.value_and_grad(total))


def abstract(shape: Shape, dtype: jnp.dtype) -> tuple[Hiddens, Hiddens, jax.ShapeDtypeStruct]:
    """Return student, teacher and weights as shapes, for a step that is compiled but not run."""

    def side(width: int) -> Hiddens:
        return records(
            jax.ShapeDtypeStruct((shape.tokens, width), dtype), jax.ShapeDtypeStruct((shape.vocabulary, width), dtype)
        )

    return side(shape.width), side(shape.teacher_width), jax.ShapeDtypeStruct((shape.tokens,), jnp.float32)


def concrete(inputs: Inputs, dtype: jnp.dtype) -> tuple[Hiddens, Hiddens]:
    """Return student and teacher on the device."""

    def side(values: Any, weight: Any) -> Hiddens:
        return records(jnp.asarray(values, dtype), jnp.asarray(weight, dtype))

    return side(inputs.student, inputs.student_weight), side(inputs.teacher, inputs.teacher_weight)


def records(values: Any, weight: Any) -> Hiddens:
    """Return hidden states and the head over all of its rows."""
    return Hiddens(values=values, head=Head(weight=weight, vocab_size=weight.shape[0]))


def temporary_bytes(compiled: jax.stages.Compiled) -> int:
    """Return the memory that a compiled step needs besides its arguments and its results, the gradients."""
    return compiled.memory_analysis().temp_size_in_bytes
