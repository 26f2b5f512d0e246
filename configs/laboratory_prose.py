"""The laboratory within one vocabulary on prose: the docstring of a function from its signature and body.

Claims    Those of `configs/laboratory_one_vocabulary.py`, whose students write code.
Rows      `sft`, `kd`, `dskd` and `dskdv2`, at the trials that code chose; three seeds.
Rest      As there.

    python -m jaxkd.train --config configs/laboratory_prose.py
"""

from typing import Literal

from benchmarks.laboratory.rows import ONE_VOCABULARY, Laboratory
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    laboratory = Laboratory(full=size == "full", answer="docstring")
    return Study(
        name="laboratory_prose",
        title="Dual-space distillation on prose, at its plateau",
        description="Students of one start see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            laboratory.untouched(),
            *(laboratory.method(method) for method in ("sft", *ONE_VOCABULARY)),
        ),
        seeds=(0, 1, 2),
        comparisons=(("kd", "sft"), ("dskd", "kd"), ("dskdv2", "kd"), ("dskdv2", "dskd")),
    )
