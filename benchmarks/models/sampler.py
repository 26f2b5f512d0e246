"""Speed of text generation on one core, against transformers' `generate` with the same weights, in float32.

Each side is a separate process on the same core; they take turns, and generate texts of the same length from the same
prompts.
"""

import dataclasses
import itertools
from collections.abc import Sequence

from benchmarks.models.beside_transformers import MODEL, PEER, sides, speeds, texts
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.side_by_side import Sides

PROMPT, NEW = 32, 64
"""Tokens of a prompt, and of a generated text."""

AGREEMENT = 0.95
"""Share of the greedy tokens that must be equal before anything is timed, each text counted up to its first
different token: two programs round sums differently, and texts diverge where two tokens are almost equally probable."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Batch size and sampling options of one comparison."""

    rows: int
    bar: Bar | None = None
    temperature: float = 0.0
    top_p: float | None = None

    @property
    def label(self) -> str:
        """Name of the case in rows."""
        way = "greedy" if self.temperature == 0 else f"temperature {self.temperature:g}, top-p {self.top_p:g}"
        return f"batch {self.rows}, {way}"


CASES = (
    Case(rows=8, bar=Bar(relation=">=", limit=1.15)),
    Case(rows=32, bar=Bar(relation=">=", limit=0.9)),
    Case(rows=1),
    Case(rows=8, temperature=0.7, top_p=0.9),
)


def measure(quick: bool) -> Measured:
    """Measure tokens per second and their ratios, medians of five rounds; quick: only the first case.

    Raises:
        ChildProcessError: transformers cannot be installed, or a side failed.
        ValueError: the sides generate different texts.
    """
    from jaxkd.models import Pretrained

    source = Pretrained(path=MODEL)
    prompts = [tokens[:PROMPT] for tokens in texts(source) if len(tokens) >= PROMPT]
    with sides(source, "generate") as both:
        rows = [row for case in (CASES[:1] if quick else CASES) for row in _rows(case, both, prompts[: case.rows])]
    return Measured(rows=tuple(rows), environment=both.environment)


BENCHMARK = Benchmark(
    name="sampler",
    summary="tokens a second on one core, against transformers with the same weights",
    measure=measure,
)


def require_agreement(label: str, ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> None:
    """Check that both sides generate the same before they are timed.

    Raises:
        ValueError: the share of equal tokens is below `AGREEMENT`.
    """
    equal = sum(
        len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=True))))
        for one, other in zip(ours, theirs, strict=True)
    )
    share = equal / sum(map(len, ours))
    if share < AGREEMENT:
        raise ValueError(
            f"jaxkd and {PEER} must write the same in {AGREEMENT:.0%} of the tokens before they are timed, got "
            f"{share:.0%} for {label}."
        )


def _rows(case: Case, both: Sides, prompts: Sequence[Sequence[int]]) -> list[Row]:
    request = {"prompts": prompts, "new_tokens": NEW, "temperature": case.temperature, "top_p": case.top_p}
    if case.temperature == 0:
        require_agreement(case.label, both.ours(**request)["tokens"], both.theirs(**request)["tokens"])
    return speeds(both, case.label, request, tokens=case.rows * NEW, bar=case.bar)
