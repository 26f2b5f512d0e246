"""The laboratory's rows: equal trials, batches and measures, and refusals before anything long starts."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks.laboratory.rows import ONE_VOCABULARY, TWO_VOCABULARIES, Laboratory
from benchmarks.laboratory.trials import CHOSEN, TRIALS, TUNING_SEED
from jaxkd.data import PairedText
from jaxkd.recipes.sft import SFT
from jaxkd.runtime import configs
from jaxkd.train import load_study
from jaxkd.training import Train

NAMES = (
    "tuning",
    "one_vocabulary",
    "ablation",
    "two_vocabularies",
    "other_methods",
    "sentencepiece",
    "divergences",
    "students",
    "on_policy",
    "prose",
)


@pytest.fixture(scope="module")
def studies():
    return {name: load_study(Path(f"configs/laboratory_{name}.py"))("full") for name in NAMES}


def test_every_method_has_the_same_trials_at_a_seed_of_their_own(studies):
    tuning = studies["tuning"]
    assert [name for name, study in studies.items() if TUNING_SEED in study.seeds] == ["tuning"]
    assert tuning.seeds == (TUNING_SEED,)
    rows = [stage for stage in tuning.stages if isinstance(stage, Train)]
    methods = ("sft", *ONE_VOCABULARY, *TWO_VOCABULARIES)
    assert [row.name for row in rows] == [f"{method}_{n}" for method in methods for n in range(len(TRIALS))]
    for row in rows:
        trial = TRIALS[int(row.name[-1])]
        assert (row.optimizer.learning_rate, row.steps) == (trial.learning_rate, trial.steps)
        assert getattr(row.recipe, "kd_rate", trial.kd_rate) == trial.kd_rate
        assert [group.learning_rate for group in row.optimizer.groups] in ([], [trial.projector_rate])
        assert row.evaluators == ()
    assert CHOSEN.keys() <= set(methods) and set(CHOSEN.values()) <= set(range(len(TRIALS)))


def test_rows_of_a_study_differ_by_method_alone(studies):
    for name in sorted(studies.keys() - {"tuning", "students", "on_policy"}):
        rows = [stage for stage in studies[name].stages if isinstance(stage, Train)]
        for row in rows:
            assert (row.keep_best, row.patience, row.evaluate_every) == ("bits_per_byte", 4, 50)
            assert (row.validation, row.evaluators) == (rows[0].validation, rows[0].evaluators)
            text = row.recipe.data.student if isinstance(row.recipe.data, PairedText) else row.recipe.data
            source = rows[0].validation[0].source
            assert row.name == "seqkd" or dataclasses.replace(text, source=source) == text
            assert row.recipe.student == rows[0].recipe.student


def test_projectors_have_a_rate_of_their_own_and_no_other_method_does():
    for student, methods in (("narrow", ONE_VOCABULARY), ("byte_level", TWO_VOCABULARIES)):
        laboratory = Laboratory(full=True, student=student)
        for name, recipe in methods.items():
            row = laboratory.method(name)
            assert isinstance(row.recipe, recipe)
            assert bool(row.optimizer.groups) == (name in ("dskd", "dskdv2", "cma", "eta"))
    assert isinstance(laboratory.method("sft").recipe, SFT)
    with pytest.raises(KeyError, match="kd"):
        laboratory.method("kd")


def test_the_part_that_is_left_out_is_all_that_differs(studies):
    methods = {stage.name: stage for stage in studies["one_vocabulary"].stages if isinstance(stage, Train)}
    rows = [stage for stage in studies["ablation"].stages if isinstance(stage, Train) and stage.name != "seqkd"]
    assert len(rows) == 12
    for row in rows:
        whole = methods[row.name.split("_")[0]]
        differing = configs.differences(whole, dataclasses.replace(row, name=whole.name, label=whole.label))
        assert 0 < len(differing) <= 2, (row.name, differing)


def test_a_projector_is_trained_on_policy_too(studies):
    groups = {stage.name: stage.optimizer.groups for stage in studies["on_policy"].stages if isinstance(stage, Train)}
    assert [name for name, group in groups.items() if group] == ["dskdv2_off", "dskdv2_on"]
