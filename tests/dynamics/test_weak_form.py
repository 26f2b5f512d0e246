"""Equations integrated against windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import quad

from jaxkd.dynamics import weak_form, window_length

TIMES = np.linspace(0.0, 2.0, 61)
UNEVEN = np.sort(np.concatenate([TIMES, np.linspace(0.01, 1.99, 40)]))


def record(times):
    states = np.stack([np.exp(-times), np.sin(times)], axis=1)
    return jnp.asarray(states), jnp.asarray(times)


def test_hand_value():
    """Of y = t both sides of y' = 1 are the window's integral, 256 / 315 of its length."""
    times = jnp.linspace(0.0, 2.0, 201)
    left, right = weak_form(jnp.ones((201, 1)), times[:, None], times, window=201)
    np.testing.assert_allclose([left[0, 0], right[0, 0]], 256 / 315, rtol=1e-6)


@pytest.mark.parametrize("times", [TIMES, UNEVEN], ids=["even", "uneven"])
def test_a_true_equation_holds_in_every_window(times):
    states, times = record(times)
    features = jnp.stack([states[:, 0], jnp.cos(times)], axis=1)
    left, right = weak_form(features, states, times, window=31, stride=5)
    np.testing.assert_allclose(right, left * jnp.array([[-1.0, 1.0]]), atol=1e-3)


def test_equals_an_integral_by_scipy():
    states, times = record(np.linspace(0.0, 2.0, 401))
    left, right = weak_form(states, states, times, window=401)
    for channel, function in enumerate((lambda t: np.exp(-t), np.sin)):
        want, _ = quad(lambda t, f=function: (1 - (t - 1) ** 2) ** 4 * f(t), 0, 2)
        np.testing.assert_allclose(left[0, channel], want, rtol=1e-6)
        slope, _ = quad(lambda t, f=function: 8 * (t - 1) * (1 - (t - 1) ** 2) ** 3 * f(t), 0, 2)
        np.testing.assert_allclose(right[0, channel], slope, rtol=1e-6)


def test_a_window_with_a_missing_sample_is_zeros_and_the_others_are_as_before():
    states, times = record(TIMES)
    want = weak_form(states, states, times, window=11, stride=10)
    there = jnp.arange(61) != 25
    broken, moments = (jnp.where(there[:, None], states, jnp.nan), jnp.where(there, times, jnp.nan))
    got = weak_form(broken, broken, moments, window=11, stride=10, mask=there)
    for side, before in zip(got, want, strict=True):
        assert not np.any(side[2])
        np.testing.assert_array_equal(np.delete(side, 2, axis=0), np.delete(before, 2, axis=0))


def test_gradient():
    states, times = record(TIMES)
    check_grads(jax.jit(lambda f, y: weak_form(f, y, times, window=11, stride=10)), (states, states), order=1)


def test_white_noise_is_averaged_and_not_amplified():
    """A difference of neighbours has 30 times the noise of a sample at this spacing."""
    _, times = record(TIMES)
    noise = jnp.asarray(np.random.default_rng(0).standard_normal((61, 500)))
    left, right = weak_form(noise, noise, times, window=31)
    assert jnp.std(right / jnp.sum(weak_form(jnp.ones((61, 1)), noise, times, window=31)[0][0])) < 1.5
    assert jnp.std(left) < 0.2


def test_windows_grow_with_the_record_up_to_what_moves():
    assert [window_length(samples) for samples in (20, 81, 161, 251, 1200)] == [9, 9, 13, 21, 101]
    assert [window_length(1200, scale) for scale in (0.0, 8.0, 30.0, 1e9)] == [9, 13, 45, 101]


def test_what_does_not_fit_is_refused():
    states, times = record(TIMES)
    for window, stride in ((4, 1), (3, 1), (63, 1), (11, 0)):
        with pytest.raises(ValueError, match=rf"window must be odd, at least 5 and at most the 61 .*got {window} and"):
            weak_form(states, states, times, window=window, stride=stride)
    with pytest.raises(TypeError, match=r"features must be of float64, got float32"):
        weak_form(states.astype(jnp.float32), states, times, window=11)


def test_transforms_change_nothing():
    states, times = record(TIMES)
    many = jnp.stack([states, 2 * states])

    def right(states):
        return weak_form(states, states, times, window=11, stride=7)[1]

    np.testing.assert_allclose(jax.jit(jax.vmap(right))(many), jnp.stack([right(one) for one in many]), rtol=1e-12)
