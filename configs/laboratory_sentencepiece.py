"""The laboratory between two vocabularies, with a student whose tokens are not bytes.

Claims    Those of `configs/laboratory_two_vocabularies.py`.
Student   As there, with 4,096 tokens as SentencePiece makes them: a space in front of the text, and bytes for what is
          unknown.
Rows      `sft`, `mined`, `cma` and `eta`, at the trials that the byte-level student chose; three seeds.
Rest      As there.

    python -m jaxkd.train --config configs/laboratory_sentencepiece.py
"""

from typing import Literal

from benchmarks.laboratory.rows import Laboratory
from configs.laboratory_two_vocabularies import between
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    return between(Laboratory(full=size == "full", student="sentencepiece"), "sentencepiece", seeds=(0, 1, 2))
