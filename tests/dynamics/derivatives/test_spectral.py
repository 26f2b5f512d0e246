"""Derivatives on periodic grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.dynamics import low_pass, spectral_cutoff, spectral_derivative

X = 3.0 * np.arange(24) / 24
K = 2 * np.pi / 3.0


def field(seed=0, shape=(24,)):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def test_hand_values():
    np.testing.assert_allclose(
        spectral_derivative(jnp.sin(2 * K * X), orders=(1,), lengths=(3.0,)), 2 * K * np.cos(2 * K * X), atol=1e-12
    )
    plane = jnp.sin(K * X)[:, None] * jnp.cos(3 * K * X)[None]
    np.testing.assert_allclose(
        spectral_derivative(plane, orders=(0, 2), lengths=(3.0, 3.0)), -9 * K**2 * plane, atol=1e-10
    )
    np.testing.assert_allclose(
        low_pass(1 + jnp.sin(K * X) + jnp.sin(5 * K * X), cutoffs=(4,)), 1 + np.sin(K * X), atol=1e-12
    )


def test_the_highest_wave_has_no_slope_and_a_curvature():
    saw = jnp.asarray((-1.0) ** np.arange(24))
    np.testing.assert_allclose(spectral_derivative(saw, orders=(1,), lengths=(3.0,)), 0, atol=1e-12)
    np.testing.assert_allclose(spectral_derivative(saw, orders=(2,), lengths=(3.0,)), -((12 * K) ** 2) * saw)


def test_parts_are_integrated():
    """The sum of f g' is minus that of f' g."""
    one, other = field(0), field(1)
    left = jnp.sum(one * spectral_derivative(other, orders=(1,), lengths=(3.0,)))
    right = -jnp.sum(spectral_derivative(one, orders=(1,), lengths=(3.0,)) * other)
    np.testing.assert_allclose(left, right, rtol=1e-10)


def test_filtering_twice_is_filtering_once():
    once = low_pass(field(shape=(6, 24, 25)), cutoffs=(5, 7))
    np.testing.assert_allclose(low_pass(once, cutoffs=(5, 7)), once, atol=1e-14)


@pytest.mark.parametrize("points", [24, 25])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_equal_float64_numpy(points, order):
    values = np.random.default_rng(0).standard_normal(points)
    waves = np.fft.fftfreq(points, 1 / points)
    if points % 2 == 0 and order % 2:
        waves[points // 2] = 0
    want = np.real(np.fft.ifft((2j * np.pi * waves / 3.0) ** order * np.fft.fft(values)))
    got = spectral_derivative(jnp.asarray(values), orders=(order,), lengths=(3.0,))
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-8)


def test_low_pass_and_its_cutoff_equal_float64_numpy():
    fields = np.random.default_rng(0).standard_normal((9, 24)) + 5 * np.sin(3 * K * X)
    waves = np.abs(np.fft.fftfreq(24, 1 / 24))
    kept = np.real(np.fft.ifft((waves <= 3) * np.fft.fft(fields)))
    np.testing.assert_allclose(low_pass(jnp.asarray(fields), cutoffs=(3,)), kept, atol=1e-12)
    assert spectral_cutoff(jnp.asarray(fields)) == best_cutoff(fields) == 3


def test_the_highest_wave_counts_once_for_the_cutoff():
    """The stronger it is, the less it matters to the others whether a wave is kept."""
    cutoff, wave = jax.jit(spectral_cutoff), 4 * np.sin(9 * K * X)
    noise = np.random.default_rng(0).standard_normal((3, 24))
    found = []
    for strength in np.linspace(0, 3, 31):
        fields = noise + wave + strength * np.cos(12 * K * X)
        found.append(int(cutoff(fields)))
        assert found[-1] == best_cutoff(fields)
    assert found[0] > found[-1]


def best_cutoff(fields):
    """By generalised cross-validation, a filtered field for each cutoff."""
    waves = np.abs(np.fft.fftfreq(24, 1 / 24))
    scores = [
        np.sum((fields - np.real(np.fft.ifft((waves <= cutoff) * np.fft.fft(fields)))) ** 2)
        / (1 - (2 * cutoff + 1) / 24) ** 2
        for cutoff in range(2, 11)
    ]
    return 2 + np.argmin(scores)


def test_gradient():
    check_grads(jax.jit(lambda f: spectral_derivative(f, orders=(3,), lengths=(3.0,))), (field(),), order=1)
    check_grads(jax.jit(lambda f: low_pass(f, cutoffs=(5,))), (field(),), order=1)


def test_single_precision_is_refused():
    for function in (
        lambda f: spectral_derivative(f, orders=(1,), lengths=(1.0,)),
        lambda f: low_pass(f, cutoffs=(1,)),
        lambda f: spectral_cutoff(f[None]),
    ):
        with pytest.raises(TypeError, match=r"fields? must be of float64, got float32"):
            function(jnp.zeros(16, jnp.float32))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"orders and lengths must be one each .* got \(1, 1\) and \(1.0,\)"):
        spectral_derivative(field(), orders=(1, 1), lengths=(1.0,))
    with pytest.raises(ValueError, match=r"orders must be >= 0 and lengths > 0, got \(1,\) and \(0.0,\)"):
        spectral_derivative(field(), orders=(1,), lengths=(0.0,))
    with pytest.raises(ValueError, match=r"cutoffs must be one each for the last axes"):
        low_pass(field(), cutoffs=(1, 2))
    with pytest.raises(ValueError, match=r"fields must have at least 8 points in space, got 6"):
        spectral_cutoff(jnp.zeros((3, 6)))


def test_transforms_change_nothing():
    fields = field(shape=(4, 24))
    for function in (
        lambda f: spectral_derivative(f, orders=(1,), lengths=(3.0,)),
        lambda f: low_pass(f, cutoffs=(jnp.asarray(4),)),
        lambda f: spectral_cutoff(f[None]),
    ):
        alone = jnp.stack([function(one) for one in fields])
        np.testing.assert_allclose(jax.jit(jax.vmap(function))(fields), alone, atol=1e-12)
