"""States between the samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import solve_ivp

from jaxkd.dynamics.derivatives.subdivision import interpolate, subdivided

TIMES = np.array([0.0, 0.3, 0.5, 1.0])
FINE = np.interp(np.arange(25) / 8, np.arange(4), TIMES)

filled = jax.jit(interpolate, static_argnums=0, static_argnames="parts")


def pendulum(t, y, rate):
    return jnp.stack([y[1], -rate * jnp.sin(y[0]) + 0.1 * jnp.cos(t)])


def exact(times):
    """Solution at a rate of 1, by SciPy."""

    def field(t, y):
        return [y[1], -np.sin(y[0]) + 0.1 * np.cos(t)]

    return solve_ivp(field, (0, 1), [1.0, 0.0], "DOP853", times, rtol=1e-12, atol=1e-12).y.T


def test_hand_values():
    np.testing.assert_allclose(subdivided(jnp.array([0.0, 1.0, 3.0]), 2), [0, 0.5, 1, 2, 3])
    np.testing.assert_array_equal(subdivided(jnp.asarray(TIMES), 1), TIMES)
    np.testing.assert_allclose(subdivided(jnp.asarray(TIMES), 8), FINE, rtol=1e-14)


def test_a_field_that_stands_still_gives_straight_lines():
    states = np.array([[0.0, 1.0], [3.0, -2.0], [1.0, 0.5], [2.0, 4.0]])
    fine = filled(lambda t, y, args: jnp.zeros_like(y), states, TIMES, parts=8)
    want = [np.interp(FINE, TIMES, column) for column in states.T]
    np.testing.assert_allclose(fine, np.stack(want, axis=1), atol=1e-14)


def test_samples_stay_and_the_true_field_says_what_lies_between():
    states = exact(TIMES)
    fine = np.asarray(filled(pendulum, states, TIMES, 1.0, parts=8))
    np.testing.assert_array_equal(fine[::8], states)
    np.testing.assert_allclose(fine, exact(FINE), atol=1e-8)


def test_it_reads_the_same_backwards():
    states = exact(TIMES)
    fine = filled(lambda t, y, args: pendulum(-t, y, args), states, TIMES, 0.7, parts=4)
    back = filled(lambda t, y, args: -pendulum(t, y, args), states[::-1], -TIMES[::-1], 0.7, parts=4)
    np.testing.assert_allclose(fine, np.asarray(back)[::-1], atol=1e-12)


def test_gradients():
    check_grads(lambda states, rate: filled(pendulum, states, TIMES, rate, parts=8), (exact(TIMES), 0.8), order=1)


def test_what_diverges_from_one_side_does_not_reach_the_samples():
    fine = np.asarray(filled(lambda t, y, args: jnp.full_like(y, jnp.inf), np.ones((4, 2)), TIMES, parts=2))
    np.testing.assert_array_equal(fine[::2], np.ones((4, 2)))


def test_a_refusal():
    with pytest.raises(ValueError, match="parts must be >= 1, got 0"):
        filled(pendulum, exact(TIMES), TIMES, 1.0, parts=0)
