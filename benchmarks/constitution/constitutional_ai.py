"""Constitutional AI: oracles, a grammar, the speed of three passes, a collapse and its cure, and critics."""

from benchmarks import environment
from benchmarks.constitution import collapse, critics, judges, oracles, throughput
from benchmarks.constitution.grammar import grammar
from benchmarks.row import Benchmark, Measured


def measure(quick: bool) -> Measured:
    """Measure all of it; quick: the studies in miniature, and few pairs."""
    rows = [row for part in (oracles, judges, grammar, throughput, collapse, critics) for row in part.rows(quick)]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="constitutional_ai",
    summary=(
        "judges, detectors and health beside their oracles; a grammar of two behaviours; the speed of three passes; a "
        "collapse and its cure; a small model and a program as critics"
    ),
    measure=measure,
)
