"""Evaluation on suites, whole: measures, harnesses, speed, truthfulness about nothing, and hostile programs.

It needs the extras of the harnesses: `pip install -c constraints.txt -e '.[lm-eval,inspect]'`.
"""

from benchmarks import units
from benchmarks.environment import here
from benchmarks.row import Benchmark, Measured, Row
from benchmarks.suites import chance, continuations, equality, harnesses, hostile_programs, published, rouge

PARTS = (published, rouge, chance, equality, harnesses, hostile_programs, continuations)


def measure(quick: bool) -> Measured:
    """Measure all parts, one after the other; a part that is done is not measured again after a stop."""
    found = units.each("suites", _part, [(place, quick) for place in range(len(PARTS))])
    return Measured(
        rows=tuple(row for part in found for row in part), environment=here("lm-eval", "inspect-ai", "rapidfuzz")
    )


def _part(place: int, quick: bool) -> tuple[Row, ...]:
    return PARTS[place].rows(quick)


BENCHMARK = Benchmark(
    name="suites",
    summary="evaluation on suites: published sums, Rouge-L, both harnesses, chance, hostile programs, speed of scoring",
    measure=measure,
)
