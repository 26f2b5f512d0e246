"""The laboratory within one vocabulary, with two other students: from random weights, and with the teacher's head.

Claims    Those of `configs/laboratory_one_vocabulary.py`; and one head brings the structure of the student's hidden
          states closer to the teacher's than two heads do (DSKD, arXiv 2406.17328, section 2).
Students  `random`: the sizes of that student, from random weights.  `shared_head`: three layers with the most important
          heads and units, and the teacher's channels, embedding, head and final norm, so that the ideal projectors are
          the identity and carry all of the teacher's logits.
Rows      `sft`, `kd` and `dskdv2` for each, at the trials that the narrow student chose; three seeds.
Rest      As there.

    python -m jaxkd.train --config configs/laboratory_students.py
"""

from typing import Literal

from benchmarks.laboratory.rows import Laboratory
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    random, shared = (Laboratory(full=size == "full", student=student) for student in ("random", "shared_head"))
    return Study(
        name="laboratory_students",
        title="Dual-space distillation from random weights, and with one head, at its plateau",
        description=(
            "Students see the same batches until validation no longer improves. The second part of a name is the "
            "student."
        ),
        stages=(
            *random.teacher_stages(),
            *(
                laboratory.method(method, name=f"{method}_{laboratory.student}")
                for laboratory in (random, shared)
                for method in ("sft", "kd", "dskdv2")
            ),
        ),
        seeds=(0, 1, 2),
        comparisons=tuple(
            (f"{first}_{student}", f"{second}_{student}")
            for student in ("random", "shared_head")
            for first, second in (("kd", "sft"), ("dskdv2", "sft"), ("dskdv2", "kd"))
        ),
    )
