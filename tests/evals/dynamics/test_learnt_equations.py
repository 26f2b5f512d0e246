"""Equations of learnt fields as text, beside the true ones."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxkd.data.trajectories import MeasuredTrajectories
from jaxkd.evals.dynamics.learnt_equations import learnt_equations
from jaxkd.training.results.evaluation import LearntEquation
from jaxkd.vector_fields import Corrected, Network, Terms, TermsOnGrid
from jaxkd.vector_fields.field import VectorField
from jaxkd.vector_fields.grid import LOCAL
from jaxkd.vector_fields.symbolic import RESIDUAL, SYMBOLIC
from tests.tiny_dynamics import CLEAN, KEY, ON_GRID, double_precision, truth

__all__ = ["double_precision"]


def found(model, data=CLEAN):
    return learnt_equations(model, data, CLEAN.trajectories("test"))


def test_digits_are_three_and_the_truth_stands_beside():
    assert found(truth(1.23456)) == (
        LearntEquation(state="x", learnt="1.23 v", truth="v"),
        LearntEquation(state="v", learnt="-1.23 x - 0.247 v", truth="-x - 0.2 v"),
    )


def test_terms_that_contribute_next_to_nothing_are_left_out():
    model = truth()
    noisy = jax.tree.map(lambda leaf: leaf + 1e-4, model.params)
    assert [one.learnt for one in found(dataclasses.replace(model, params=noisy))] == ["v", "-x - 0.2 v"]


def test_a_network_is_named_and_has_no_equation():
    network = Network(width=2, depth=1)
    model = truth()
    corrected = {SYMBOLIC: model.params, RESIDUAL: network.init(KEY, model.scales)}
    whole = dataclasses.replace(model, field=Corrected(symbolic=model.field, residual=network), params=corrected)
    assert [one.learnt for one in found(whole)] == ["v + network", "-x - 0.2 v + network"]
    assert found(dataclasses.replace(model, field=network, params=corrected[RESIDUAL])) == ()


def test_the_truth_of_measured_records_is_unknown():
    unknown = MeasuredTrajectories(paths=("a.csv",))
    assert [one.truth for one in found(truth(), unknown)] == ["", ""]


def test_equations_on_a_grid_are_those_of_a_point():
    local = Terms(names=("s", "s_x", "s_xx", "u"), states=1, degree=2)
    field, system = TermsOnGrid(grid=ON_GRID.system.grid, at_point=local), ON_GRID.equations()
    scales = {LOCAL: {"mean": jnp.zeros(4), "deviation": jnp.ones(4), "slope": jnp.ones(1)}}
    states, inputs = ON_GRID.names()
    params = field.of(system.local, scales)
    model = VectorField(states=states, inputs=inputs, field=field, params=params, scales=scales)
    (one,) = learnt_equations(model, ON_GRID, ON_GRID.trajectories("test"))
    assert (one.state, one.truth) == ("s", "0.01 s_xx + u + 0.01 s^2")
    assert one.learnt == one.truth
