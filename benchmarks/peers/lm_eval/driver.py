"""lm-eval's side of `continuations`: runs in its environment and scores with its model `hf` on request."""

import functools
import time
from importlib import metadata
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from benchmarks.worker import serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the scores and the seconds of one call; or the versions."""
    if request.get("versions"):
        return {name: metadata.version(name) for name in ("lm_eval", "transformers", "torch")}
    model = _model(request["folder"])
    model.batch_size_per_gpu = request["batch_size"]
    requests = [(("", str(index)), *tokens) for index, tokens in enumerate(request["requests"])]
    start = time.perf_counter()
    scores = model._loglikelihood_tokens(requests, disable_tqdm=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "log_probs": [log_prob for log_prob, _ in scores]}


@functools.cache
def _model(folder: str) -> HFLM:
    return HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(answer)
