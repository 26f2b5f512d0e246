"""The laboratory between two vocabularies: the methods that no claim of the DSKD papers puts first.

Claim     MinED is better than ULD, and ULD than SeqKD (the order in DSKD, arXiv 2406.17328).
Rows      `seqkd`, on the teacher's answers; `uld`, `alm` and `gold`; three seeds.
Rest      As in `configs/laboratory_two_vocabularies.py`, which has `sft`, `mined`, `cma` and `eta` at the same seeds.

    python -m jaxkd.train --config configs/laboratory_other_methods.py
"""

from typing import Literal

from benchmarks.laboratory.rows import Laboratory
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    laboratory = Laboratory(full=size == "full", student="byte_level")
    return Study(
        name="laboratory_other_methods",
        title="Other methods between two vocabularies, at the plateau",
        description="Students of one start see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            laboratory.teacher_answers(),
            *(laboratory.method(method) for method in ("seqkd", "uld", "alm", "gold")),
        ),
        seeds=(0, 1, 2),
        comparisons=(("uld", "seqkd"), ("alm", "uld"), ("gold", "uld"), ("gold", "alm")),
    )
