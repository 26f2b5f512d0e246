"""The process of `losses_gpu`: a separate one for each implementation, since peak memory cannot be reset."""

import time
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.losses.loss_inputs import LOGIT_SCALE, Shape
from benchmarks.losses.loss_step import Implementation, divergence_step, records, temporary_bytes
from benchmarks.worker import serve
from jaxkd.records import Hiddens

WARM_UP = 2


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request by `timed`, on a GPU.

    Raises:
        ValueError: JAX's backend is not a GPU.
    """
    if jax.default_backend() != "gpu":
        raise ValueError(
            f"losses_gpu must run on a GPU, got {jax.default_backend()}. Install the extra cuda12 or cuda13 on a "
            "machine that has one."
        )
    return timed(**{**request, "shape": Shape(**request["shape"])})


def timed(*, divergence: str, implementation: Implementation, shape: Shape, repeats: int) -> dict[str, Any]:
    """Return the milliseconds of each of `repeats` steps in bfloat16, forward and backward, and their memory in bytes.

    `temporary_bytes` is the compiled plan's; `peak_bytes` is the process's so far, arguments and gradients included,
    or None if the device does not report it.
    """
    student, teacher = _random(shape)
    weights = jnp.full(shape.tokens, 1 / shape.tokens, jnp.float32)
    step = divergence_step(divergence, implementation).lower(student, teacher, weights).compile()
    milliseconds = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        # Not stored: the gradients of two steps would be in memory together.
        jax.block_until_ready(step(student, teacher, weights))
        milliseconds.append(1e3 * (time.perf_counter() - start))
    counted = jax.devices()[0].memory_stats() or {}
    return {
        "milliseconds": milliseconds[WARM_UP:],
        "temporary_bytes": temporary_bytes(step),
        "peak_bytes": counted.get("peak_bytes_in_use"),
    }


def _random(shape: Shape) -> tuple[Hiddens, Hiddens]:
    """Sample inputs on the device: sampling gigabytes on the host would take longer than everything else."""
    keys = jax.random.split(jax.random.key(0), 4)

    def side(values_key: jax.Array, weight_key: jax.Array, width: int) -> Hiddens:
        weight = jax.random.normal(weight_key, (shape.vocabulary, width), jnp.bfloat16)
        scale = jnp.bfloat16(LOGIT_SCALE / width**0.5)
        return records(jax.random.normal(values_key, (shape.tokens, width), jnp.bfloat16), scale * weight)

    draw = jax.jit(side, static_argnums=2)
    return draw(keys[0], keys[1], shape.width), draw(keys[2], keys[3], shape.teacher_width)


if __name__ == "__main__":
    serve(answer)
