"""The study of the grammar at one seed: a model that complies learns from its own critiques and revisions."""

import dataclasses
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.constitution.grammar import two_behaviours
from benchmarks.constitution.grammar.character_model import write_character_model
from benchmarks.constitution.grammar.mixtures import MixedPairs, MixedText
from benchmarks.constitution.grammar.two_behaviours import Kind, Prompt
from jaxkd.constitution import Critique, Revision
from jaxkd.data import (
    Contaminated,
    FinalAnswer,
    FollowUp,
    Half,
    Jsonl,
    PackedText,
    PreferenceJsonl,
    PreferenceText,
    RevisionPairs,
)
from jaxkd.data.examples import Source
from jaxkd.data.text.hygiene import REASONS, Hygiene
from jaxkd.evals import Generations, Health, Refusals
from jaxkd.evals.language.generation_metric import Generation, GenerationMetric
from jaxkd.losses.preference import DPOLoss
from jaxkd.models import Pretrained
from jaxkd.recipes.dpo import DPO
from jaxkd.recipes.sft import SFT
from jaxkd.sampling import GREEDY
from jaxkd.sharding import MeshShape
from jaxkd.study import Clean, Generate, Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.training.stage import Stage

CONSTITUTION = yaml.safe_dump(two_behaviours.CONSTITUTION)
"""The principles as a file."""
CONTAMINATED = 0.8
"""Share of the revisions that get closers."""
HYGIENE = Hygiene(reasons=tuple(reason for reason in REASONS if reason != "no_change"))
"""Reasons to drop a revision: the answers to benign prompts need no change, and are learnt as they are."""
ANSWER, CONVERSATION, CLOSED = 32, 128, 96
"""Most tokens of an answer, of a conversation, and of an answer with closers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """Numbers of prompts and steps."""

    lessons: int = 800
    """Prompts of each kind in the first training."""
    prompts: int = 256
    """Prompts of each kind that are answered, criticised and revised."""
    helpful: int = 600
    """Benign prompts of the first training that are mixed into SFT, with their answers."""
    helpful_pairs: int = 96
    """Benign prompts that are mixed into DPO, where an answer is better than a refusal: fewer than DPO has revisions of
    harmful ones, or it complies again."""
    tests: int = 128
    """Held-out prompts of each kind."""
    first_steps: int = 600
    sft_steps: int = 120
    dpo_steps: int = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactAnswer(GenerationMetric):
    """Share of the answers that are those of the data, to the letter."""

    @property
    def name(self) -> str:
        return "exact"

    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        right = tuple(float(answer.text.strip() == answer.example.response) for answer in answers)
        keys = tuple(answer.example.key for answer in answers)
        return Evaluation(metrics={"accuracy": sum(right) / len(right)}, keys=keys, per_example={"right": right})


def write_study(folder: Path, seed: int, size: Size) -> Study:
    """Write the prompts, the constitution and the random weights of a seed to a new folder; return the study.

    Both `sft` and `dpo` learn from helpful data as well, which keep the answers to benign prompts, as the recipe of
    Hugging Face does.  Its stages: `start`, on answers that comply and on rounds of critique and revision; `initial`,
    `critique` and `revision` by that model; `clean`; `sft` on one half of the prompts and `dpo` on the other; and
    `closers` and `cleaned`, SFT on contaminated revisions alone, as they are, and on what `filter` leaves of them.
    """
    folder.mkdir(parents=True)
    random_weights = write_character_model(folder / "model", seed=seed)
    (folder / "constitution.yaml").write_text(CONSTITUTION, encoding="utf-8")
    counts: list[tuple[Kind, int]] = [
        (kind, count) for count in (size.lessons, size.prompts, size.tests) for kind in ("harmful", "benign")
    ]
    lists = two_behaviours.sample_prompts(seed, counts)
    lessons, prompts = (_shuffled(lists[start] + lists[start + 1], seed) for start in (0, 2))
    files = {
        "lessons": two_behaviours.lesson_rows(lessons, seed=seed, rounds=0.5),
        "prompts": two_behaviours.prompt_rows(prompts),
        "helpful": two_behaviours.answered_rows(lists[1][: size.helpful]),
        "helpful_pairs": two_behaviours.pair_rows(lists[1][-size.helpful_pairs :]),
        "harmful": two_behaviours.answered_rows(lists[4]),
        "benign": two_behaviours.answered_rows(lists[5]),
    }
    for name, rows in files.items():
        write_rows(folder / f"{name}.jsonl", rows)
    return Study(
        name="two_behaviours",
        title="A grammar of two behaviours",
        description="A model of characters complies with everything, and then learns its own revisions.",
        stages=_stages(folder, random_weights, size),
        seeds=(seed,),
    )


def _stages(folder: Path, random_weights: Pretrained, size: Size) -> tuple[Stage, ...]:
    start, tuned = (dataclasses.replace(random_weights, trained=f"stage:{name}") for name in ("start", "sft"))
    constitution = str(folder / "constitution.yaml")

    def measured(kind: Kind, against: str | None) -> Generations:
        text = PackedText(source=Jsonl(test=str(folder / f"{kind}.jsonl")), rows=size.tests, length=64, targets=40)
        refusals = Refusals(prompts=kind)
        return Generations(
            label=kind,
            student=random_weights,
            teacher=None,
            data=text,
            count=size.tests,
            max_new_tokens=CLOSED,
            sampling=GREEDY,
            metrics=(refusals, ExactAnswer(), Health(against=against)) if kind == "benign" else (refusals,),
        )

    def train(name: str, recipe: Recipe, steps: int, rate: float, start_from: str | None) -> Train:
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=rate, b2=0.98, warmup_steps=steps // 10),
            start_from=start_from,
            mesh=MeshShape(data=1),
            log_every=10,
            evaluators=tuple(
                measured(kind, None if name == "start" else "stage:start") for kind in ("harmful", "benign")
            ),
            tensorboard=False,
        )

    def generate(name: str, source: Source) -> Generate:
        return Generate(
            name=name,
            model=start,
            data=PackedText(source=source, length=CONVERSATION),
            max_new_tokens=ANSWER,
            rows=128,
            mesh=MeshShape(data=1),
        )

    def learnt(source: Source, *helpful: Source) -> SFT:
        revised = FinalAnswer(source=Half(source=source, half="first"))
        data = MixedText(sources=(revised, *helpful))
        return SFT(student=random_weights, data=PackedText(source=data, rows=8, length=CONVERSATION, targets=CLOSED))

    def sft(name: str, source: Source, *helpful: Source) -> Train:
        return train(name, learnt(source, *helpful), size.sft_steps, 6e-4, "stage:start")

    lessons = PackedText(
        source=Jsonl(train=str(folder / "lessons.jsonl")), rows=8, length=CONVERSATION, targets=CONVERSATION // 2
    )
    revisions, cleaned = Jsonl(train="stage:revision"), Jsonl(train="stage:clean")
    contaminated = Contaminated(source=revisions, closer=two_behaviours.CLOSER, separator=" ", share=CONTAMINATED)
    revised = RevisionPairs(source=Half(source=cleaned, half="second"))
    pairs = MixedPairs(sources=(revised, PreferenceJsonl(train=str(folder / "helpful_pairs.jsonl"))))
    dpo = DPO(
        student=tuned,
        data=PreferenceText(source=pairs, rows=8, length=CONVERSATION, targets=64, pairs=2),
        objective=DPOLoss(beta=0.5),
        sft_weight=1.0,
    )
    return (
        train("start", SFT(student=random_weights, data=lessons), size.first_steps, 3e-3, None),
        generate("initial", Jsonl(train=str(folder / "prompts.jsonl"), responses="optional")),
        generate("critique", FollowUp(source=Jsonl(train="stage:initial"), turn=Critique(constitution=constitution))),
        generate("revision", FollowUp(source=Jsonl(train="stage:critique"), turn=Revision(constitution=constitution))),
        Clean(name="clean", source=revisions, hygiene=HYGIENE, generated="stage:revision"),
        sft("sft", cleaned, Jsonl(train=str(folder / "helpful.jsonl"))),
        train("dpo", dpo, size.dpo_steps, 4e-5, None),
        sft("closers", contaminated),
        Clean(name="filter", source=contaminated, hygiene=HYGIENE),
        sft("cleaned", Jsonl(train="stage:filter")),
    )


def _shuffled(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    return random.Random(seed).sample(prompts, len(prompts))


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
