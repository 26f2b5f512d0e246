"""Different vocabularies: GPT-2 (124 M) learns from Qwen1.5-1.8B to follow instructions, by four methods.

Source    Zhang et al., DSKD (arXiv 2406.17328), section 4, and DSKDv2 (arXiv 2504.11426), with the hyper-parameters of
          the scripts of songmzhang/DSKD@077337a and songmzhang/DSKDv2@5025279.
Data      Dolly as those repositories prepare it: `train.jsonl` (11,435 rows), `dev.jsonl`, `test.jsonl` in DATA.
          A prompt keeps its first 256 tokens, a response its first 448, both together 512.
Teacher   Qwen1.5-1.8B after supervised fine-tuning on the same data (10 epochs at 2e-5): the stage `teacher` makes it,
          and the others read it from the folder TEACHER.
Students  `sft`, without a teacher; `uld`, `mined`, DSKD with cross-model attention (`cma`), and DSKDv2 with exact token
          alignment (`eta`).
Training  All parameters, 20 epochs of about 32 examples a step: 10 rows of 512 tokens on either side, packed.  AdamW,
          5e-4 falling to 1e-7 along a cosine, decay 0.01; projectors at 1e-3 (`eta`: 5e-4).  Temperature 2, which ULD
          has none of; half of the loss is the teacher's.
Expected  SFT < ULD < MinED < DSKD < DSKDv2, in Rouge-L.  Not reproduced here: docs/papers.md.
Hardware  The paper's scripts: four GPUs.  Planned: 18 GiB for a student, 33 for the teacher, on one device.

    launch/one_gpu.sh configs/gpt2_from_qwen.py --dry-run
    launch/one_gpu.sh configs/gpt2_from_qwen.py --only teacher
    python -m jaxkd.export --run runs/gpt2_from_qwen/teacher/10 --to runs/gpt2_from_qwen/teacher_model
    launch/one_gpu.sh configs/gpt2_from_qwen.py
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
STUDENT = "openai-community/gpt2"
TEACHER_BASE = "Qwen/Qwen1.5-1.8B"
TEACHER = "runs/gpt2_from_qwen/teacher_model"
MESH = MeshShape(data=1)

EPOCH = 357  # steps: 11,435 examples, about 32 of them in 10 packed rows


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """The study; "smoke" is two steps of the same shapes."""
    full = size == "full"
    source = Jsonl(train=f"{DATA}/train.jsonl", validation=f"{DATA}/dev.jsonl", test=f"{DATA}/test.jsonl")
    data = PackedText(
        source=source,
        rows=10,
        length=512,
        targets=448,
        template="plain",
        overlong="truncate",
        max_prompt=256,
        keep_prompt="first",
    )
    student = Pretrained(path=STUDENT, architecture=published.GPT2)
    teacher = Pretrained(path=TEACHER, architecture=published.QWEN1_5_1_8B)

    def bits_per_byte(split: Literal["validation", "test"]) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, rows=10, length=512, targets=448, template="plain")

    def train(
        name: str, recipe: Recipe, *, rate: float = 5e-4, epochs: int = 20, projectors: float | None = None
    ) -> Train:
        groups = () if projectors is None else (Group(name="projectors", learning_rate=projectors),)
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=epochs * EPOCH if full else 2,
            optimizer=Optimizer(learning_rate=rate, final_fraction=1e-7 / rate, weight_decay=0.01, groups=groups),
            precision="bfloat16",
            mesh=MESH,
            evaluate_every=EPOCH,
            save_every=EPOCH,
            validation=(bits_per_byte("validation"),),
            evaluators=(bits_per_byte("test"), Samples(source=source, template="plain")),
        )

    pair = {"student": student, "teacher": teacher, "data": PairedText(student=data, teacher=data), "dropout": 0.1}
    base = Pretrained(path=TEACHER_BASE, architecture=published.QWEN1_5_1_8B)
    return Study(
        name="gpt2_from_qwen",
        title="GPT-2 distilled from Qwen1.5-1.8B",
        description="Four methods between two vocabularies, and the control without a teacher.",
        stages=(
            train("teacher", SFT(student=base, data=data, remat=True), rate=2e-5, epochs=10),
            train("sft", SFT(student=student, data=data, dropout=0.1)),
            train("uld", ULD(**pair)),
            train("mined", MinED(**pair)),
            train("cma", DSKDCrossAttention(**pair), projectors=1e-3),
            train("eta", DSKDv2ETA(**pair), projectors=5e-4),
        ),
        seeds=(10,),
        comparisons=(("uld", "sft"), ("mined", "sft"), ("cma", "sft"), ("eta", "cma")),
    )
