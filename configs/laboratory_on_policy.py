"""The laboratory on-policy: a student at its plateau goes on, on the data's answers or on its own.

Claim     DSKDv2 (arXiv 2504.11426) and KD are better on the student's own answers than on those of the data.
Start     The student that `kd` trained at the same seed (`configs/laboratory_one_vocabulary.py`), so that it writes
          sensible answers.
Rows      `kd` goes on as `kd_off` on the data and as `kd_on` on answers of its own, `dskdv2_off` and `dskdv2_on`
          likewise: 150 steps with the reverse KL at a tenth of the chosen learning rate.
Equal     Steps, optimizer, cross entropy on the answers of the data.  The teacher is live.
Rest      As there; three seeds.

    python -m jaxkd.train --config configs/laboratory_on_policy.py
"""

import dataclasses
from typing import Literal

from benchmarks.laboratory.rows import Laboratory
from benchmarks.laboratory.trials import chosen
from jaxkd.losses import ReverseKL
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.study import Study
from jaxkd.training import Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    laboratory = Laboratory(full=size == "full")
    trained = dataclasses.replace(laboratory.student_model, trained="stage:kd")

    def continued(method: str) -> tuple[Train, ...]:
        tried = chosen(method)
        trial = dataclasses.replace(tried, learning_rate=tried.learning_rate / 10, steps=150)
        off = dataclasses.replace(
            laboratory.distillation(method, trial), student=trained, teacher_cache=None, divergence=ReverseKL()
        )
        prompts = dataclasses.replace(laboratory.teacher_text, rows=8 if laboratory.full else 2)
        on = OnPolicy(recipe=dataclasses.replace(off, data=prompts), max_new_tokens=96 if laboratory.full else 4)
        return tuple(
            laboratory.row(f"{method}_{name}", recipe, trial, evaluators=laboratory.evaluators())
            for name, recipe in (("off", off), ("on", on))
        )

    return Study(
        name="laboratory_on_policy",
        title="From the plateau on: answers of the data, and the student's own",
        description="What KD trained goes on for the same number of steps, on given answers or on its own.",
        stages=(*laboratory.teacher_stages(), laboratory.method("kd"), *continued("kd"), *continued("dskdv2")),
        seeds=(0, 1, 2),
        comparisons=(
            ("kd_off", "kd"),
            ("kd_on", "kd"),
            ("kd_on", "kd_off"),
            ("dskdv2_on", "dskdv2_off"),
            ("dskdv2_on", "kd_on"),
        ),
    )
