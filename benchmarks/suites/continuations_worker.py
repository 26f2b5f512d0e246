"""The library's side of `continuations`: a process that scores continuations and times it."""

import dataclasses
import functools
import time
from typing import Any

from benchmarks import environment
from benchmarks.worker import serve
from jaxkd.models import LanguageModel, Pretrained
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.sampling import Continuation, continuation_log_probs
from jaxkd.sampling.context_trees import fill, grow

ROWS = 8


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the scores, and the seconds of a call whose programs are compiled; their number; or the environment."""
    if request.get("environment"):
        return dataclasses.asdict(environment.here())
    model = _model(request["folder"])
    requests = [
        Continuation(context=tuple(context), continuation=tuple(after)) for context, after in request["requests"]
    ]
    if request.get("count"):
        trees = grow([(one.context, one.continuation) for one in requests])
        shapes = {(one.rows, one.length, one.targets) for one in fill(trees, rows=ROWS, parts=1)}
        return {"programs": len(shapes)}
    if request.get("warm_up"):
        continuation_log_probs(model, requests, rows=ROWS)
    start = time.perf_counter()
    scores = continuation_log_probs(model, requests, rows=ROWS)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "log_probs": [score.log_prob for score in scores]}


@functools.cache
def _model(folder: str) -> LanguageModel:
    return language_model(Pretrained(path=folder))


if __name__ == "__main__":
    serve(answer)
