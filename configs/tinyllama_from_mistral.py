"""Adapters between different vocabularies: TinyLlama-1.1B learns from Mistral-7B to follow instructions.

Source    Zhang et al., DSKD (arXiv 2406.17328), section 4, and DSKDv2 (arXiv 2504.11426), with the hyper-parameters of
          songmzhang/DSKD@077337a, scripts/tinyllama; that `eta` shares them is inferred.
Data      Dolly as that repository prepares it: `train.jsonl` (11,435 rows), `dev.jsonl`, `test.jsonl` in DATA.
          A prompt keeps its first 256 tokens, a response its first 448, both together 512.
Teacher   Mistral-7B-v0.1 with adapters trained on the same data, merged: the stage `teacher` makes it, and the others
          read it from the folder TEACHER.
Students  `sft`, without a teacher; `uld`, `mined`, DSKD with cross-model attention (`cma`), and DSKDv2 with exact token
          alignment (`eta`).
Training  Adapters of rank 256 and alpha 8 beside queries and values, dropout 0.1; projectors are trained whole.  10
          epochs of about 32 examples a step: 12 rows of 512 tokens on either side, packed.  AdamW, 1e-3 falling to 1e-7
          along a cosine, decay 0.01; projectors at 1e-3 (`eta`: 5e-4).  Temperature 2, which ULD has none of; half of
          the loss is the teacher's.
Expected  SFT < ULD < MinED < DSKD < DSKDv2, in Rouge-L.  Not reproduced here: docs/papers.md.
Hardware  The paper's scripts: four GPUs.  Planned: 50 GiB for a student, 48 for the teacher, on one device.

    launch/one_gpu.sh configs/tinyllama_from_mistral.py --dry-run
    launch/one_gpu.sh configs/tinyllama_from_mistral.py --only teacher
    python -m jaxkd.export --run runs/tinyllama_from_mistral/teacher/10 --to runs/tinyllama_from_mistral/teacher_model
    launch/one_gpu.sh configs/tinyllama_from_mistral.py
"""

from typing import Literal

from jaxkd.data.jsonl import Jsonl
from jaxkd.data.pairs import PairedText
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
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.sft import SFT
from jaxkd.recipes.uld import ULD
from jaxkd.study import Study

DATA = "data/dolly"
STUDENT = "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T"
TEACHER_BASE = "mistralai/Mistral-7B-v0.1"
TEACHER = "runs/tinyllama_from_mistral/teacher_model"
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
    teacher = Pretrained(path=TEACHER, architecture=published.MISTRAL_7B)

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
    pair = {"student": student, "teacher": teacher, "data": PairedText(student=data, teacher=data), **adapters}
    base = Pretrained(path=TEACHER_BASE, architecture=published.MISTRAL_7B)
    return Study(
        name="tinyllama_from_mistral",
        title="TinyLlama distilled from Mistral-7B",
        description="Four methods between two vocabularies, and the control without a teacher, all with adapters.",
        stages=(
            train("teacher", SFT(student=base, data=data, **adapters)),
            train("sft", SFT(student=student, data=data, **adapters)),
            train("uld", ULD(**pair)),
            train("mined", MinED(**pair)),
            train("cma", DSKDCrossAttention(**pair), projectors=1e-3),
            train("eta", DSKDv2ETA(**pair), projectors=5e-4),
        ),
        seeds=(10,),
        comparisons=(("uld", "sft"), ("mined", "sft"), ("cma", "sft"), ("eta", "cma")),
    )
