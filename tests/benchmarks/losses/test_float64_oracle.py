"""The oracle against itself, by finite differences, and against the library, in the precision that the library has."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.losses import float64_oracle
from benchmarks.losses.loss_inputs import Shape, draw
from benchmarks.losses.loss_step import (
    CROSS_ENTROPY,
    DIVERGENCES,
    IMPLEMENTATIONS,
    concrete,
    cross_entropy_step,
    divergence_step,
    takes,
)

INPUTS = draw(Shape(tokens=5, vocabulary=37, width=4, teacher_width=6))
WEIGHTS = np.array([0.25, 0.0, 0.5, 1.0, 0.125], np.float32)
LOSSES = (*DIVERGENCES, CROSS_ENTROPY)


def exact(loss, inputs=INPUTS):
    if loss == CROSS_ENTROPY:
        return float64_oracle.cross_entropy(inputs, WEIGHTS)
    return float64_oracle.divergence(loss, inputs, WEIGHTS)


def moved(field, direction, step):
    """Inputs in float64, `step` along a direction from the drawn ones."""
    return dataclasses.replace(INPUTS, **{field: getattr(INPUTS, field).astype(np.float64) + step * direction})


def test_every_divergence_has_a_formula():
    assert float64_oracle.FORMULAS.keys() == DIVERGENCES.keys()


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "adaptive KL"])
@pytest.mark.parametrize(("field", "gradient"), [("student", "values_gradient"), ("student_weight", "weight_gradient")])
def test_the_gradient_is_that_of_the_value(loss, field, gradient):
    direction = np.random.default_rng(1).standard_normal(getattr(INPUTS, field).shape)
    step = 1e-6
    ahead, behind = (exact(loss, moved(field, direction, sign * step)).total for sign in (1, -1))
    expected = float((getattr(exact(loss), gradient) * direction).sum())
    assert (ahead - behind) / (2 * step) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_adaptive_kl_mixes_the_gradients_of_both_directions():
    forward, reverse, mixed = (exact(name) for name in ("forward KL", "reverse KL", "symmetric KL"))
    np.testing.assert_allclose(mixed.values_gradient, (forward.values_gradient + reverse.values_gradient) / 2)
    adaptive = exact("adaptive KL")
    for row in range(len(WEIGHTS)):
        ends = forward.values_gradient[row], reverse.values_gradient[row]
        share = (
            (adaptive.values_gradient[row] - ends[1])
            @ (ends[0] - ends[1])
            / max(((ends[0] - ends[1]) ** 2).sum(), 1e-300)
        )
        assert 0 <= share <= 1
        np.testing.assert_allclose(adaptive.values_gradient[row], share * ends[0] + (1 - share) * ends[1], atol=1e-12)


def cases():
    """Each loss by the reference, and each implementation for a divergence and for the cross-entropy."""
    for loss in LOSSES:
        for name in IMPLEMENTATIONS:
            if takes(name, loss):
                fast = name == "reference" or loss in ("Jensen-Shannon", CROSS_ENTROPY)
                yield pytest.param(loss, name, marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize(("loss", "implementation"), list(cases()))
def test_the_library_agrees(loss, implementation):
    student, teacher = concrete(INPUTS, jnp.float32)
    weights = jnp.asarray(WEIGHTS)
    if loss == CROSS_ENTROPY:
        total, gradient = cross_entropy_step(implementation)(student, jnp.asarray(INPUTS.labels), weights)
    else:
        total, gradient = divergence_step(loss, implementation)(student, teacher, weights)
    expected = exact(loss)
    assert float(total) == pytest.approx(expected.total, rel=2e-6)
    np.testing.assert_allclose(gradient.values, expected.values_gradient, rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(gradient.head.weight, expected.weight_gradient, rtol=1e-4, atol=2e-6)


def test_parts_of_the_positions_add_up(monkeypatch):
    whole = exact("Jensen-Shannon")
    monkeypatch.setattr(float64_oracle, "ELEMENTS", 2 * 37)
    parts = exact("Jensen-Shannon")
    assert parts.total == pytest.approx(whole.total, rel=1e-12)
    np.testing.assert_allclose(parts.weight_gradient, whole.weight_gradient, rtol=1e-12, atol=1e-15)


def test_a_position_at_a_jump_is_left_out():
    # Two sides of one width and equal hidden states: p = q at the first position, and only there.
    inputs = draw(Shape(tokens=3, vocabulary=11, width=4, teacher_width=4))
    noise = np.array([[0.0], [1.0], [1.0]], np.float32)
    inputs = dataclasses.replace(inputs, student=inputs.teacher * (1 + noise))
    assert float64_oracle.smooth("total variation", inputs).tolist() == [False, True, True]
    assert float64_oracle.smooth("forward KL", inputs).all()


def test_a_tail_that_is_filled_exactly_is_at_a_jump():
    even, odd = np.log(np.full((1, 4), 1 / 4)), np.log(np.full((1, 3), 1 / 3))
    assert float64_oracle.JUMPS["adaptive KL"](even, even).tolist() == [True]
    assert float64_oracle.JUMPS["adaptive KL"](odd, odd).tolist() == [False]
