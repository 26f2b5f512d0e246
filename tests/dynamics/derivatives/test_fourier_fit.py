"""The curve of noisy samples, against what it is made of and against the definition in NumPy."""

import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.dynamics import FourierFit, fourier_fit

EVEN = np.linspace(1.0, 4.0, 41)
UNEVEN = np.sort(np.random.default_rng(0).uniform(1.0, 4.0, 41))
both = pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])

fitted = jax.jit(fourier_fit)
at = jax.jit(FourierFit.at, static_argnames="derivative")


def noisy(times, seed=1, level=0.02):
    clean = np.stack([np.sin(3 * times), times * np.exp(-times)], axis=1)
    return clean + level * np.random.default_rng(seed).standard_normal(clean.shape)


def slopes(samples, times):
    return fourier_fit(samples, times).at(times, derivative=1)


def test_a_cubic_is_its_own_curve():
    cubics = [np.polynomial.Polynomial(powers) for powers in ([0, -2, 0, 1], [3, 0, -1, 0.5])]
    fit = fitted(np.stack([cubic(EVEN) for cubic in cubics], axis=1), EVEN)
    for derivative, atol in ((0, 1e-9), (1, 1e-8), (2, 1e-7)):
        want = np.stack([cubic.deriv(derivative)(EVEN) for cubic in cubics], axis=1)
        np.testing.assert_allclose(at(fit, EVEN, derivative=derivative), want, atol=atol)
    assert np.all(np.asarray(fit.noise) < 1e-6)


@jax.jit
def derivatives(fit, times):
    """Derivatives of orders 1, 2 and 3, and the same by differentiating the order before."""
    orders = [functools.partial(fit.at, derivative=order) for order in range(4)]
    return [(one(times), jax.jvp(before, (times,), (jnp.ones_like(times),))[1]) for before, one in pairwise(orders)]


@both
def test_derivatives_are_those_of_the_curve(times):
    for found, want in derivatives(fitted(noisy(times), times), times):
        np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9)


@both
def test_units_and_an_added_cubic_change_only_themselves(times):
    samples, inner = noisy(times), np.linspace(1.1, 3.9, 41)
    fit = fitted(samples, times)
    cubic = (5 - times + 0.3 * times**3)[:, None]
    other = fitted(10 * samples + cubic, 60 * times)
    want = 10 * np.asarray(at(fit, inner, derivative=1)) + (-1 + 0.9 * inner**2)[:, None]
    np.testing.assert_allclose(60 * np.asarray(at(other, 60 * inner, derivative=1)), want, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(other.noise, 10 * np.asarray(fit.noise), rtol=1e-6)


@both
def test_equals_the_definition_in_numpy(times):
    """Every cut-off by a dense solution and the trace of its matrix; the least error wins."""
    samples = noisy(times)
    fit = fitted(samples, times)
    count, span = len(times), times[-1] - times[0]
    place, k = (times - times[0]) / span, np.arange(1, count - 1)
    design = np.concatenate([np.vander(2 * place - 1, 4), np.sin(np.pi * place[:, None] * k)], axis=1)
    scores, curves = [], []
    for cutoff in np.exp(np.linspace(0, np.log(1.5 * count), 60)):
        penalty = np.concatenate([np.zeros(4), np.sqrt((count - 1) / 2) * (k / cutoff) ** 4])
        turned = np.linalg.qr(np.concatenate([design, np.diag(penalty)]))[0][:count]
        hat = turned @ turned.T
        parameters = np.trace(hat)
        free = 1 - 1.2 * parameters / count
        squares = np.sum((samples - hat @ samples) ** 2, axis=0)
        allowed = parameters <= 0.8 * count and free > 0.01
        scores.append(squares / free**2 if allowed else np.full(2, np.inf))
        curves.append(hat @ samples)
    best = np.argmin(scores, axis=0)
    want = np.stack([curves[best[channel]][:, channel] for channel in range(2)], axis=1)
    np.testing.assert_allclose(at(fit, times), want, rtol=1e-6, atol=1e-7)


@both
def test_masked_samples_are_as_if_cut_off(times):
    samples, most = noisy(times), len(times)
    longer = np.concatenate([times, np.full(7, np.nan)])
    filled = np.concatenate([samples, np.full((7, 2), np.nan)])
    whole = fitted(samples, times)
    masked = fitted(filled, longer, mask=np.arange(most + 7) < most)
    for order in (0, 1):
        want = at(whole, times, derivative=order)
        np.testing.assert_allclose(at(masked, times, derivative=order), want, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(masked.noise, whole.noise, rtol=1e-8)


def test_gradient():
    compiled = jax.jit(slopes)
    check_grads(lambda samples: compiled(samples, EVEN), (noisy(EVEN, level=0.1),), order=1, modes=["rev"], rtol=1e-5)


def test_the_noise_is_estimated():
    times = np.linspace(0, 10, 400)
    samples = np.sin(times)[:, None] + 0.05 * np.random.default_rng(0).standard_normal((400, 20))
    np.testing.assert_allclose(np.mean(np.asarray(fitted(samples, times).noise)), 0.05, rtol=0.02)


def test_an_exponential_without_noise_is_followed_to_its_ends():
    """A plain Fourier series is off by half of the largest slope there."""
    times = np.linspace(0.0, 2.0, 41)
    fit = fitted(np.stack([np.exp(-times), np.exp(times - 2)], axis=1), times)
    want = np.stack([-np.exp(-times), np.exp(times - 2)], axis=1)
    np.testing.assert_allclose(at(fit, times, derivative=1), want, atol=2e-3)


def test_single_precision_is_refused():
    with pytest.raises(TypeError, match=r"samples must be of float64, got float32. Start JAX in double precision"):
        fourier_fit(jnp.zeros((20, 1), jnp.float32), jnp.linspace(0, 1, 20))


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_record_is_refused():
    with pytest.raises(ValueError, match=r"samples must be at least 8, got 5"):
        fourier_fit(jnp.zeros((5, 1)), jnp.linspace(0, 1, 5))
    with pytest.raises(ValueError, match=r"samples must be \[times, channels\] and times as long.*jax.vmap"):
        fourier_fit(jnp.zeros((2, 20, 1)), jnp.linspace(0, 1, 20))


def test_transforms_change_nothing():
    """`vmap` over records that share their times, and over those that do not."""
    records = np.stack([noisy(EVEN, seed) for seed in range(3)])
    compiled, each = jax.jit(slopes), jax.jit(jax.vmap(slopes))
    alone = np.stack([compiled(one, EVEN) for one in records])
    np.testing.assert_allclose(slopes(jnp.asarray(records[0]), jnp.asarray(EVEN)), alone[0], rtol=1e-8, atol=1e-9)
    together = jax.jit(jax.vmap(slopes, in_axes=(0, None)))(records, EVEN)
    np.testing.assert_allclose(together, alone, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(each(records, np.stack([EVEN] * 3)), alone, rtol=1e-8, atol=1e-9)
    moments = np.stack([EVEN, UNEVEN, EVEN**2])
    alone = np.stack([compiled(one, times) for one, times in zip(records, moments, strict=True)])
    np.testing.assert_allclose(each(records, moments), alone, rtol=1e-8, atol=1e-8)
