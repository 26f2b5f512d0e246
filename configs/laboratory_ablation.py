"""The laboratory's ablation of DSKDv2, within one vocabulary.

Question  What is each part of DSKDv2 worth, and which one keeps it from KD, or takes it there?
Rows      `seqkd`, on the teacher's answers.  Of `dskdv2`, at the trial of the whole method: projectors that stay at
          their ideal start (`frozen`), a fit of centred heads (`centred`), all tokens in place of those where the
          projected teacher has its own argmax (`unmasked`), one space alone (`student_space`, `teacher_space`), the
          teacher's own distribution in place of the projected one (`own_distribution`).  Of `dskd` projectors that
          start ideal and are both trained (`ideal`).  Of KD and DSKDv2 temperature 1 (`cool`), and of KD and both
          versions of DSKD 1,500 steps (`long`).
Rest      As in `configs/laboratory_one_vocabulary.py`, which has `kd` and `dskdv2` at the same seeds; three seeds.

    python -m jaxkd.train --config configs/laboratory_ablation.py
"""

import dataclasses
from typing import Literal

from benchmarks.laboratory.rows import ONE_VOCABULARY, Laboratory
from jaxkd.losses import ForwardKL
from jaxkd.study import Study
from jaxkd.training import Group, Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    laboratory = Laboratory(full=size == "full")
    parts = (
        _frozen(laboratory.method("dskdv2", name="dskdv2_frozen")),
        laboratory.method("dskdv2", name="dskdv2_centred", head_fit="centred"),
        laboratory.method("dskdv2", name="dskdv2_unmasked", normalisation="reference", t2s_agreement=0.0),
        laboratory.method("dskdv2", name="dskdv2_student_space", spaces="student"),
        laboratory.method("dskdv2", name="dskdv2_teacher_space", spaces="teacher"),
        laboratory.method("dskdv2", name="dskdv2_own_distribution", student_target="teacher"),
        laboratory.method("dskd", name="dskd_ideal", projector_start="ideal"),
    )
    cool = tuple(
        laboratory.method(method, name=f"{method}_cool", divergence=ForwardKL(temperature=1.0))
        for method in ("kd", "dskdv2")
    )
    long = tuple(laboratory.method(method, name=f"{method}_long", steps=1500) for method in ONE_VOCABULARY)
    return Study(
        name="laboratory_ablation",
        title="The parts of DSKDv2, at its plateau",
        description="Students of one start see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            laboratory.teacher_answers(),
            laboratory.method("seqkd"),
            *parts,
            *cool,
            *long,
        ),
        seeds=(0, 1, 2),
        comparisons=(
            ("dskdv2_student_space", "dskdv2_teacher_space"),
            ("dskdv2_centred", "dskdv2_frozen"),
            ("dskd_long", "kd_long"),
            ("dskdv2_long", "kd_long"),
        ),
    )


def _frozen(row: Train) -> Train:
    """Return the row with projectors that are not trained."""
    projectors = (Group(name="projectors", learning_rate=0.0),)
    return dataclasses.replace(row, optimizer=dataclasses.replace(row.optimizer, groups=projectors))
