"""The library's side of `sampler`: a process that times `sample` on request."""

import dataclasses
import functools
import time
from typing import Any

import jax
import numpy as np

from benchmarks import environment
from benchmarks.worker import serve
from jaxkd.models.config import DecoderConfig
from jaxkd.models.pretrained import Pretrained
from jaxkd.sampling import Sampling, pad, sample
from jaxkd.typing import Params


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds of one call and the tokens that it wrote; or where this runs."""
    if request.get("environment"):
        return dataclasses.asdict(environment.here())
    config, params = _model(request["folder"])
    sampling = Sampling(temperature=request["temperature"], top_p=request["top_p"])
    start = time.perf_counter()
    written = sample(
        config,
        params,
        pad(request["prompts"]),
        jax.random.key(0),
        max_new_tokens=request["new_tokens"],
        sampling=sampling,
    )
    tokens = np.asarray(written.tokens)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": tokens.tolist()}


@functools.cache
def _model(folder: str) -> tuple[DecoderConfig, Params]:
    source = Pretrained(path=folder)
    return source.config(), jax.device_put(source.load())


if __name__ == "__main__":
    serve(answer)
