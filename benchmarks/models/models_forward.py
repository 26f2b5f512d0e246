"""How fast a model reads on one core: the logits of every position, against transformers with the same weights.

Each side is a process of its own on the same core; they take turns, with the same tokens, in float32.
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
"""Largest difference there; the logits themselves are of size 10."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured side by side."""

    rows: int
    length: int

    @property
    def label(self) -> str:
        """As rows name it."""
        return f"{self.rows} x {self.length} tokens"


CASES = (Case(rows=8, length=128), Case(rows=2, length=512), Case(rows=1, length=32))


def measure(quick: bool) -> Measured:
    """Tokens a second and their ratios, medians of five rounds; quick: the first case only.

    Raises:
        ChildProcessError: transformers cannot be installed, or a side failed.
        ValueError: the sides do not compute the same.
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
    """Refuse to time what does not compute the same.

    Raises:
        ValueError: a logit that differs by more than `TOLERANCE`.
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
