"""What DSKD's losses between two vocabularies need besides their arguments and gradients: the compiled plans."""

from benchmarks import environment
from benchmarks.dskd_step import Shape, abstract, step
from benchmarks.loss_step import Implementation, temporary_bytes
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.kernels import TokenChunk

SHAPE = Shape(tokens=4096, vocabulary=151_936, width=896, teacher_vocabulary=128_256, teacher_width=3072)

WAYS: dict[str, Implementation | TokenChunk] = {
    "reference": "reference",
    "auto": "auto",
    "token_chunk of 256": TokenChunk(chunk=256),
    "vocab_tile": "vocab_tile",
}
BAR = Bar(relation="<=", limit=1.5)
"""GiB of what is asked to be small: the reference is what the others save memory against, and "auto" to be fast."""
JUDGED = ("token_chunk of 256", "vocab_tile")


def measure(quick: bool) -> Measured:
    """GiB of a value and its gradient in float32."""
    del quick
    rows = tuple(
        Row(figure=figure(name), value=_gibibytes(way), unit="GiB", bar=BAR if name in JUDGED else None)
        for name, way in WAYS.items()
    )
    return Measured(rows=rows, environment=environment.here())


BENCHMARK = Benchmark(
    name="dskd_memory",
    summary="temporary memory of DSKD's losses between two vocabularies, from the compiled plan of value and gradient",
    measure=measure,
)


def figure(name: str) -> str:
    """What a row says."""
    return (
        f"t2s_ce + t2s_kd + s2t_kd by {name}, {SHAPE.tokens:,} targets, vocabularies of "
        f"{SHAPE.vocabulary:,} and {SHAPE.teacher_vocabulary:,}"
    )


def _gibibytes(way: Implementation | TokenChunk) -> float:
    return temporary_bytes(step(way).lower(abstract(SHAPE)).compile()) / 2**30
