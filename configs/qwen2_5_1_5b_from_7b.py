"""DSKDv2 with one vocabulary and heads that are padded differently: Qwen2.5-1.5B learns to chat from 7B-Instruct.

Source    Zhang et al., DSKDv2 (arXiv 2504.11426), the chat branch of songmzhang/DSKDv2@5025279, which has no script for
          it.  Rates, epochs and batch are those that others report for its mathematics branch; the rest is inferred.
Data      50,000 UltraChat prompts that the teacher answered (temperature 0.7, top-p 0.8): `train.jsonl`, `dev.jsonl`,
          `test.jsonl` in DATA, rows of `messages` that begin with the system prompt.
Teacher   Qwen2.5-7B-Instruct as it is: the answers are its own.
Students  `sft`, without a teacher; `kd`, the forward KL between logits; `dskd`, in both spaces; `dskdv2`, in both
          spaces through ideal projectors.  The heads have 151,936 and 152,064 rows: the first 151,936 are compared.
Training  All parameters, 3 epochs of about 128 examples a step: 48 rows of 2,048 tokens, packed, in 12 micro-batches.
          AdamW, 1e-5 falling to 1e-7 along a cosine, decay 0.01; projectors at 1e-3.  Temperature 1, half of the loss
          is the teacher's.
Expected  SFT < KD < DSKD < DSKDv2.  Not reproduced here: docs/papers.md.
Hardware  Planned: 80 GiB on one device.  Flags for several GPUs: docs/papers.md.

    launch/one_gpu.sh configs/qwen2_5_1_5b_from_7b.py --dry-run
    launch/one_gpu.sh configs/qwen2_5_1_5b_from_7b.py
"""

from typing import Literal

from jaxkd.data import Jsonl, PackedText
from jaxkd.evals import BitsPerByte, Samples
from jaxkd.losses import ForwardKL
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import published
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Group, Optimizer, Recipe, Train

DATA = "data/ultrachat_qwen2.5_7b"
STUDENT = "Qwen/Qwen2.5-1.5B"
TEACHER = "Qwen/Qwen2.5-7B-Instruct"
MESH = MeshShape(data=1)

EPOCH = 391  # steps: 50,000 examples, 128 a step


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study; "smoke" is two steps of the same shapes."""
    full = size == "full"
    source = Jsonl(train=f"{DATA}/train.jsonl", validation=f"{DATA}/dev.jsonl", test=f"{DATA}/test.jsonl")
    data = PackedText(source=source, rows=48, length=2048, targets=1536, overlong="truncate")
    student = Pretrained(path=STUDENT, architecture=published.QWEN2_5_1_5B)
    teacher = Pretrained(path=TEACHER, architecture=published.QWEN2_5_7B_INSTRUCT)

    def bits_per_byte(split: Literal["validation", "test"]) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, rows=8, length=2048, targets=1536)

    def train(name: str, recipe: Recipe, *, projectors: float | None = None) -> Train:
        groups = () if projectors is None else (Group(name="projectors", learning_rate=projectors),)
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=3 * EPOCH if full else 2,
            optimizer=Optimizer(learning_rate=1e-5, final_fraction=1e-2, weight_decay=0.01, groups=groups),
            accumulation=12,
            precision="bfloat16",
            mesh=MESH,
            evaluate_every=EPOCH,
            save_every=EPOCH,
            validation=(bits_per_byte("validation"),),
            evaluators=(bits_per_byte("test"), Samples(source=source)),
        )

    pair = {"student": student, "teacher": teacher, "data": data, "divergence": ForwardKL(), "remat": True}
    return Study(
        name="qwen2_5_1_5b_from_7b",
        title="Qwen2.5-1.5B distilled from Qwen2.5-7B-Instruct",
        description="The same answers of the teacher, learnt alone, from its logits, and in both spaces.",
        stages=(
            train("sft", SFT(student=student, data=data, remat=True)),
            train("kd", LogitKD(**pair)),
            train("dskd", DSKD(**pair), projectors=1e-3),
            train("dskdv2", DSKDv2(**pair), projectors=1e-3),
        ),
        seeds=(10,),
        comparisons=(("kd", "sft"), ("dskd", "kd"), ("dskdv2", "dskd")),
    )
