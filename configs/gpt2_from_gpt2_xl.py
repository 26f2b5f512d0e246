"""DSKD and DSKDv2 with one vocabulary: GPT-2 (124 M) learns from GPT-2 XL (1.5 B) to follow instructions.

Source    Zhang et al., DSKD (arXiv 2406.17328), section 4, and DSKDv2 (arXiv 2504.11426), with the hyper-parameters of
          the scripts of songmzhang/DSKD@077337a and songmzhang/DSKDv2@5025279.
Data      Dolly as those repositories prepare it: `train.jsonl` (11,435 rows), `dev.jsonl`, `test.jsonl` in DATA.
          A prompt keeps its first 256 tokens, a response its first 448, both together 512.
Teacher   GPT-2 XL after supervised fine-tuning on the same data.  The paper takes MiniLLM's checkpoint; the stage
          `teacher` trains one, with DSKD's settings for its other teacher.  Set TEACHER to a path to use another.
Students  `sft`; for each divergence D `kd_D`, between the logits, and `dskd_D`, in both spaces; `dskdv2`.
Training  All parameters, 20 epochs of about 32 examples a step: 10 rows of 512 tokens, packed.  AdamW, 5e-4 falling to
          1e-7 along a cosine, decay 0.01; projectors at 1e-3 (DSKDv2: 5e-4).  Temperature 2, half of the loss is the
          teacher's.
Expected  DSKD at or above the plain divergence for each D, DSKDv2 above DSKD, in Rouge-L.  Not reproduced here:
          docs/papers.md.
Hardware  The paper's scripts: four GPUs.  Planned: 18 GiB for a student, 30 for the teacher, on one device.

    launch/one_gpu.sh configs/gpt2_from_gpt2_xl.py --dry-run
    launch/one_gpu.sh configs/gpt2_from_gpt2_xl.py
"""

import dataclasses
import functools
from typing import Literal

from jaxkd.data import Jsonl, PackedText
from jaxkd.evals import BitsPerByte, Samples
from jaxkd.losses import AdaptiveKL, ForwardKL, JensenShannon, ReverseKL, SkewForwardKL, SkewReverseKL
from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import published
from jaxkd.recipes.dskd import DSKD
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Group, Optimizer, Recipe, Train

DATA = "data/dolly"
STUDENT = Pretrained(path="openai-community/gpt2", architecture=published.GPT2)
TEACHER_BASE = Pretrained(path="openai-community/gpt2-xl", architecture=published.GPT2_XL)
TEACHER = dataclasses.replace(TEACHER_BASE, trained="stage:teacher")
MESH = MeshShape(data=1)

EPOCH = 357  # steps: 11,435 examples, about 32 of them in 10 or 12 packed rows

DIVERGENCES = {
    "forward_kl": ForwardKL(temperature=2.0),
    "reverse_kl": ReverseKL(temperature=2.0),
    "js": JensenShannon(temperature=2.0),
    "skew_forward_kl": SkewForwardKL(temperature=2.0, skew=0.1),
    "skew_reverse_kl": SkewReverseKL(temperature=2.0, skew=0.1),
    "adaptive_kl": AdaptiveKL(temperature=2.0),
}


def dolly(rows: int) -> PackedText:
    """Return the data in batches of `rows` rows, truncated as in the papers."""
    return PackedText(
        source=Jsonl(train=f"{DATA}/train.jsonl", validation=f"{DATA}/dev.jsonl", test=f"{DATA}/test.jsonl"),
        rows=rows,
        length=512,
        targets=448,
        template="plain",
        overlong="truncate",
        max_prompt=256,
        keep_prompt="first",
    )


def train(
    name: str, recipe: Recipe, *, data: PackedText, epochs: int | None, rate: float, projectors: float | None = None
) -> Train:
    """Return a stage whose rate falls to 1e-7 along a cosine; without `epochs` it takes two steps."""
    groups = () if projectors is None else (Group(name="projectors", learning_rate=projectors),)

    def bits_per_byte(split: Literal["validation", "test"]) -> BitsPerByte:
        return BitsPerByte(
            source=data.source, split=split, rows=data.rows, length=data.length, targets=data.targets, template="plain"
        )

    return Train(
        name=name,
        label=name,
        recipe=recipe,
        steps=2 if epochs is None else epochs * EPOCH,
        optimizer=Optimizer(learning_rate=rate, final_fraction=1e-7 / rate, weight_decay=0.01, groups=groups),
        precision="bfloat16",
        mesh=MESH,
        evaluate_every=EPOCH,
        save_every=EPOCH,
        validation=(bits_per_byte("validation"),),
        evaluators=(bits_per_byte("test"), Samples(source=data.source, template="plain")),
    )


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study; "smoke" is only the first divergence, for two steps of the same shapes."""
    full, data = size == "full", dolly(rows=10)
    pair = {"student": STUDENT, "teacher": TEACHER, "data": data, "dropout": 0.1}
    on_dolly = functools.partial(train, data=data, epochs=20 if full else None, rate=5e-4)
    of_teacher = SFT(student=TEACHER_BASE, data=data, dropout=0.1, remat=True)
    stages = [
        train("teacher", of_teacher, data=data, epochs=10 if full else None, rate=2e-5),
        on_dolly("sft", SFT(student=STUDENT, data=data, dropout=0.1)),
    ]
    chosen = dict(list(DIVERGENCES.items())[: None if full else 1])
    for name, divergence in chosen.items():
        stages.append(on_dolly(f"kd_{name}", LogitKD(**pair, divergence=divergence)))
        stages.append(on_dolly(f"dskd_{name}", DSKD(**pair, divergence=divergence), projectors=1e-3))
    stages.append(on_dolly("dskdv2", DSKDv2(**pair), projectors=5e-4))
    return Study(
        name="gpt2_from_gpt2_xl",
        title="GPT-2 distilled from GPT-2 XL",
        description="Each divergence twice: between logits, and in the spaces of student and teacher (DSKD).",
        stages=tuple(stages),
        seeds=(10,),
        comparisons=tuple((f"dskd_{name}", f"kd_{name}") for name in chosen),
    )
