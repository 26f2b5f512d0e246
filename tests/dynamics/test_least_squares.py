"""Least squares from triangles, on subsets that are values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.dynamics.least_squares import independent, merged_triangle, subset_fit, triangle
from jaxkd.dynamics.triangular import triangulated


def rows(seed=0, count=30, terms=4, channels=2):
    drawn = np.random.default_rng(seed)
    return jnp.asarray(drawn.standard_normal((count, terms))), jnp.asarray(drawn.standard_normal((count, channels)))


def problem(seed=0):
    features, targets = rows(seed)
    return features, targets[:, 0]


def test_hand_values():
    np.testing.assert_allclose(triangulated(jnp.array([[3.0, 5.0], [4.0, 0.0]]), 1), [[-5, -3], [0, -4]], atol=1e-12)
    whole = triangle(jnp.array([[3.0], [4.0]]), jnp.array([[6.0], [8.0]]))
    np.testing.assert_allclose(np.abs(whole), [[5, 10], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(
        np.abs(merged_triangle(jnp.stack([whole, whole]))), np.sqrt(2) * np.abs(whole), atol=1e-12
    )
    fit, inverse = subset_fit(2 * jnp.eye(2), jnp.array([6.0, 8.0]), jnp.array([True, False]))
    np.testing.assert_allclose(fit, [3, 0])
    np.testing.assert_allclose(inverse, [0.25, 0])


def test_reflections_keep_lengths_and_angles():
    features, _ = rows()
    for count in range(5):
        turned = triangulated(features, count)
        np.testing.assert_allclose(turned.T @ turned, features.T @ features, rtol=1e-10, atol=1e-10)
        assert not np.any(np.tril(turned[:, :count], -1))


def test_parts_merge_into_the_whole_in_any_order():
    features, targets = rows()
    parts = jnp.stack([triangle(features[at], targets[at]) for at in (slice(0, 3), slice(3, 17), slice(17, 30))])
    both = jnp.concatenate([features, targets], axis=1)
    for order in ([0, 1, 2], [2, 0, 1]):
        whole = merged_triangle(parts[jnp.array(order)])
        np.testing.assert_allclose(whole.T @ whole, both.T @ both, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("subset", [[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
def test_subset_fit_equals_float64_numpy(subset):
    features, target = problem()
    kept = np.array(subset, bool)
    fit, inverse = subset_fit(features, target, jnp.asarray(kept))
    some = np.asarray(features)[:, kept]
    want, *_ = np.linalg.lstsq(some, np.asarray(target), rcond=None)
    np.testing.assert_allclose(fit[kept], want, rtol=1e-10)
    np.testing.assert_allclose(inverse[kept], np.diag(np.linalg.inv(some.T @ some)), rtol=1e-10)
    assert not np.any(fit[~kept])
    assert not np.any(inverse[~kept])


def test_triangles_equal_float64_numpy():
    features, targets = rows()
    want = np.linalg.qr(np.concatenate([features, targets], axis=1), mode="r")
    np.testing.assert_allclose(np.abs(triangle(features, targets)), np.abs(want), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.abs(triangulated(features, 4)[:4]), np.abs(want[:4, :4]), rtol=1e-9, atol=1e-12)


def test_a_triangle_says_what_the_rows_say():
    features, targets = rows()
    whole = triangle(features, targets)
    subset = jnp.array([True, False, True, True])
    from_rows, _ = subset_fit(features, targets[:, 1], subset)
    from_triangle, _ = subset_fit(whole[:, :4], whole[:, 5], subset)
    np.testing.assert_allclose(from_triangle, from_rows, rtol=1e-10)


def test_rows_of_zeros_say_nothing():
    features, targets = rows()
    more = [jnp.concatenate([side, jnp.zeros((9, side.shape[1]))]) for side in (features, targets)]
    np.testing.assert_allclose(np.abs(triangle(*more)), np.abs(triangle(features, targets)), rtol=1e-10, atol=1e-12)
    nothing = triangle(jnp.zeros((0, 4)), jnp.zeros((0, 2)))
    whole = triangle(features, targets)
    np.testing.assert_allclose(np.abs(merged_triangle(jnp.stack([nothing, whole]))), np.abs(whole), atol=1e-12)


def test_near_collinear_terms_are_not_squared():
    """By the normal equations nothing of the coefficients would be left."""
    drawn = np.random.default_rng(0)
    one, other = drawn.standard_normal((2, 200))
    features = jnp.asarray(np.stack([one, one + 1e-7 * other], axis=1))
    fit, _ = subset_fit(features, features @ jnp.array([3.0, -2.0]), jnp.array([True, True]))
    np.testing.assert_allclose(fit, [3, -2], rtol=1e-7)


def test_of_two_terms_that_say_the_same_the_first_is_kept():
    features, _ = rows()
    several = jnp.stack([features[:, 0], 3 * features[:, 0], features[:, 1], features[:, 0] - features[:, 1]], axis=1)
    assert independent(several).tolist() == [True, False, True, False]
    assert independent(jnp.zeros((5, 2))).tolist() == [False, False]
    assert independent(1e-150 * several).tolist() == [True, False, True, False]


def test_gradient():
    features, target = problem()
    subset = jnp.array([True, False, True, True])
    check_grads(jax.jit(lambda a, y: subset_fit(a, y, subset)), (features, target), order=1, modes=["rev"])
    check_grads(jax.jit(lambda a: triangulated(a, 4)), (features,), order=1, modes=["rev"])
    check_grads(jax.jit(triangle), (features, target[:, None]), order=1, modes=["rev"])
    check_grads(jax.jit(merged_triangle), (jnp.stack([features[:4], features[4:8]]),), order=1, modes=["rev"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"count must be at most the matrix's rows and columns, got 3 of \(2, 4\)"):
        triangulated(jnp.zeros((2, 4)), 3)
    with pytest.raises(TypeError, match=r"targets must be of float64, got float32"):
        triangle(jnp.zeros((3, 1)), jnp.zeros((3, 1), jnp.float32))


def test_transforms_change_nothing():
    many, target = jnp.stack([rows(seed)[0] for seed in range(3)]), rows()[1][:, 0]
    subset = jnp.array([True, False, True, True])
    for function in (
        lambda a: subset_fit(a, target, subset)[0],
        lambda a: triangulated(a, 4),
        lambda a: triangle(a, target[:, None]),
        lambda a: merged_triangle(jnp.reshape(a[:24], (6, 4, 4))),
        independent,
    ):
        alone = jnp.stack([function(one) for one in many])
        np.testing.assert_allclose(jax.jit(jax.vmap(function))(many), alone, rtol=1e-10, atol=1e-12)
