"""The laboratory within one vocabulary: KD, DSKD and DSKDv2 until they stop improving.

Claims    DSKD (arXiv 2406.17328) is better than KD with the same divergence, and DSKDv2 (arXiv 2504.11426) better than
          DSKD.
Task      The body of a Python function of the standard library, of at most 400 characters, from its signature and
          docstring.
Teacher   SmolLM2-135M-Instruct with the tokens that the text uses.
Student   The most important parts of four of its layers, 192 channels wide, with a head of its own.
Rows      `sft`; `kd`, `dskd` and `dskdv2` with the forward KL at temperature 2.
Equal     Batches, validation, and the number of trials that chose each method's hyper-parameters
          (`configs/laboratory_tuning.py`).
Measure   On the test split, of the step that is best on the validation split: bits per byte of the answers, KL both
          ways and agreement with the teacher, distance of structures, Rouge-L of five draws at temperature 1.
Result    docs/laboratory.md.

    python -m jaxkd.train --config configs/laboratory_one_vocabulary.py
"""

from typing import Literal

from benchmarks.laboratory.rows import ONE_VOCABULARY, Laboratory
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    laboratory = Laboratory(full=size == "full")
    return Study(
        name="laboratory_one_vocabulary",
        title="Dual-space distillation within one vocabulary, at its plateau",
        description="Students of one start see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            laboratory.untouched(),
            *(laboratory.method(method) for method in ("sft", *ONE_VOCABULARY)),
        ),
        seeds=(0, 1, 2, 3, 4),
        comparisons=(
            ("kd", "sft"),
            ("dskd", "sft"),
            ("dskdv2", "sft"),
            ("dskd", "kd"),
            ("dskdv2", "kd"),
            ("dskdv2", "dskd"),
        ),
    )
