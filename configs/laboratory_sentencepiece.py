"""The laboratory between two vocabularies, with a student whose tokens are not bytes.

Claims    Exact token alignment (DSKDv2, arXiv 2504.11426) is better than cross-model attention, and that better than
          MinED (DSKD, arXiv 2406.17328).
Student   As in `configs/laboratory_two_vocabularies.py`, with 4,096 tokens as SentencePiece makes them: a space in
          front of the text, and bytes for what is unknown.
Rows      `sft`, `mined`, `cma` and `eta`, at the trials that the byte-level student chose; three seeds.
Rest      As there.

    python -m jaxkd.train --config configs/laboratory_sentencepiece.py
"""

from typing import Literal

from benchmarks.laboratory.rows import Laboratory
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    laboratory = Laboratory(full=size == "full", student="sentencepiece")
    return Study(
        name="laboratory_sentencepiece",
        title="Distillation from byte-level tokens to SentencePiece's, at its plateau",
        description="Students with 4,096 tokens of their own see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            laboratory.untouched(),
            *(laboratory.method(method) for method in ("sft", "mined", "cma", "eta")),
        ),
        seeds=(0, 1, 2),
        comparisons=(
            ("mined", "sft"),
            ("cma", "sft"),
            ("eta", "sft"),
            ("cma", "mined"),
            ("eta", "cma"),
            ("eta", "mined"),
        ),
    )
