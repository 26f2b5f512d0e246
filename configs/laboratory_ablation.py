"""The laboratory's ablation of DSKDv2, within one vocabulary.

Question  What is each part of DSKDv2 worth, and which one keeps it from KD, or takes it there?
Rows      `seqkd`, on the teacher's answers.  Of `dskdv2`, at the trial of the whole method: projectors that stay at
          their ideal start (`frozen`), a fit of centred heads (`centred`), all tokens in place of those where the
          projected teacher has its own argmax (`unmasked`), one space alone (`student_space`, `teacher_space`).
Rest      As in `configs/laboratory_one_vocabulary.py`, which has `kd` and `dskdv2` at the same seeds; three seeds.

    python -m jaxkd.train --config configs/laboratory_ablation.py
"""

import dataclasses
from typing import Literal

from benchmarks.laboratory.rows import Laboratory
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
    )
    return Study(
        name="laboratory_ablation",
        title="The parts of DSKDv2, at its plateau",
        description="Students of one start see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            laboratory.teacher_answers(),
            laboratory.method("seqkd"),
            *parts,
        ),
        seeds=(0, 1, 2),
        comparisons=(("dskdv2_student_space", "dskdv2_teacher_space"), ("dskdv2_centred", "dskdv2_frozen")),
    )


def _frozen(row: Train) -> Train:
    """Return the row with projectors that are not trained."""
    projectors = (Group(name="projectors", learning_rate=0.0),)
    return dataclasses.replace(row, optimizer=dataclasses.replace(row.optimizer, groups=projectors))
