"""The library's side of `sampler` and `models_forward`: a process that times a model on request."""

import dataclasses
import functools
import time
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from benchmarks import environment
from benchmarks.worker import serve
from jaxkd.kernels import head_logits
from jaxkd.models import DecoderConfig, Pretrained
from jaxkd.models.transformer import decoder
from jaxkd.records import Hiddens
from jaxkd.sampling import Sampling, pad, sample
from jaxkd.typing import Params


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of one call and its result; or the environment."""
    if request.get("environment"):
        return dataclasses.asdict(environment.here())
    config, params = _model(request["folder"])
    return (_forward if request["operation"] == "forward" else _generate)(config, params, request)


def _generate(config: DecoderConfig, params: Params, request: dict[str, Any]) -> dict[str, Any]:
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


def _forward(config: DecoderConfig, params: Params, request: dict[str, Any]) -> dict[str, Any]:
    tokens = np.asarray(request["prompts"], np.int32)
    start = time.perf_counter()
    logits = jax.block_until_ready(_logits(config, params, tokens))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "logits": np.asarray(logits[:, -1, : request["compared"]]).tolist()}


@functools.partial(jax.jit, static_argnums=0)
def _logits(config: DecoderConfig, params: Params, tokens: Int[Array, "b t"]) -> Float[Array, "b t v"]:
    positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    states = decoder.hidden_states(config, params, tokens, positions=positions, segment_ids=None)
    return head_logits(Hiddens(values=states, head=decoder.head(config, params)))


@functools.cache
def _model(folder: str) -> tuple[DecoderConfig, Params]:
    source = Pretrained(path=folder)
    return source.config(), jax.device_put(source.load())


if __name__ == "__main__":
    serve(answer)
