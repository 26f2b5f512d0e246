r"""DSKDv2 with exact token alignment: Llama-3.2-1B learns mathematics from Qwen2.5-Math-7B-Instruct.

Source    Zhang et al., DSKDv2 (arXiv 2504.11426), the mathematics branch of songmzhang/DSKDv2@5025279, which has no
          script for it.  Rates, epochs, batch and temperature are those that another repository reports.
Data      50,000 MetaMathQA questions that the teacher answered greedily: `train.jsonl`, `dev.jsonl`, `test.jsonl` in
          DATA, rows of `messages` that begin with the system prompt ("... within \boxed{}.").
Teacher   Qwen2.5-Math-7B-Instruct as it is: the answers are its own.
Students  `sft`, without a teacher; DSKD with cross-model attention (`cma`), and DSKDv2 with exact token alignment
          (`eta`).  The base student has no chat template and reads the messages as plain text.
Training  All parameters, 3 epochs of about 128 examples a step: 64 rows of 1,024 tokens on either side, packed, in 8
          micro-batches.  AdamW, 1e-5 falling to 1e-7 along a cosine, decay 0.01; projectors at 1e-3.  Temperature 1,
          half of the loss is the teacher's.
Expected  SFT < DSKD < DSKDv2 on GSM8K and MATH.  Not reproduced here: docs/papers.md.
Hardware  Planned: 76 GiB on one device.  Flags for several GPUs: docs/papers.md.

    launch/one_gpu.sh configs/llama3_2_1b_from_qwen2_5_math.py --dry-run
    launch/one_gpu.sh configs/llama3_2_1b_from_qwen2_5_math.py
"""

from typing import Literal

from jaxkd.data import Jsonl, PackedText, PairedText
from jaxkd.evals import BitsPerByte, Samples
from jaxkd.losses import ForwardKL
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import published
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Group, Optimizer, Recipe, Train

DATA = "data/metamath_qwen2.5_math_7b"
STUDENT = "meta-llama/Llama-3.2-1B"
TEACHER = "Qwen/Qwen2.5-Math-7B-Instruct"
MESH = MeshShape(data=1)

EPOCH = 391  # steps: 50,000 examples, 128 a step


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study; "smoke" is two steps of the same shapes."""
    full = size == "full"
    source = Jsonl(train=f"{DATA}/train.jsonl", validation=f"{DATA}/dev.jsonl", test=f"{DATA}/test.jsonl")
    plain = PackedText(source=source, rows=64, length=1024, targets=768, template="plain", overlong="truncate")
    chat = PackedText(source=source, rows=64, length=1024, targets=768, overlong="truncate")
    student = Pretrained(path=STUDENT, architecture=published.LLAMA3_2_1B)
    teacher = Pretrained(path=TEACHER, architecture=published.QWEN2_5_MATH_7B)

    def bits_per_byte(split: Literal["validation", "test"]) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, rows=8, length=1024, targets=768, template="plain")

    def train(name: str, recipe: Recipe, *, projectors: float | None = None) -> Train:
        groups = () if projectors is None else (Group(name="projectors", learning_rate=projectors),)
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=3 * EPOCH if full else 2,
            optimizer=Optimizer(learning_rate=1e-5, final_fraction=1e-2, weight_decay=0.01, groups=groups),
            accumulation=8,
            precision="bfloat16",
            mesh=MESH,
            evaluate_every=EPOCH,
            save_every=EPOCH,
            validation=(bits_per_byte("validation"),),
            evaluators=(bits_per_byte("test"), Samples(source=source, template="plain")),
        )

    pair = {
        "student": student,
        "teacher": teacher,
        "data": PairedText(student=plain, teacher=chat),
        "divergence": ForwardKL(),
        "remat": True,
    }
    return Study(
        name="llama3_2_1b_from_qwen2_5_math",
        title="Llama-3.2-1B distilled from Qwen2.5-Math-7B",
        description="Two methods between two vocabularies, and the control without a teacher.",
        stages=(
            train("sft", SFT(student=student, data=plain, remat=True)),
            train("cma", DSKDCrossAttention(**pair), projectors=1e-3),
            train("eta", DSKDv2ETA(**pair), projectors=1e-3),
        ),
        seeds=(10,),
        comparisons=(("cma", "sft"), ("eta", "cma")),
    )
