"""TRL's side of `cross_vocabulary_speed`: runs in TRL's environment and times its loss on full logits on request.

GOLD's `ULDLoss` on texts whose tokens end at the same bytes on both sides, so that every position is its own group and
both ways compute the same: "plain" pairs positions by index, "groups" by bytes, as GOLD does by default.  It starts
from hidden states and heads: torch multiplies them, and both logits exist.
"""

import functools
import os
import time
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from trl.experimental.gold.gold_trainer import ULDLoss

from benchmarks.losses.loss_inputs import Shape, draw
from benchmarks.worker import serve


def config(way: str) -> SimpleNamespace:
    """Return GOLD's defaults for "groups", except that every position is a target."""
    return SimpleNamespace(
        uld_crossentropy_weight=0.0,
        uld_distillation_weight=1.0,
        uld_student_temperature=1.0,
        uld_teacher_temperature=1.0,
        uld_skip_student_eos=False,
        uld_skip_teacher_eos=False,
        use_extended_uld=way == "groups",
        uld_token_merge_strategy="observed",
    )


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of one step, forward and backward, and a summary of its result; or the versions."""
    if request.get("versions"):
        return {name: metadata.version(name) for name in ("trl", "torch")}
    tokens = request["student"]["tokens"]
    student, student_weight, teacher, teacher_weight = _inputs(Shape(**request["student"]), Shape(**request["teacher"]))
    student.grad = student_weight.grad = None
    labels = torch.zeros(1, tokens, dtype=torch.long)
    offsets = torch.stack([torch.arange(tokens), torch.arange(1, tokens + 1)], dim=-1)[None]
    start = time.perf_counter()
    with torch.no_grad():
        teacher_logits = teacher @ teacher_weight.T
    logits = (student @ student_weight.T)[None], teacher_logits[None]
    loss = ULDLoss(config(request["way"]))(*logits, labels, labels, labels, labels, offsets, offsets)
    loss.backward()
    seconds = time.perf_counter() - start
    # NumPy's norm: torch's loses four digits of a sum of that many squares.
    norms = [float(np.linalg.norm(leaf.grad.numpy().ravel())) for leaf in (student, student_weight)]
    return {"seconds": seconds, "result": [loss.item(), *norms]}


@functools.lru_cache(maxsize=1)
def _inputs(student: Shape, teacher: Shape) -> tuple[torch.Tensor, ...]:
    ours, theirs = draw(student), draw(teacher)
    values, weight = (torch.from_numpy(array).requires_grad_() for array in (ours.student, ours.student_weight))
    return values, weight, torch.from_numpy(theirs.teacher), torch.from_numpy(theirs.teacher_weight)


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(answer)
