"""Different vocabularies: GPT-2 (124 M) learns from Qwen1.5-1.8B to follow instructions, by four methods.

Source    Zhang et al., DSKD (arXiv 2406.17328), section 4, and DSKDv2 (arXiv 2504.11426), with the hyper-parameters of
          the scripts of songmzhang/DSKD@077337a and songmzhang/DSKDv2@5025279.
Data      Dolly as those repositories prepare it: `train.jsonl` (11,435 rows), `dev.jsonl`, `test.jsonl` in data/dolly.
          A prompt keeps its first 256 tokens, a response its first 448, both together 512.
Teacher   Qwen1.5-1.8B after supervised fine-tuning on the same data (10 epochs at 2e-5) by the stage `teacher`.  Set
          TEACHER to a path to use another.
Students  `sft`, without a teacher; `uld`, `mined`, DSKD with cross-model attention (`cma`), and DSKDv2 with exact token
          alignment (`eta`).
Training  All parameters, 20 epochs of about 32 examples a step: 10 rows of 512 tokens on either side, packed.  AdamW,
          5e-4 falling to 1e-7 along a cosine, decay 0.01; projectors at 1e-3 (`eta`: 5e-4).  Temperature 2, except
          for ULD, which has none; half of the loss is the teacher's.
Expected  SFT < ULD < MinED < DSKD < DSKDv2, in Rouge-L.  Not reproduced here: docs/papers.md.
Hardware  The paper's scripts: four GPUs.  Planned: 18 GiB for a student, 33 for the teacher, on one device.

    launch/one_gpu.sh configs/gpt2_from_qwen.py --dry-run
    launch/one_gpu.sh configs/gpt2_from_qwen.py
"""

import dataclasses
import functools
from typing import Literal

from configs.gpt2_from_gpt2_xl import dolly, train
from jaxkd.data import PairedText
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import published
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.sft import SFT
from jaxkd.recipes.uld import ULD
from jaxkd.study import Study

STUDENT = Pretrained(path="openai-community/gpt2", architecture=published.GPT2)
TEACHER_BASE = Pretrained(path="Qwen/Qwen1.5-1.8B", architecture=published.QWEN1_5_1_8B)
TEACHER = dataclasses.replace(TEACHER_BASE, trained="stage:teacher")


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study; "smoke" is two steps of the same shapes."""
    full, data = size == "full", dolly(rows=10)
    pair = {"student": STUDENT, "teacher": TEACHER, "data": PairedText(student=data, teacher=data), "dropout": 0.1}
    on_dolly = functools.partial(train, data=data, epochs=20 if full else None, rate=5e-4)
    return Study(
        name="gpt2_from_qwen",
        title="GPT-2 distilled from Qwen1.5-1.8B",
        description="Four methods between two vocabularies, and the control without a teacher.",
        stages=(
            train(
                "teacher",
                SFT(student=TEACHER_BASE, data=data, remat=True),
                data=data,
                epochs=10 if full else None,
                rate=2e-5,
            ),
            on_dolly("sft", SFT(student=STUDENT, data=data, dropout=0.1)),
            on_dolly("uld", ULD(**pair)),
            on_dolly("mined", MinED(**pair)),
            on_dolly("cma", DSKDCrossAttention(**pair), projectors=1e-3),
            on_dolly("eta", DSKDv2ETA(**pair), projectors=5e-4),
        ),
        seeds=(10,),
        comparisons=(("uld", "sft"), ("mined", "sft"), ("cma", "sft"), ("eta", "cma")),
    )
