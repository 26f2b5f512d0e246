"""How often intervals hold the equations that were found, in simulations of them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

from jaxkd.dynamics import Equations, identify, polynomials
from jaxkd.dynamics.validation.calibration import simulated_coverage

X = sympy.Symbol("x")
TIMES = np.broadcast_to(np.linspace(0.0, 2.0, 41), (8, 41))


def search(samples):
    return identify(samples, jnp.asarray(TIMES), names=(X,), terms=polynomials((X,), degree=2))


@functools.cache
def found():
    """A decay, with noise of .02."""
    random = np.random.default_rng(0)
    clean = np.linspace(0.5, 2.0, 8)[:, None] * np.exp(-TIMES)
    return search(jnp.asarray(clean + 0.02 * random.standard_normal(clean.shape))[..., None])


def coverage(found, search=search, *, simulations=12):
    return simulated_coverage(
        found,
        jnp.asarray(TIMES),
        identified=search,
        key=jax.random.key(0),
        simulations=simulations,
        replicates=100,
        level=0.9,
    )


@pytest.mark.slow
def test_intervals_hold_most_of_the_time():
    assert str(found().equations.rounded(1)) == "dx/dt = -x"
    assert 0.5 <= coverage(found()) <= 1.0


def test_samples_are_those_of_the_equations_with_noise_of_their_size():
    truth, seen = found(), []

    def spied(samples):
        seen.append(np.asarray(samples))
        return search(samples)

    coverage(truth, spied, simulations=3)
    (rate,) = truth.equations.coefficients[truth.equations.coefficients != 0]
    clean = np.asarray(truth.states[:, 0])[:, None] * np.exp(rate * TIMES)[..., None]
    off = np.stack(seen) - clean[None]
    np.testing.assert_allclose(off.std(), np.sqrt(np.mean(np.asarray(truth.curves.noise) ** 2)), rtol=0.1)
    assert not np.array_equal(seen[0], seen[1])


def test_what_is_not_found_again_is_not_held():
    fit = found().fit
    nothing = dataclasses.replace(found(), fit=dataclasses.replace(fit, support=fit.support & False))
    assert coverage(found(), lambda samples: nothing, simulations=1) == 0


def test_equations_that_diverge_are_not_calibrated():
    diverging = Equations.of((100 * X**2,), (X,)).within(found().equations.terms)
    assert np.isnan(coverage(dataclasses.replace(found(), equations=diverging)))
