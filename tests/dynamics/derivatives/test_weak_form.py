"""Equations integrated against windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.integrate import quad

from jaxkd.dynamics import weak_form, window_length

TIMES = np.linspace(0.0, 2.0, 61)
UNEVEN = TIMES + 0.05 * np.sin(np.pi * TIMES)
LONG = np.linspace(0.0, 2.0, 401)

weak = jax.jit(weak_form, static_argnames=("window", "stride", "order"))


def record(times):
    return np.stack([np.exp(-times), np.sin(times)], axis=1)


def test_hand_value():
    """Where y' = 1 both sides are the window's integral, 256 / 315 of its length; where y' = -2, -2 times it."""
    states = np.stack([LONG, 3 - 2 * LONG], axis=1)
    left, right = weak(np.ones((401, 2)), states, LONG, window=401)
    np.testing.assert_allclose(left, [[256 / 315] * 2], rtol=1e-6)
    np.testing.assert_allclose(right, [[256 / 315, -2 * 256 / 315]], rtol=1e-6)


@pytest.mark.parametrize("times", [TIMES, UNEVEN], ids=["even", "uneven"])
def test_a_true_equation_holds_in_every_window(times):
    states = record(times)
    features = np.stack([states[:, 0], np.cos(times)], axis=1)
    left, right = weak(features, states, times, window=31, stride=5)
    assert left.shape == right.shape == (7, 2)
    np.testing.assert_allclose(right, np.asarray(left) * [-1.0, 1.0], atol=1e-3)


def test_equals_an_integral_by_scipy():
    states = record(LONG)
    left, right = (np.asarray(side) for side in weak(states, states, LONG, window=401))
    for channel, function in enumerate((lambda t: np.exp(-t), np.sin)):
        want, _ = quad(lambda t, f=function: (1 - (t - 1) ** 2) ** 4 * f(t), 0, 2)
        np.testing.assert_allclose(left[0, channel], want, rtol=1e-6)
        slope, _ = quad(lambda t, f=function: 8 * (t - 1) * (1 - (t - 1) ** 2) ** 3 * f(t), 0, 2)
        np.testing.assert_allclose(right[0, channel], slope, rtol=1e-6)


@pytest.mark.parametrize("times", [TIMES, UNEVEN], ids=["even", "uneven"])
def test_second_derivatives_are_those_of_the_window(times):
    """exp(-t)'' = exp(-t) and sin'' = -sin; a constant has none, whatever the quadrature."""
    states = np.concatenate([record(times), np.full((61, 1), 1e6)], axis=1)
    left, right = weak(states, states, times, window=31, stride=5, order=2)
    np.testing.assert_allclose(right[:, :2], np.asarray(left)[:, :2] * [1.0, -1.0], atol=5e-3)
    np.testing.assert_array_equal(right[:, 2], 0.0)


def test_a_window_with_a_missing_sample_is_zeros_and_the_others_are_as_before():
    states = record(TIMES)
    there = np.arange(61) != 25
    want = weak(states, states, TIMES, window=11, stride=10, mask=np.ones(61, bool))
    broken, moments = np.where(there[:, None], states, np.nan), np.where(there, TIMES, np.nan)
    got = weak(broken, broken, moments, window=11, stride=10, mask=there)
    for side, before in zip(got, want, strict=True):
        assert not np.any(np.asarray(side)[2])
        np.testing.assert_array_equal(np.delete(side, 2, axis=0), np.delete(before, 2, axis=0))
    # Another program: eleven roundings of sums whose terms' sizes add up to 2 at most, the two slopes of a window of 1.
    for side, unmasked in zip(want, weak(states, states, TIMES, window=11, stride=10), strict=True):
        np.testing.assert_allclose(side, unmasked, rtol=0, atol=11 * 2 * np.finfo(float).eps)


def test_gradient():
    states = record(TIMES)
    check_grads(lambda f, y: weak(f, y, TIMES, window=11, stride=10), (states, states), order=1)


def test_white_noise_is_averaged_and_not_amplified():
    """A difference of neighbours has 30 times the noise of a sample at this spacing."""
    noise = np.random.default_rng(0).standard_normal((61, 500))
    left, right = (np.asarray(side) for side in weak(noise, noise, TIMES, window=31))
    whole, _ = weak(np.ones((61, 500)), noise, TIMES, window=31)
    assert np.std(right / np.asarray(whole)[0, 0]) < 1.5
    assert np.std(left) < 0.2


def test_windows_grow_with_the_record_up_to_what_moves():
    assert [window_length(samples) for samples in (20, 81, 161, 251, 1200)] == [9, 9, 13, 21, 101]
    assert [window_length(1200, scale) for scale in (0.0, 8.0, 30.0, 1e9)] == [9, 13, 45, 101]


def test_what_does_not_fit_is_refused():
    states = record(TIMES)
    for window, stride in ((4, 1), (3, 1), (63, 1), (11, 0)):
        with pytest.raises(ValueError, match=rf"window must be odd, at least 5 and at most the 61 .*got {window} and"):
            weak(states, states, TIMES, window=window, stride=stride)
    with pytest.raises(ValueError, match=r"order must be 1 or 2, got 3\. Write equations of higher order as several"):
        weak(states, states, TIMES, window=11, order=3)
    with pytest.raises(TypeError, match=r"features must be of float64, got float32"):
        weak(np.float32(states), states, TIMES, window=11)


def test_transforms_change_nothing():
    states = record(TIMES)
    many = np.stack([states, 2 * states])
    alone = [weak(one, one, TIMES, window=11, stride=10)[1] for one in many]
    together = jax.jit(jax.vmap(lambda states: weak(states, states, TIMES, window=11, stride=10)[1]))
    np.testing.assert_allclose(together(many), alone, rtol=1e-12)
    given = jnp.asarray(states)
    np.testing.assert_allclose(
        weak_form(given, given, jnp.asarray(TIMES), window=11, stride=10)[1], alone[0], rtol=1e-12
    )
