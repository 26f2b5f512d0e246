"""The laboratory within one vocabulary, with other divergences than the forward KL.

Claim     DSKD (arXiv 2406.17328) is better than KD with the same divergence, whichever it is; DSKDv2 (arXiv 2504.11426)
          is better than DSKD.
Rows      `kd`, `dskd` and `dskdv2` with the reverse, the Jensen-Shannon, the skewed and the adaptive divergence, at
          temperature 2 and at the trial that was chosen with the forward KL.
Rest      As in `configs/laboratory_one_vocabulary.py`, whose rows have the forward KL; three seeds.

    python -m jaxkd.train --config configs/laboratory_divergences.py
"""

from typing import Literal

from benchmarks.laboratory.rows import ONE_VOCABULARY, Laboratory
from jaxkd.losses import AdaptiveKL, AnyDivergence, JensenShannon, ReverseKL, SkewForwardKL
from jaxkd.study import Study

DIVERGENCES: dict[str, AnyDivergence] = {
    "reverse": ReverseKL(temperature=2.0),
    "jensen_shannon": JensenShannon(temperature=2.0),
    "skewed": SkewForwardKL(temperature=2.0),
    "adaptive": AdaptiveKL(temperature=2.0),
}


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    laboratory = Laboratory(full=size == "full")
    return Study(
        name="laboratory_divergences",
        title="Dual-space distillation by four divergences, at its plateau",
        description="Students of one start see the same batches until validation no longer improves.",
        stages=(
            *laboratory.teacher_stages(),
            *(
                laboratory.method(method, name=f"{method}_{name}", divergence=divergence)
                for name, divergence in DIVERGENCES.items()
                for method in ONE_VOCABULARY
            ),
        ),
        seeds=(0, 1, 2),
        comparisons=tuple(
            (f"{first}_{name}", f"{second}_{name}")
            for name in DIVERGENCES
            for first, second in (("dskd", "kd"), ("dskdv2", "kd"), ("dskdv2", "dskd"))
        ),
    )
