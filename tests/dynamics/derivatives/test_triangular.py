"""Triangles are solved right, and without LAPACK in batches, which can wait for one another for ever."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.test_util import check_grads

from jaxkd.dynamics import (
    BackwardElimination,
    BestSubset,
    Lasso,
    RelaxedL0,
    SequentialThresholding,
    bootstrap,
    fourier_fit,
    sparse_fit,
)
from jaxkd.dynamics.derivatives.triangular import back_substituted, triangulated
from jaxkd.dynamics.validation.bands import _starts

solved = jax.jit(back_substituted)


def problem(size=5, columns=3):
    drawn = np.random.default_rng(0)
    upper = np.triu(drawn.standard_normal((size, size))) + 3 * np.eye(size)
    return upper, drawn.standard_normal((size, columns))


def test_hand_values():
    found = solved(np.array([[2.0, 1.0], [9.0, 4.0]]), np.array([[4.0, 0.0], [8.0, 4.0]]))
    np.testing.assert_allclose(found, [[1, -0.5], [2, 1]])


def test_the_product_is_the_right_hand_side():
    upper, sides = problem()
    np.testing.assert_allclose(upper @ np.asarray(solved(upper, sides)), sides, rtol=1e-12, atol=1e-12)


def test_equals_float64_numpy():
    upper, sides = problem(size=40)
    np.testing.assert_allclose(solved(upper, sides), np.linalg.solve(upper, sides), rtol=1e-9)


def test_a_zero_on_the_diagonal_is_not_finite():
    upper, sides = problem()
    upper[2, 2] = 0.0
    assert not np.any(np.isfinite(np.asarray(solved(upper, sides))[2]))


def test_gradient():
    """Entries below the diagonal are moved too, and change nothing."""
    check_grads(solved, problem(), order=1)


def test_transforms_change_nothing():
    upper, sides = problem()
    expected = np.asarray(solved(upper, sides))
    np.testing.assert_allclose(back_substituted(jnp.asarray(upper), jnp.asarray(sides)), expected, rtol=1e-12)
    both = jax.jit(jax.vmap(back_substituted))(np.stack([upper, 2 * upper]), np.stack([sides, sides]))
    np.testing.assert_allclose(both, np.stack([expected, expected / 2]), rtol=1e-12)


LAPACK = {"triangular_solve", "cholesky", "lu", "geqrf", "geqp3", "householder_product", "svd", "eigh", "eig", "schur"}


def batched(function, *arguments):
    """The names of LAPACK's routines that are called on more than one matrix at once."""

    def of(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in LAPACK and any(given.aval.ndim > 2 for given in equation.invars):
                yield equation.primitive.name
            for inner in jaxprs_in_params(equation.params):
                yield from of(inner)

    return set(of(jax.make_jaxpr(function)(*arguments).jaxpr))


def test_a_batch_is_seen():
    upper = np.stack([problem()[0]] * 2)
    assert batched(jax.jit(jax.vmap(jnp.linalg.svd)), upper) == {"svd"}
    assert batched(jax.vmap(jax.scipy.linalg.solve_triangular), upper, upper) == {"triangular_solve"}
    assert not batched(lambda upper: jax.lax.map(jnp.linalg.svd, upper), upper)
    assert not batched(jax.vmap(lambda each: triangulated(each, 5)), upper)


PATHS = (BackwardElimination(), BestSubset(), Lasso(), RelaxedL0(), SequentialThresholding())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_searches_call_none_in_batches(path):
    def drawn(features, targets):
        return bootstrap(sparse_fit(features, targets, path=path), jax.random.key(0), path=path, replicates=3)

    assert not batched(drawn, jnp.ones((8, 20, 4)), jnp.ones((8, 20, 2)))


def test_curves_call_none_in_batches():
    times = jnp.linspace(0.0, 1.0, 12)
    assert not batched(jax.vmap(fourier_fit, in_axes=(0, None)), jnp.ones((3, 12, 2)), times)
    assert not batched(jax.vmap(fourier_fit), jnp.ones((3, 12, 2)), jnp.stack([times] * 3))

    def starts(samples):
        return _starts(fourier_fit(samples, times), times, jax.random.key(0), count=4, order=1)

    assert not batched(starts, jnp.ones((12, 2)))
