"""Speed of a forward pass on one core: the logits of every position, against transformers with the same weights.

Each side is a separate process on the same core; they take turns, with the same tokens, in float32.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from benchmarks.models.beside_transformers import MODEL, PEER, sides, speeds, texts
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.side_by_side import Sides

FASTER = Bar(relation=">=", limit=0.9)

COMPARED = 1024
"""Tokens of the vocabulary whose logits at the last position are compared before anything is timed."""

TOLERANCE = 1e-3
"""Largest difference of those logits, which are themselves of size 10."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Size of the inputs."""

    rows: int
    length: int

    @property
    def label(self) -> str:
        """Name of the case in rows."""
        return f"{self.rows} x {self.length} tokens"


CASES = (Case(rows=8, length=128), Case(rows=2, length=512), Case(rows=1, length=32))


def measure(quick: bool) -> Measured:
    """Measure tokens per second and their ratios, medians of five rounds; quick: only the first case.

    Raises:
        ChildProcessError: transformers cannot be installed, or a side failed.
        ValueError: the sides disagree on the logits.
    """
    from jaxkd.models import Pretrained

    source = Pretrained(path=MODEL)
    tokens = list(itertools.chain.from_iterable(texts(source)))
    with sides(source, "forward") as both:
        rows = [row for case in (CASES[:1] if quick else CASES) for row in _rows(case, both, tokens)]
    return Measured(rows=tuple(rows), environment=both.environment)


BENCHMARK = Benchmark(
    name="models_forward",
    summary="tokens a second of a forward pass on one core, against transformers with the same weights",
    measure=measure,
)


def require_agreement(label: str, ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> None:
    """Check that both sides compute the same before they are timed.

    Raises:
        ValueError: a logit differs by more than `TOLERANCE`.
    """
    difference = float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))
    if not difference <= TOLERANCE:
        raise ValueError(
            f"jaxkd and {PEER} must compute logits within {TOLERANCE:g} before they are timed, got a difference of "
            f"{difference:.2g} for {label}."
        )


def _rows(case: Case, both: Sides, tokens: Sequence[int]) -> list[Row]:
    rows = [tokens[row * case.length :][: case.length] for row in range(case.rows)]
    request = {"prompts": rows, "compared": COMPARED}
    require_agreement(case.label, both.ours(**request)["logits"], both.theirs(**request)["logits"])
    return speeds(both, case.label, request, tokens=case.rows * case.length, bar=FASTER)
