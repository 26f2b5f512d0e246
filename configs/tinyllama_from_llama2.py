"""DSKD with adapters, one vocabulary: TinyLlama-1.1B learns from Llama-2-7B to follow instructions.

Source    Zhang et al., DSKD (arXiv 2406.17328), section 4, with the hyper-parameters of songmzhang/DSKD@077337a,
          scripts/tinyllama.
Data      Dolly as that repository prepares it: `train.jsonl` (11,435 rows), `dev.jsonl`, `test.jsonl` in DATA.
          A prompt keeps its first 256 tokens, a response its first 448, both together 512.
Teacher   Llama-2-7B with adapters trained on the same data, merged: the stage `teacher` makes it, and the others read
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

from typing import Literal

from jaxkd.data.jsonl import Jsonl
from jaxkd.data.text import PackedText
from jaxkd.evals.bits_per_byte import BitsPerByte
from jaxkd.evals.samples import Samples
from jaxkd.loop import Train
from jaxkd.mesh import MeshShape
from jaxkd.models import published
from jaxkd.models.lora import LoRA
from jaxkd.models.pretrained import Pretrained
from jaxkd.optim import Group, Optimizer
from jaxkd.recipe import Recipe
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.study import Study

DATA = "data/dolly"
STUDENT = "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"
TEACHER_BASE = "meta-llama/Llama-2-7b-hf"
TEACHER = "runs/tinyllama_from_llama2/teacher_model"
MESH = MeshShape(data=1)

EPOCH = 357  # steps: 11,435 examples, about 32 of them in 12 packed rows


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """The study; "smoke" is two steps of the same shapes."""
    full = size == "full"
    source = Jsonl(train=f"{DATA}/train.jsonl", validation=f"{DATA}/dev.jsonl", test=f"{DATA}/test.jsonl")
    data = PackedText(
        source=source,
        rows=12,
        length=512,
        targets=448,
        template="plain",
        overlong="truncate",
        max_prompt=256,
        keep_prompt="first",
    )
    student = Pretrained(path=STUDENT, architecture=published.TINYLLAMA_1_1B)
    teacher = Pretrained(path=TEACHER, architecture=published.LLAMA2_7B)

    def bits_per_byte(split: Literal["validation", "test"]) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, rows=12, length=512, targets=448, template="plain")

    def train(name: str, recipe: Recipe, *, projectors: float | None = None) -> Train:
        groups = () if projectors is None else (Group(name="projectors", learning_rate=projectors),)
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=10 * EPOCH if full else 2,
            optimizer=Optimizer(learning_rate=1e-3, final_fraction=1e-4, weight_decay=0.01, groups=groups),
            precision="bfloat16",
            mesh=MESH,
            evaluate_every=EPOCH,
            save_every=EPOCH,
            validation=(bits_per_byte("validation"),),
            evaluators=(bits_per_byte("test"), Samples(source=source, template="plain")),
        )

    adapters = {"lora": LoRA(rank=256, alpha=8.0, dropout=0.1), "remat": True}
    pair = {"student": student, "teacher": teacher, "data": data, **adapters}
    base = Pretrained(path=TEACHER_BASE, architecture=published.LLAMA2_7B)
    return Study(
        name="tinyllama_from_llama2",
        title="TinyLlama distilled from Llama-2-7B",
        description="Adapters that learn from the answers, from the teacher's logits, and in both spaces.",
        stages=(
            train("teacher", SFT(student=base, data=data, **adapters)),
            train("sft", SFT(student=student, data=data, **adapters)),
            train("kd", LogitKD(**pair)),
            train("dskd", DSKD(**pair), projectors=1e-3),
        ),
        seeds=(10,),
        comparisons=(("kd", "sft"), ("dskd", "kd")),
    )
