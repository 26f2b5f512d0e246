"""Least squares from triangles, on subsets that are values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.dynamics.derivatives.triangular import triangulated
from jaxkd.dynamics.identification.least_squares import independent, merged_triangle, subset_fit, triangle

turned = jax.jit(triangulated, static_argnums=1)
triangle_of, merged, fitted, own = (jax.jit(one) for one in (triangle, merged_triangle, subset_fit, independent))


def rows(seed=0, count=30, terms=4, channels=2):
    drawn = np.random.default_rng(seed)
    return drawn.standard_normal((count, terms)), drawn.standard_normal((count, channels))


def problem(seed=0):
    features, targets = rows(seed)
    return features, targets[:, 0]


def test_hand_values():
    np.testing.assert_allclose(turned(np.array([[3.0, 5.0], [4.0, 0.0]]), 1), [[-5, -3], [0, -4]], atol=1e-12)
    whole = triangle_of(np.array([[3.0], [4.0]]), np.array([[6.0], [8.0]]))
    np.testing.assert_allclose(np.abs(np.asarray(whole)), [[5, 10], [0, 0]], atol=1e-12)
    twice = merged(np.stack([whole, whole]))
    np.testing.assert_allclose(np.abs(np.asarray(twice)), np.sqrt(2) * np.array([[5, 10], [0, 0]]), atol=1e-12)
    fit, inverse = fitted(2 * np.eye(2), np.array([6.0, 8.0]), np.array([True, False]))
    np.testing.assert_allclose(fit, [3, 0])
    np.testing.assert_allclose(inverse, [0.25, 0])


def test_reflections_keep_lengths_and_angles():
    features, _ = rows()
    for count in range(5):
        found = np.asarray(turned(features, count))
        np.testing.assert_allclose(found.T @ found, features.T @ features, rtol=1e-10, atol=1e-10)
        assert not np.any(np.tril(found[:, :count], -1))


def test_parts_merge_into_the_whole_in_any_order():
    """Rows of zeros fill them up."""
    features, targets = rows()
    both = np.concatenate([features, targets], axis=1)
    parts = np.zeros((3, 30, 6))
    for part, at in zip(parts, (slice(0, 3), slice(3, 17), slice(17, 30)), strict=True):
        part[at] = both[at]
    triangles = np.stack([triangle_of(part[:, :4], part[:, 4:]) for part in parts])
    for order in ([0, 1, 2], [2, 0, 1]):
        whole = np.asarray(merged(triangles[order]))
        np.testing.assert_allclose(whole.T @ whole, both.T @ both, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("subset", [[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
def test_subset_fit_equals_float64_numpy(subset):
    features, target = problem()
    kept = np.array(subset, bool)
    fit, inverse = (np.asarray(one) for one in fitted(features, target, kept))
    some = features[:, kept]
    want, *_ = np.linalg.lstsq(some, target, rcond=None)
    np.testing.assert_allclose(fit[kept], want, rtol=1e-10)
    np.testing.assert_allclose(inverse[kept], np.diag(np.linalg.inv(some.T @ some)), rtol=1e-10)
    assert not np.any(fit[~kept])
    assert not np.any(inverse[~kept])


def test_triangles_equal_float64_numpy():
    features, targets = rows()
    want = np.abs(np.linalg.qr(np.concatenate([features, targets], axis=1), mode="r"))
    np.testing.assert_allclose(np.abs(np.asarray(triangle_of(features, targets))), want, rtol=1e-9, atol=1e-12)
    found = np.abs(np.asarray(turned(features, 4)))
    np.testing.assert_allclose(found[:4], want[:4, :4], rtol=1e-9, atol=1e-12)


def test_a_triangle_says_what_the_rows_say():
    features, targets = rows()
    whole = np.asarray(triangle_of(features, targets))
    subset = np.array([True, False, True, True])
    from_rows, _ = fitted(features, targets[:, 1], subset)
    from_triangle, _ = fitted(whole[:, :4], whole[:, 5], subset)
    np.testing.assert_allclose(from_triangle, from_rows, rtol=1e-10)


def test_rows_of_zeros_say_nothing():
    features, targets = rows()
    whole = np.abs(np.asarray(triangle_of(features, targets)))
    more = [np.concatenate([side, np.zeros((9, side.shape[1]))]) for side in (features, targets)]
    np.testing.assert_allclose(np.abs(np.asarray(triangle_of(*more))), whole, rtol=1e-10, atol=1e-12)
    nothing = triangle_of(np.zeros((0, 4)), np.zeros((0, 2)))
    both = merged(np.stack([nothing, whole, np.zeros((6, 6))]))
    np.testing.assert_allclose(np.abs(np.asarray(both)), whole, atol=1e-12)


def test_near_collinear_terms_are_not_squared():
    """By the normal equations nothing of the coefficients would be left."""
    drawn = np.random.default_rng(0)
    one, other = drawn.standard_normal((2, 200))
    features = np.stack([one, one + 1e-7 * other], axis=1)
    fit, _ = fitted(features, features @ np.array([3.0, -2.0]), np.array([True, True]))
    np.testing.assert_allclose(fit, [3, -2], rtol=1e-7)


def test_of_two_terms_that_say_the_same_the_first_is_kept():
    features, _ = rows()
    several = np.stack([features[:, 0], 3 * features[:, 0], features[:, 1], features[:, 0] - features[:, 1]], axis=1)
    assert own(several).tolist() == [True, False, True, False]
    assert own(np.zeros((30, 4))).tolist() == [False] * 4
    assert own(1e-150 * several).tolist() == [True, False, True, False]


def test_gradient():
    features, target = problem()
    subset = np.array([True, False, True, True])
    check_grads(lambda a, y: fitted(a, y, subset), (features, target), order=1, modes=["rev"])
    check_grads(lambda a: turned(a, 4), (features,), order=1, modes=["rev"])
    check_grads(triangle_of, rows(), order=1, modes=["rev"])
    check_grads(merged, (features[:24].reshape(6, 4, 4)[:2],), order=1, modes=["rev"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"count must be at most the matrix's rows and columns, got 3 of \(2, 4\)"):
        triangulated(jnp.zeros((2, 4)), 3)
    with pytest.raises(TypeError, match=r"targets must be of float64, got float32"):
        triangle(jnp.zeros((3, 1)), jnp.zeros((3, 1), jnp.float32))


def test_transforms_change_nothing():
    many, (_, targets) = np.stack([rows(seed)[0] for seed in range(3)]), rows()
    subset = np.array([True, False, True, True])
    for function, given in (
        (subset_fit, lambda a: (a, targets[:, 0], subset)),
        (triangle, lambda a: (a, targets)),
        (merged_triangle, lambda a: (a[:24].reshape(6, 4, 4),)),
        (independent, lambda a: (a,)),
        (lambda a: triangulated(a, 4), lambda a: (a,)),
    ):
        compiled = jax.jit(function)
        alone = [compiled(*given(one)) for one in many]
        eager = function(*(jnp.asarray(one) for one in given(many[0])))
        together = jax.jit(jax.vmap(lambda a, function=function, given=given: function(*map(jnp.asarray, given(a)))))
        for want, got in ((alone[0], eager), (jax.tree.map(lambda *each: np.stack(each), *alone), together(many))):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), got, want)
