"""TRL's side of `losses_speed`: runs in TRL's environment and times its loss on full logits on request.

It starts from hidden states and heads: torch multiplies them, and both logits exist.  No labels are given, which spares
TRL a copy of the logits that its trainer makes; the sum is divided by the number of positions.
"""

import functools
import time
from importlib import metadata
from typing import Any

import numpy as np
import torch
from trl.experimental.gkd import GKDTrainer

from benchmarks.losses.loss_inputs import Shape, draw
from benchmarks.worker import serve

BETA = {"forward KL": 0.0, "Jensen-Shannon": 0.5}
"""TRL's beta for each divergence: 0 is its forward KL, which is a separate function here."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of one step, forward and backward, and a summary of its result; or the versions."""
    if request.get("versions"):
        return {name: metadata.version(name) for name in ("trl", "torch")}
    shape = Shape(**request["shape"])
    student, student_weight, teacher, teacher_weight = _inputs(shape)
    student.grad = student_weight.grad = None
    start = time.perf_counter()
    with torch.no_grad():
        teacher_logits = teacher @ teacher_weight.T
    loss = GKDTrainer.generalized_jsd_loss(
        (student @ student_weight.T)[None], teacher_logits[None], beta=BETA[request["divergence"]], reduction="sum"
    )
    loss = loss / shape.tokens
    loss.backward()
    seconds = time.perf_counter() - start
    # NumPy's norm: torch's loses four digits of a sum of that many squares.
    norms = [float(np.linalg.norm(leaf.grad.numpy().ravel())) for leaf in (student, student_weight)]
    return {"seconds": seconds, "result": [loss.item(), *norms]}


@functools.lru_cache(maxsize=1)
def _inputs(shape: Shape) -> tuple[torch.Tensor, ...]:
    inputs = draw(shape)
    student, student_weight = (
        torch.from_numpy(array).requires_grad_() for array in (inputs.student, inputs.student_weight)
    )
    return student, student_weight, torch.from_numpy(inputs.teacher), torch.from_numpy(inputs.teacher_weight)


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(answer)
