"""DSKD with adapters, one vocabulary: TinyLlama-1.1B learns from Llama-2-7B to follow instructions.

Source    Zhang et al., DSKD (arXiv 2406.17328), section 4, with the hyper-parameters of songmzhang/DSKD@077337a,
          scripts/tinyllama.
Data      Dolly as that repository prepares it: `train.jsonl` (11,435 rows), `dev.jsonl`, `test.jsonl` in data/dolly.
          A prompt keeps its first 256 tokens, a response its first 448, both together 512.
Teacher   Llama-2-7B with adapters trained on the same data, merged: the stage `teacher` trains it, and the others read
          it from the folder TEACHER.
Students  `sft`, without a teacher; `kd`, the forward KL between logits; `dskd`, in both spaces.
Training  Adapters of rank 256 and alpha 8 beside queries and values, dropout 0.1; projectors are trained whole.  10
          epochs of about 32 examples a step: 12 rows of 512 tokens, packed.  AdamW, 1e-3 falling to 1e-7 along a
          cosine, decay 0.01; projectors at 1e-3.  Temperature 2, half of the loss is the teacher's.
Expected  SFT < KD < DSKD, in Rouge-L.  Not reproduced here: docs/papers.md.
Hardware  The paper's scripts: four GPUs.  Planned: 46 GiB for a student, 46 for the teacher, on one device.

    launch/one_gpu.sh configs/tinyllama_from_llama2.py --dry-run
    launch/one_gpu.sh configs/tinyllama_from_llama2.py --only teacher
    python -m jaxkd.export --run runs/tinyllama_from_llama2/teacher/10 --to runs/tinyllama_from_llama2/teacher_model
    launch/one_gpu.sh configs/tinyllama_from_llama2.py
"""

import functools
from typing import Literal

from configs.gpt2_from_gpt2_xl import dolly, train
from jaxkd.models import LoRA, Pretrained
from jaxkd.models.checkpoints import published
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.study import Study

STUDENT = "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"
TEACHER_BASE = "meta-llama/Llama-2-7b-hf"
TEACHER = "runs/tinyllama_from_llama2/teacher_model"


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study; "smoke" is two steps of the same shapes."""
    full, data = size == "full", dolly(rows=12)
    student = Pretrained(path=STUDENT, architecture=published.TINYLLAMA_1_1B)
    teacher = Pretrained(path=TEACHER, architecture=published.LLAMA2_7B)
    base = Pretrained(path=TEACHER_BASE, architecture=published.LLAMA2_7B)
    adapters = {"lora": LoRA(rank=256, alpha=8.0, dropout=0.1), "remat": True}
    pair = {"student": student, "teacher": teacher, "data": data, **adapters}
    on_dolly = functools.partial(train, data=data, epochs=10 if full else None, rate=1e-3)
    return Study(
        name="tinyllama_from_llama2",
        title="TinyLlama distilled from Llama-2-7B",
        description="Adapters that learn from the answers, from the teacher's logits, and in both spaces.",
        stages=(
            on_dolly("teacher", SFT(student=base, data=data, **adapters)),
            on_dolly("sft", SFT(student=student, data=data, **adapters)),
            on_dolly("kd", LogitKD(**pair)),
            on_dolly("dskd", DSKD(**pair), projectors=1e-3),
        ),
        seeds=(10,),
        comparisons=(("kd", "sft"), ("dskd", "kd")),
    )
