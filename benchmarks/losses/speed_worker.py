"""The library's side of `losses_speed`: a process that times steps on request."""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment
from benchmarks.losses.loss_inputs import Shape, draw
from benchmarks.losses.loss_step import Implementation, Step, concrete, divergence_step
from benchmarks.worker import serve
from jaxkd.kernels import TokenChunk
from jaxkd.records import Hiddens


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of one step, forward and backward, and a summary of its result; or the environment."""
    if request.get("environment"):
        return dataclasses.asdict(environment.here())
    student, teacher, weights = _inputs(Shape(**request["shape"]))
    step = _step(request["divergence"], request["implementation"], request.get("chunk"))
    start = time.perf_counter()
    loss, gradient = jax.block_until_ready(step(student, teacher, weights))
    seconds = time.perf_counter() - start
    norms = [float(np.linalg.norm(np.asarray(array).ravel())) for array in (gradient.values, gradient.head.weight)]
    return {"seconds": seconds, "result": [float(loss), *norms]}


# One shape at a time: the inputs of several would crowd out what is measured.
@functools.lru_cache(maxsize=1)
def _inputs(shape: Shape) -> tuple[Hiddens, Hiddens, jax.Array]:
    return (*concrete(draw(shape), jnp.float32), jnp.full(shape.tokens, 1 / shape.tokens, jnp.float32))


@functools.cache
def _step(divergence: str, implementation: Implementation, chunk: int | None) -> Step:
    return divergence_step(divergence, implementation if chunk is None else TokenChunk(chunk=chunk))


if __name__ == "__main__":
    serve(answer)
