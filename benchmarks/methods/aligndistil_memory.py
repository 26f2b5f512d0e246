"""Memory of AlignDistil's loss besides its arguments and gradients, from the compiled plans."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks import environment
from benchmarks.losses.loss_step import temporary_bytes
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.losses import linear_contrast
from jaxkd.losses.linear.contrast import Implementation
from jaxkd.records import Head, Hiddens

TOKENS, VOCABULARY, WIDTH = 2048, 151_936, 896

BARS: dict[Implementation, float | None] = {"reference": None, "token_chunk": 1.1, "vocab_tile": 0.5}
"""Bounds in GiB; the reference is the baseline."""


def measure(quick: bool) -> Measured:
    """Measure GiB of a value and its gradient to the student's hidden states and head, in float32."""
    del quick
    rows = tuple(
        Row(
            figure=f"AlignDistil by {name}, {TOKENS:,} tokens, vocabulary of {VOCABULARY:,}, three widths of {WIDTH}",
            value=temporary_bytes(_step(name).lower(*_models()).compile()) / 2**30,
            unit="GiB",
            bar=None if limit is None else Bar(relation="<=", limit=limit),
        )
        for name, limit in BARS.items()
    )
    return Measured(rows=rows, environment=environment.here())


BENCHMARK = Benchmark(
    name="aligndistil_memory",
    summary="temporary memory of AlignDistil's loss, from the compiled plan of value and gradient",
    measure=measure,
)


def _step(implementation: Implementation) -> Callable:
    def loss(student: Hiddens, first: Hiddens, second: Hiddens) -> jax.Array:
        weights = jnp.full(student.values.shape[:-1], 1 / TOKENS)
        return linear_contrast(student, first, second, weights=weights, scale=20.0, implementation=implementation).total

    return jax.jit(jax.value_and_grad(loss))


def _models() -> tuple[Hiddens, Hiddens, Hiddens]:
    """Return the abstract student, DPO model and reverse DPO model."""
    head = Head(weight=jax.ShapeDtypeStruct((VOCABULARY, WIDTH), jnp.float32), vocab_size=VOCABULARY)
    one = Hiddens(values=jax.ShapeDtypeStruct((TOKENS, WIDTH), jnp.float32), head=head)
    return one, one, one
