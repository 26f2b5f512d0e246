"""Memory of the losses besides their arguments and gradients, from compiled plans, which need no arrays."""

import jax.numpy as jnp

from benchmarks import environment
from benchmarks.losses.loss_inputs import Shape
from benchmarks.losses.loss_step import IMPLEMENTATIONS, Implementation, abstract, divergence_step, temporary_bytes
from benchmarks.row import Bar, Benchmark, Measured, Row

TOKENS, WIDTH, TEACHER_WIDTH = 4096, 896, 3584
VOCABULARY = 151_936
VOCABULARIES = (32_768, 65_536, 98_304, 131_072, VOCABULARY, 196_608, 262_144)

BARS: dict[Implementation, Bar] = {
    "token_chunk": Bar(relation="<=", limit=1.0),
    "vocab_tile": Bar(relation="<=", limit=0.25),
}
"""Bounds in GiB at `VOCABULARY`.  The reference is the baseline and has no bar."""

JUDGED = ("forward KL", "reverse KL", "Jensen-Shannon")
DRAWN = "forward KL"
"""Divergence also measured at `VOCABULARIES`, for the figure of `plot_losses_memory`."""


def measure(quick: bool) -> Measured:
    """Measure GiB of a value and its gradient in float32, 4,096 tokens, widths 896 and 3,584; quick: one vocabulary."""
    rows = [
        Row(
            figure=figure(divergence, implementation, VOCABULARY),
            value=_gibibytes(divergence, implementation, VOCABULARY),
            unit="GiB",
            bar=BARS.get(implementation),
        )
        for divergence in JUDGED
        for implementation in IMPLEMENTATIONS
    ]
    others = () if quick else tuple(size for size in VOCABULARIES if size != VOCABULARY)
    rows += [
        Row(figure=figure(DRAWN, implementation, size), value=_gibibytes(DRAWN, implementation, size), unit="GiB")
        for implementation in IMPLEMENTATIONS
        for size in others
    ]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="losses_memory",
    summary="temporary memory of the losses, from the compiled plans of value and gradient",
    measure=measure,
)


def figure(divergence: str, implementation: Implementation, vocabulary: int) -> str:
    """Return the name of a row, by which `plot_losses_memory` finds it."""
    return f"{divergence} by {implementation}, vocabulary of {vocabulary:,}"


def _gibibytes(divergence: str, implementation: Implementation, vocabulary: int) -> float:
    shape = Shape(tokens=TOKENS, vocabulary=vocabulary, width=WIDTH, teacher_width=TEACHER_WIDTH)
    step = divergence_step(divergence, implementation)
    return temporary_bytes(step.lower(*abstract(shape, jnp.float32)).compile()) / 2**30
