"""The laboratory between two vocabularies: MinED, cross-model attention and exact token alignment.

Claims    Exact token alignment (DSKDv2, arXiv 2504.11426) is better than cross-model attention, and that better than
          MinED (DSKD, arXiv 2406.17328).
Task      The body of a Python function of the standard library, of at most 400 characters, from its signature and
          docstring.
Teacher   SmolLM2-135M-Instruct with the tokens that the text uses, under its chat template.
Student   The most important parts of four of its layers, 192 channels wide, with 4,096 byte-level tokens that were
          trained on the training set; a new token starts as the mean of the old ones that spell it.
Rows      `sft`, `mined`, `cma` and `eta`; `configs/laboratory_other_methods.py` has the others.
Equal     Batches, validation, and the number of trials that chose each method's hyper-parameters
          (`configs/laboratory_tuning.py`).
Measure   On the test split, of the step that is best on the validation split: bits per byte of the answers; agreement
          with the teacher and distance of structures at the tokens that both models split alike; Rouge-L of five draws
          at temperature 1.
Result    docs/laboratory.md.

    python -m jaxkd.train --config configs/laboratory_two_vocabularies.py
"""

from typing import Literal

from benchmarks.laboratory.rows import Laboratory
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    return between(Laboratory(full=size == "full", student="byte_level"), "two_vocabularies", seeds=(0, 1, 2, 3, 4))


def between(laboratory: Laboratory, name: str, *, seeds: tuple[int, ...]) -> Study:
    """Return the study of a student with tokens of its own."""
    return Study(
        name=f"laboratory_{name}",
        title=f"From the teacher's tokens to {laboratory.student.replace('_', '-')} ones, at the plateau",
        description="Students of one start see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            laboratory.untouched(),
            *(laboratory.method(method) for method in ("sft", "mined", "cma", "eta")),
        ),
        seeds=seeds,
        comparisons=(
            *((method, "sft") for method in ("mined", "cma", "eta")),
            ("cma", "mined"),
            ("eta", "cma"),
            ("eta", "mined"),
        ),
    )
