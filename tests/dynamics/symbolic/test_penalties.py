"""Penalties of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.dynamics import l1, smoothed_half
from tests.losses.compiled import compiled, jitted

WEIGHTS = np.concatenate([np.linspace(-0.2, 0.2, 41), [-30.0, 1.0, 1e-9, 4.0]])
both = pytest.mark.parametrize("penalty", [l1, smoothed_half])


def test_hand_values():
    np.testing.assert_array_equal(l1(jnp.array([-2.0, 0.0, 0.5])), [2, 0, 0.5])
    # sqrt(3a / 8), 9a / 16 + 3a / 8 - a / 128 under the root at half the knee, and sqrt(w) beyond it.
    want = [0.3, np.sqrt(0.24 * (3 / 16 + 3 / 8 - 1 / 128)), 2.0]
    np.testing.assert_allclose(smoothed_half(jnp.array([0.0, -0.12, 4.0]), knee=0.24), want, rtol=1e-14)


@both
def test_a_sign_changes_nothing_and_a_larger_weight_costs_more(penalty):
    cost = jitted(penalty)
    np.testing.assert_array_equal(cost(-WEIGHTS), cost(WEIGHTS))
    assert np.all(np.diff(cost(np.linspace(0.0, 3.0, 301))) > 0)


@pytest.mark.parametrize("knee", [0.01, 0.05, 2.0])
def test_both_parts_meet_at_the_knee_and_0_is_flat(knee):
    of = compiled(smoothed_half, knee=knee)
    below, at = ((value, slope) for value, (slope,) in (of(knee * share) for share in (1 - 1e-9, 1.0)))
    np.testing.assert_allclose(below, at, rtol=1e-7)
    np.testing.assert_allclose(at, [np.sqrt(knee), 0.5 / np.sqrt(knee)], rtol=1e-12)
    assert of(0.0)[1] == (0,)


def test_of_two_sums_the_half_prefers_the_sparser_and_l1_has_no_choice():
    even, sparse = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    half, whole = jitted(smoothed_half), jitted(l1)
    assert np.sum(half(sparse)) < np.sum(half(even))
    assert np.sum(whole(sparse)) == np.sum(whole(even))


def test_equal_float64_numpy():
    size, knee = np.abs(WEIGHTS), 0.05
    low = -(WEIGHTS**4) / (8 * knee**3) + 3 * WEIGHTS**2 / (4 * knee) + 3 * knee / 8
    half = np.sqrt(np.where(size >= knee, size, np.maximum(low, 0)))
    np.testing.assert_allclose(jitted(smoothed_half)(WEIGHTS), half, rtol=1e-14)
    np.testing.assert_array_equal(jitted(l1)(WEIGHTS), size)


@both
def test_gradient(penalty):
    check_grads(jax.jit(penalty), (jnp.array([-0.8, -0.03, 0.011, 0.3, 5.0]),), order=1, rtol=1e-6)


@both
def test_large_weights_and_single_precision(penalty):
    value, (slope,) = compiled(penalty)(np.float32([0.0, 1e-30, 1e4, -1e30]))
    assert value.dtype == np.float32
    assert np.all(np.isfinite(value) & np.isfinite(slope))


@both
def test_transforms_change_nothing(penalty):
    table = jnp.asarray(WEIGHTS).reshape(9, 5)
    alone = np.stack([penalty(row) for row in table])
    np.testing.assert_allclose(jax.jit(jax.vmap(penalty))(table), alone, rtol=1e-15)


def test_a_knee_at_0_is_refused():
    with pytest.raises(ValueError, match=r"knee must be > 0, got 0"):
        smoothed_half(jnp.ones(2), knee=0)
