"""States between the samples."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.dynamics import Solver, solve
from jaxkd.dynamics.between import between, subdivided

TIMES = np.array([0.0, 0.3, 0.5, 1.0])


def pendulum(t, y, rate):
    return jnp.stack([y[1], -rate * jnp.sin(y[0]) + 0.1 * jnp.cos(t)])


def exact(times):
    return solve(pendulum, jnp.array([1.0, 0.0]), jnp.asarray(times), 1.0, solver=Solver(rtol=1e-12, atol=1e-12)).states


def test_hand_values():
    np.testing.assert_allclose(subdivided(jnp.array([0.0, 1.0, 3.0]), 2), [0, 0.5, 1, 2, 3])
    np.testing.assert_array_equal(subdivided(jnp.asarray(TIMES), 1), TIMES)


def test_a_field_that_stands_still_gives_straight_lines():
    states = jnp.array([[0.0], [3.0], [1.0], [2.0]])
    fine = between(lambda t, y, args: jnp.zeros_like(y), states, jnp.asarray(TIMES), parts=5)
    np.testing.assert_allclose(
        fine[:, 0], np.interp(subdivided(jnp.asarray(TIMES), 5), TIMES, states[:, 0]), atol=1e-14
    )


def test_samples_stay_and_the_true_field_says_what_lies_between():
    states = exact(TIMES)
    fine = between(pendulum, states, jnp.asarray(TIMES), 1.0, parts=8)
    np.testing.assert_array_equal(fine[::8], states)
    np.testing.assert_allclose(fine, exact(subdivided(jnp.asarray(TIMES), 8)), atol=1e-8)


def test_it_reads_the_same_backwards():
    states = exact(TIMES)
    fine = between(lambda t, y, args: pendulum(-t, y, args), states, jnp.asarray(TIMES), 0.7, parts=4)
    back = between(lambda t, y, args: -pendulum(t, y, args), states[::-1], jnp.asarray(-TIMES[::-1]), 0.7, parts=4)
    np.testing.assert_allclose(fine, back[::-1], atol=1e-12)


def test_gradients():
    states = exact(TIMES)

    def value(states, rate):
        return between(pendulum, jnp.asarray(states), jnp.asarray(TIMES), rate, parts=3)

    check_grads(value, (states, 0.8), order=1)


def test_what_diverges_from_one_side_does_not_reach_the_samples():
    fine = between(lambda t, y, args: jnp.full_like(y, jnp.inf), jnp.ones((2, 1)), jnp.asarray(TIMES[:2]), parts=2)
    assert fine[0, 0] == 1
    assert fine[2, 0] == 1


def test_a_refusal():
    with pytest.raises(ValueError, match="parts must be >= 1, got 0"):
        between(pendulum, exact(TIMES), jnp.asarray(TIMES), 1.0, parts=0)
