"""Time and memory of the losses on a GPU in bfloat16, at the shapes that Liger publishes and the largest vocabulary."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import environment
from benchmarks.losses.loss_inputs import Shape
from benchmarks.losses.loss_step import DIVERGENCES, Implementation, takes
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.worker import Worker

REPEATS = 10

JUDGED = "Jensen-Shannon"
PUBLISHED = Shape(tokens=8192, vocabulary=128_256, width=4096, teacher_width=4096)
LARGEST = Shape(tokens=16_384, vocabulary=262_144, width=4096, teacher_width=4096)

IMPLEMENTATIONS: tuple[Implementation, ...] = ("token_chunk", "vocab_tile")

MILLISECONDS: dict[Implementation, Bar] = {
    "token_chunk": Bar(relation="<=", limit=67.0),
    "vocab_tile": Bar(relation="<=", limit=125.0),
}
PEAK: dict[Implementation, Bar] = {"token_chunk": Bar(relation="<=", limit=8.0)}
"""Bounds on the peak memory in GB, arguments and gradients included."""
TEMPORARY: dict[Implementation, Bar] = {"vocab_tile": Bar(relation="<=", limit=0.6)}
"""Bounds on the memory of the compiled plan in GB, without them."""

LIGER = (
    Row(figure="Liger, Jensen-Shannon, 8192 tokens: as published, not measured here", value=60.7, unit="ms"),
    Row(figure="Liger, its peak memory: as published, not measured here", value=11.1, unit="GB"),
)
"""Figures of Liger on an H100 80GB at the shapes of `PUBLISHED`, in bfloat16, forward and backward."""

Ask = Callable[..., dict[str, Any]]


def measure(quick: bool) -> Measured:
    """Measure milliseconds and GB; quick: only the published shapes.

    Raises:
        ChildProcessError: there is no GPU, or a step failed on it, for example out of memory.
    """
    rows = [row for implementation in IMPLEMENTATIONS for row in _alone(_judged_rows, implementation, PUBLISHED)]
    rows += LIGER
    if not quick:
        rows += [row for implementation in IMPLEMENTATIONS for row in _alone(_largest_rows, implementation, LARGEST)]
    return Measured(rows=tuple(rows), environment=environment.of(Path(sys.executable)))


BENCHMARK = Benchmark(
    name="losses_gpu",
    summary="milliseconds and memory of the losses on a GPU, in bfloat16 at large shapes",
    measure=measure,
)


def _alone(
    rows: Callable[[Ask, Implementation, Shape], list[Row]], implementation: Implementation, shape: Shape
) -> list[Row]:
    """Return rows from a separate process, which releases the GPU when it ends."""
    with Worker(Path(sys.executable), "benchmarks.losses.gpu_worker") as worker:
        return rows(worker.ask, implementation, shape)


def _judged_rows(ask: Ask, implementation: Implementation, shape: Shape) -> list[Row]:
    """Return time, peak and temporary memory of the divergence that has bars."""
    answer = _asked(ask, JUDGED, implementation, shape)
    label = f"{JUDGED} by {implementation}, {shape.tokens} tokens"
    rows = [Row.median(label, answer["milliseconds"], "ms", bar=MILLISECONDS[implementation])]
    if answer["peak_bytes"] is not None:
        rows.append(_gigabytes(f"{label}: peak memory", answer["peak_bytes"], PEAK.get(implementation)))
    rows.append(_gigabytes(f"{label}: temporary memory", answer["temporary_bytes"], TEMPORARY.get(implementation)))
    return rows


def _largest_rows(ask: Ask, implementation: Implementation, shape: Shape) -> list[Row]:
    """Return time and temporary memory of every divergence that the implementation supports."""
    rows = []
    for name in DIVERGENCES:
        if not takes(implementation, name):
            continue
        answer = _asked(ask, name, implementation, shape)
        label = f"{name} by {implementation}, {shape.tokens:,} tokens, vocabulary of {shape.vocabulary:,}"
        rows.append(Row.median(label, answer["milliseconds"], "ms"))
        rows.append(_gigabytes(f"{label}: temporary memory", answer["temporary_bytes"], None))
    return rows


def _asked(ask: Ask, divergence: str, implementation: Implementation, shape: Shape) -> dict[str, Any]:
    return ask(divergence=divergence, implementation=implementation, shape=dataclasses.asdict(shape), repeats=REPEATS)


def _gigabytes(figure: str, count: float, bar: Bar | None) -> Row:
    return Row(figure=figure, value=count / 1e9, unit="GB", bar=bar)
