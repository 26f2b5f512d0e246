"""Equations in three stages."""

import dataclasses
import re

import jax
import numpy as np
import pytest

from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.recipes.snode import SNODEMatching, SNODEResidual, SNODETuning
from jaxkd.runtime import configs
from jaxkd.study import Study, run_study, runs
from jaxkd.study.results.summary import write_summary
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vector_fields import Corrected, Network, Phase
from jaxkd.vector_fields.symbolic import RESIDUAL, SYMBOLIC
from tests.tiny_dynamics import CLEAN, KEY, NOISY, TERMS, begun, double_precision, loss, train

__all__ = ["double_precision"]

DATA = dataclasses.replace(NOISY, count=8)
PHASES = (Phase(steps=1, horizon=8),)
MATCHING = SNODEMatching(data=DATA, field=TERMS, rows=32)
TUNING = SNODETuning(data=DATA, field=TERMS, rows=16, phases=PHASES, equations="stage:matching")
RESIDUAL_STAGE = SNODEResidual(
    data=DATA,
    field=Corrected(symbolic=TERMS, residual=Network(width=4, depth=1, start_at_zero=True)),
    rows=16,
    phases=PHASES,
    equations="stage:tuning",
)


def three_stages(evaluators):
    slow = dataclasses.replace(train(MATCHING).optimizer, learning_rate=1e-4)
    stages = tuple(
        train(recipe, name=name, label=name, steps=3, optimizer=rate, evaluators=evaluators)
        for name, recipe, rate in (
            ("matching", MATCHING, train(MATCHING).optimizer),
            ("tuning", TUNING, slow),
            ("residual", RESIDUAL_STAGE, slow),
        )
    )
    return Study(name="snode", title="", description="", stages=stages, headline=ROLLOUT_ERROR)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a study whose stages are not evaluated."""
    workdir = tmp_path_factory.mktemp("trained")
    with jax.enable_x64(True):
        run_study(three_stages(()), workdir)
    return workdir


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("snode")
    study = three_stages((RolloutError(data=CLEAN), FieldError(data=CLEAN)))
    with jax.enable_x64(True):
        run_study(study, workdir)
        write_summary(study, workdir)
    return workdir


def test_matching_begins_at_the_terms_that_are_found():
    state = begun(MATCHING)
    equations = TERMS.equations(state.params["field"], state.frozen["scales"])
    assert str(equations.rounded(1)) == "dx/dt = v\ndv/dt = -x - 0.2 v"


@pytest.mark.slow
def test_stages_hand_their_equations_on(study):
    first, second, third = (runs.model(study / name / "0") for name in ("matching", "tuning", "residual"))
    for learnt in (first, second):
        assert str(learnt.field.equations(learnt.params, learnt.scales).rounded(1)) == "dx/dt = v\ndv/dt = -x - 0.2 v"
    assert np.any(first.params["coefficients"] != second.params["coefficients"])
    np.testing.assert_array_equal(third.params[SYMBOLIC]["coefficients"], second.params["coefficients"])
    assert np.any(jax.tree.leaves(third.params[RESIDUAL])[-1] != 0)
    for name in ("matching", "tuning", "residual"):
        assert read_evaluations(study / name / "0")["field_error"].metrics["field_error"] < 0.1


@pytest.mark.slow
def test_the_report_has_the_equations_below_the_true_ones(study):
    found = {name: read_evaluations(study / name / "0")["rollout_error"].equations for name in ("matching", "residual")}
    assert [(one.state, one.truth) for one in found["matching"]] == [("x", "v"), ("v", "-x - 0.2 v")]
    assert found["residual"][0].learnt.endswith(" v + network")
    page = re.sub(r"\s*<[^>]*>\s*", "|", (study / "report.html").read_text())
    for name in ("matching", "residual"):
        for one in found[name]:
            assert re.search(rf"\|{name}\|+{re.escape(one.learnt)}\|", page)
    assert re.search(r"\|dv/dt\|+true\|+-x - 0\.2 v\|", page)


def test_the_residual_begins_at_the_error_of_the_equations(trained):
    recipe = dataclasses.replace(RESIDUAL_STAGE, equations=str(trained / "tuning/0"))
    state = recipe.init(KEY)
    assert list(state.params["field"]) == [RESIDUAL]
    tuned = runs.model(trained / "tuning/0")
    y = jax.numpy.array([0.3, -1.0])
    np.testing.assert_allclose(recipe.model(state)(0.0, y), tuned(0.0, y), rtol=1e-12)
    described = recipe.abstract()
    for tree in ("params", "frozen"):
        shapes = [jax.tree.map(lambda leaf: leaf.shape, getattr(one, tree)) for one in (state, described)]
        assert shapes[0] == shapes[1]


def test_the_penalty_draws_coefficients_towards_zero():
    state = begun(MATCHING)
    batch = MATCHING.rollout(state, np.linspace(0, 0.99, 32), KEY).batch
    penalised = dataclasses.replace(MATCHING, alpha=0.5)
    plain, drawn = (float(loss(recipe, state, batch).loss) for recipe in (MATCHING, penalised))
    mean = np.mean(np.abs(np.asarray(state.params["field"]["coefficients"])))
    np.testing.assert_allclose(drawn - plain, 0.5 * mean, rtol=1e-9)
    halves = [jax.tree.map(lambda leaf, part=part: leaf[part::2], batch) for part in range(2)]
    parts = [float(loss(penalised, state, half, MATCHING.counts(batch)).loss) for half in halves]
    np.testing.assert_allclose(sum(parts), drawn, rtol=1e-12)


def test_they_are_configs():
    for recipe in (MATCHING, TUNING, RESIDUAL_STAGE):
        assert configs.decode(configs.encode(recipe)) == recipe


def test_refusals():
    others = dataclasses.replace(TERMS, names=("x", "w"))
    for recipe in (
        dataclasses.replace(MATCHING, field=others),
        dataclasses.replace(TUNING, field=others),
        dataclasses.replace(RESIDUAL_STAGE, field=Corrected(symbolic=others)),
    ):
        with pytest.raises(ValueError, match="names must be those of the data, x, v, of which 2 are states, got x, w"):
            recipe.validate()
    with pytest.raises(ValueError, match="alpha must be at least 0, got -1"):
        dataclasses.replace(MATCHING, alpha=-1).validate()
    with pytest.raises(ValueError, match="folder must be one that holds checkpoints, got nowhere"):
        dataclasses.replace(TUNING, equations="nowhere").init(KEY)
