"""The laboratory between two vocabularies: eight methods until they stop improving.

Claims    Exact token alignment (DSKDv2, arXiv 2504.11426) is better than cross-model attention, and that better than
          MinED, MinED than ULD (DSKD, arXiv 2406.17328).
Task      The body of a Python function of the standard library, of at most 400 characters.
Teacher   SmolLM2-135M-Instruct with the tokens that the text uses, under its chat template.
Student   The most important parts of four of its layers, 192 channels wide, with 4,096 byte-level tokens that were
          trained on the training set; a new token starts as the mean of the old ones that spell it.
Rows      `sft`; `seqkd`, on the teacher's answers; `uld`, `mined`, `alm`, `gold`, `cma` and `eta`.
Equal     Batches, validation, and the number of trials that chose each method's hyper-parameters
          (`configs/laboratory_tuning.py`).
Measure   On the test split, of the step that is best on the validation split: bits per byte of the answers; agreement
          with the teacher and distance of structures at the tokens that both models split alike; Rouge-L of five draws
          at temperature 1.
Result    docs/laboratory.md.

    python -m jaxkd.train --config configs/laboratory_two_vocabularies.py
"""

from typing import Literal

from benchmarks.laboratory.rows import TWO_VOCABULARIES, Laboratory
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    return between(Laboratory(full=size == "full", student="byte_level"))


def between(laboratory: Laboratory) -> Study:
    """Return the study for a student with tokens of its own."""
    return Study(
        name="laboratory_two_vocabularies",
        title="Distillation between two vocabularies, at its plateau",
        description=(
            f"Students with {laboratory.student.replace('_', '-')} tokens see the same batches until validation no "
            "longer improves."
        ),
        stages=(
            *laboratory.teacher_stages(),
            laboratory.teacher_answers(),
            laboratory.untouched(),
            *(laboratory.method(method) for method in ("sft", "seqkd", *TWO_VOCABULARIES)),
        ),
        seeds=(0, 1, 2, 3, 4),
        comparisons=(
            *((method, "sft") for method in ("seqkd", *TWO_VOCABULARIES)),
            ("mined", "uld"),
            ("cma", "mined"),
            ("eta", "cma"),
            ("eta", "mined"),
            ("alm", "mined"),
            ("gold", "mined"),
            ("gold", "eta"),
            ("alm", "eta"),
        ),
    )
