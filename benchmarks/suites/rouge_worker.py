"""The library's side of the Rouge-L rows: a process that scores pairs of texts on request."""

import dataclasses
import time
from typing import Any

from benchmarks import environment
from benchmarks.worker import serve
from jaxkd.metrics import rouge_l_values


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the Rouge-L F1 of each pair, and the seconds that they took, tokens included; or the environment."""
    if request.get("environment"):
        return dataclasses.asdict(environment.here())
    start = time.perf_counter()
    scores = rouge_l_values(request["hypotheses"], request["references"], tokens=request["tokens"])
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "scores": scores.tolist()}


if __name__ == "__main__":
    serve(answer)
