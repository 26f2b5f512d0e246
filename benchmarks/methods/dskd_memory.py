"""Memory of DSKD's losses between two vocabularies besides their arguments and gradients, from the compiled plans."""

from benchmarks import environment
from benchmarks.losses.loss_step import Implementation, temporary_bytes
from benchmarks.methods.dskd_step import Shape, abstract, step
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.kernels import FROZEN_HEAD, TokenChunk

SHAPE = Shape(tokens=4096, vocabulary=151_936, width=896, teacher_vocabulary=128_256, teacher_width=3072)

Way = Implementation | TokenChunk

WAYS: dict[str, tuple[Way, Way]] = {
    "reference": ("reference", "reference"),
    "auto": ("auto", "auto"),
    "what the recipes take": ("auto", FROZEN_HEAD),
    "vocab_tile": ("vocab_tile", "vocab_tile"),
}
"""Implementations for the term whose head is trained, and for the two whose head is frozen."""

BAR = Bar(relation="<=", limit=1.5)
"""Bound in GiB on the memory-efficient ways: the reference is the baseline, and "auto" is meant to be fast."""
JUDGED = ("what the recipes take", "vocab_tile")


def measure(quick: bool) -> Measured:
    """Measure GiB of a value and its gradient in float32."""
    del quick
    rows = tuple(
        Row(figure=figure(name), value=_gibibytes(*way), unit="GiB", bar=BAR if name in JUDGED else None)
        for name, way in WAYS.items()
    )
    return Measured(rows=rows, environment=environment.here())


BENCHMARK = Benchmark(
    name="dskd_memory",
    summary="temporary memory of DSKD's losses between two vocabularies, from the compiled plan of value and gradient",
    measure=measure,
)


def figure(name: str) -> str:
    """Return the name of a row."""
    return (
        f"t2s_ce + t2s_kd + s2t_kd by {name}, {SHAPE.tokens:,} targets, vocabularies of "
        f"{SHAPE.vocabulary:,} and {SHAPE.teacher_vocabulary:,}"
    )


def _gibibytes(trained: Way, frozen: Way) -> float:
    return temporary_bytes(step(trained, frozen=frozen).lower(abstract(SHAPE)).compile()) / 2**30
