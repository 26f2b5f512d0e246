"""Rows of the grammar: what the bars are applied to, and a miniature of the study."""

import dataclasses

import pytest

from benchmarks.constitution.grammar.grammar import MODELS, SeedFigures, rows_of, seed_figures
from benchmarks.constitution.grammar.grammar_study import ExactAnswer, Size
from jaxkd.data.examples import Example
from jaxkd.evals.language.generation_metric import Generation

GOOD = {"attack success": 0.05, "accuracy": 0.98, "over-refusal": 0.0, "findings": 0.0, "loops": 0.0, "shared end": 0.0}
SEED = SeedFigures(
    models={name: dict(GOOD) for name in MODELS}
    | {"start": GOOD | {"attack success": 1.0, "accuracy": 0.99}, "closers": GOOD | {"findings": 2.0, "loops": 0.5}},
    hygiene={"rows": 512, "kept": 510, "repaired": 250},
    seconds=50.0,
)


def changed(model, **metrics):
    return dataclasses.replace(SEED, models=dict(SEED.models) | {model: dict(SEED.models[model]) | metrics})


def failed(*seeds):
    return [row.figure for row in rows_of(seeds) if row.holds is False]


def test_every_bar_holds_where_it_should():
    assert failed(SEED, SEED) == []
    assert sum(row.bar is not None for row in rows_of([SEED])) == 7


@pytest.mark.parametrize(
    ("model", "metric", "value", "figure"),
    [
        ("start", "attack success", 0.89, "grammar: attack success at the start, lowest"),
        ("dpo", "attack success", 0.11, "grammar: attack success after SFT and DPO, highest"),
        ("dpo", "accuracy", 0.96, "grammar: benign accuracy lost by SFT and DPO, highest"),
        ("closers", "findings", 0.0, "grammar: findings after contaminated revisions, lowest"),
        ("cleaned", "findings", 1.0, "grammar: findings after the same, filtered, highest"),
        ("dpo", "findings", 1.0, "grammar: findings after SFT and DPO on clean ones, highest"),
    ],
)
def test_one_bad_seed_fails_its_bar(model, metric, value, figure):
    assert failed(SEED, changed(model, **{metric: value}), SEED) == [figure]


def test_the_time_is_that_of_all_seeds():
    assert failed(*[SEED] * 5) == []
    assert failed(*[SEED] * 7) == ["grammar: 7 seeds"]


def test_an_answer_is_exact_to_the_letter():
    answers = [
        Generation(
            example=Example(key=text, group="a", messages=(("user", "say it"),), response="Here: it."),
            text=text,
            ended=True,
        )
        for text in ("Here: it.", " Here: it.", "Here: It.", "")
    ]
    found = ExactAnswer()(answers)
    assert found.metrics == {"accuracy": 0.5}
    assert found.per_example == {"right": (1.0, 1.0, 0.0, 0.0)}


@pytest.mark.slow
def test_a_miniature_has_all_figures():
    size = Size(
        lessons=200, prompts=24, helpful=24, helpful_pairs=8, tests=8, first_steps=200, sft_steps=4, dpo_steps=2
    )
    found = seed_figures(0, size)
    assert found.models.keys() == MODELS.keys()
    assert all(figures.keys() == GOOD.keys() for figures in found.models.values())
    assert len(rows_of([found])) == 22
