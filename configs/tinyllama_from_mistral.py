"""Adapters between different vocabularies: TinyLlama-1.1B learns from Mistral-7B to follow instructions.

Source    Zhang et al., DSKD (arXiv 2406.17328), section 4, and DSKDv2 (arXiv 2504.11426), with the hyper-parameters of
          songmzhang/DSKD@077337a, scripts/tinyllama; that `eta` shares them is inferred.
Data      Dolly as that repository prepares it: `train.jsonl` (11,435 rows), `dev.jsonl`, `test.jsonl` in data/dolly.
          A prompt keeps its first 256 tokens, a response its first 448, both together 512.
Teacher   Mistral-7B-v0.1 with adapters trained on the same data, merged: the stage `teacher` trains it, and the
          others read it from the folder TEACHER.
Students  `sft`, without a teacher; `uld`, `mined`, DSKD with cross-model attention (`cma`), and DSKDv2 with exact token
          alignment (`eta`).
Training  Adapters of rank 256 and alpha 8 beside queries and values, dropout 0.1; projectors are trained whole.  10
          epochs of about 32 examples a step: 12 rows of 512 tokens on either side, packed.  AdamW, 1e-3 falling to 1e-7
          along a cosine, decay 0.01; projectors at 1e-3 (`eta`: 5e-4).  Temperature 2, except for ULD, which has none;
          half of the loss is the teacher's.
Expected  SFT < ULD < MinED < DSKD < DSKDv2, in Rouge-L.  Not reproduced here: docs/papers.md.
Hardware  The paper's scripts: four GPUs.  Planned: 50 GiB for a student, 48 for the teacher, on one device.

    launch/one_gpu.sh configs/tinyllama_from_mistral.py --dry-run
    launch/one_gpu.sh configs/tinyllama_from_mistral.py --only teacher
    python -m jaxkd.export --run runs/tinyllama_from_mistral/teacher/10 --to runs/tinyllama_from_mistral/teacher_model
    launch/one_gpu.sh configs/tinyllama_from_mistral.py
"""

import functools
from typing import Literal

from configs.gpt2_from_gpt2_xl import dolly, train
from jaxkd.data import PairedText
from jaxkd.models import LoRA, Pretrained
from jaxkd.models.checkpoints import published
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.sft import SFT
from jaxkd.recipes.uld import ULD
from jaxkd.study import Study

STUDENT = "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"
TEACHER_BASE = "mistralai/Mistral-7B-v0.1"
TEACHER = "runs/tinyllama_from_mistral/teacher_model"


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study; "smoke" is two steps of the same shapes."""
    full, data = size == "full", dolly(rows=12)
    student = Pretrained(path=STUDENT, architecture=published.TINYLLAMA_1_1B)
    teacher = Pretrained(path=TEACHER, architecture=published.MISTRAL_7B)
    base = Pretrained(path=TEACHER_BASE, architecture=published.MISTRAL_7B)
    adapters = {"lora": LoRA(rank=256, alpha=8.0, dropout=0.1), "remat": True}
    pair = {"student": student, "teacher": teacher, "data": PairedText(student=data, teacher=data), **adapters}
    on_dolly = functools.partial(train, data=data, epochs=10 if full else None, rate=1e-3)
    return Study(
        name="tinyllama_from_mistral",
        title="TinyLlama distilled from Mistral-7B",
        description="Four methods between two vocabularies, and the control without a teacher, all with adapters.",
        stages=(
            on_dolly("teacher", SFT(student=base, data=data, **adapters)),
            on_dolly("sft", SFT(student=student, data=data, **adapters)),
            on_dolly("uld", ULD(**pair)),
            on_dolly("mined", MinED(**pair)),
            on_dolly("cma", DSKDCrossAttention(**pair), projectors=1e-3),
            on_dolly("eta", DSKDv2ETA(**pair), projectors=5e-4),
        ),
        seeds=(10,),
        comparisons=(("uld", "sft"), ("mined", "sft"), ("cma", "sft"), ("eta", "cma")),
    )
