"""Evaluation on suites, whole: measures, harnesses, speed, truthfulness about nothing, and hostile programs.

It needs the extras of the harnesses: `pip install -c constraints.txt -e '.[lm-eval,inspect]'`.
"""

from benchmarks.environment import here
from benchmarks.row import Benchmark, Measured
from benchmarks.suites import chance, continuations, equality, harnesses, hostile_programs, published, rouge

PARTS = (published, rouge, chance, equality, harnesses, hostile_programs, continuations)


def measure(quick: bool) -> Measured:
    """Measure all parts, one after the other."""
    rows = tuple(row for part in PARTS for row in part.rows(quick))
    return Measured(rows=rows, environment=here("lm-eval", "inspect-ai", "rapidfuzz"))


BENCHMARK = Benchmark(
    name="suites",
    summary="evaluation on suites: published sums, Rouge-L, both harnesses, chance, hostile programs, speed of scoring",
    measure=measure,
)
