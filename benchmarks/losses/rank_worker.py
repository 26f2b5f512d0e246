"""The library's side of `cross_vocabulary_speed`: a process that times steps on request."""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import environment
from benchmarks.losses.loss_inputs import Shape, draw
from benchmarks.losses.loss_step import concrete
from benchmarks.worker import serve
from jaxkd.kernels import RankLoss, linear_rank_distance
from jaxkd.records import Hiddens


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of one step, forward and backward, and a summary of its result; or the environment.

    `distances` and `bounds` are per position: those of a truncated sort, and the most by which exact ones exceed them.
    """
    if request.get("environment"):
        return dataclasses.asdict(environment.here())
    student, teacher, weights = _inputs(Shape(**request["student"]), Shape(**request["teacher"]))
    step = _step(request["top"])
    start = time.perf_counter()
    (total, loss), gradient = jax.block_until_ready(step(student, teacher, weights))
    seconds = time.perf_counter() - start
    norms = [float(np.linalg.norm(np.asarray(array).ravel())) for array in (gradient.values, gradient.head.weight)]
    return {
        "seconds": seconds,
        "result": [float(total), *norms],
        "distances": loss.distance.tolist(),
        "bounds": loss.tail_bound.tolist(),
    }


# One shape at a time: the inputs of several would crowd out what is measured.
@functools.lru_cache(maxsize=1)
def _inputs(student: Shape, teacher: Shape) -> tuple[Hiddens, Hiddens, jax.Array]:
    ours, _ = concrete(draw(student), jnp.float32)
    _, theirs = concrete(draw(teacher), jnp.float32)
    return ours, theirs, jnp.full(student.tokens, 1 / student.tokens, jnp.float32)


@functools.cache
def _step(top: int | None) -> jax.stages.Wrapped:
    def total(student: Hiddens, teacher: Hiddens, weights: jax.Array) -> tuple[jax.Array, RankLoss]:
        loss = linear_rank_distance(student, teacher, weights=weights, top=top)
        return loss.total, loss

    return jax.jit(jax.value_and_grad(total, has_aux=True))


if __name__ == "__main__":
    serve(answer)
