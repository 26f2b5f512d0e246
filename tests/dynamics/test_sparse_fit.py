"""Choosing terms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxkd.dynamics import (
    BackwardElimination,
    BestSubset,
    Bootstrap,
    Lasso,
    RelaxedL0,
    SequentialThresholding,
    bootstrap,
    sparse_fit,
)
from jaxkd.dynamics.sparse_fit import one_standard_error

PATHS = (BackwardElimination(), SequentialThresholding(), BestSubset(most=3), Lasso(), RelaxedL0())
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
TRUTH = np.array([[0.0, 1.5], [2.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])


def data(seed=0, blocks=8, rows=40, noise=0.3):
    drawn = np.random.default_rng(seed)
    features = drawn.standard_normal((blocks, rows, 5)) * np.array([1, 10, 0.1, 1, 1])
    targets = features @ TRUTH + noise * drawn.standard_normal((blocks, rows, 2))
    return jnp.asarray(features), jnp.asarray(targets)


def unit(features):
    return features / jnp.linalg.norm(features, axis=0)[None]


def test_hand_value():
    features = jnp.tile(jnp.eye(2)[None], (4, 1, 1))
    fit = sparse_fit(features, jnp.tile(jnp.array([[[3.0], [0.0]]]), (4, 1, 1)))
    np.testing.assert_allclose(fit.coefficients, [[3.0], [0.0]], atol=1e-12)
    assert fit.support.tolist() == [[True], [False]]
    assert fit.condition == pytest.approx(1)


@every_path
def test_a_path_goes_from_few_terms_to_many(path):
    features, targets = data()
    subsets = path(unit(features[0]), targets[0, :, 0])
    sizes = np.sum(subsets, axis=1)
    assert np.all(np.diff(sizes) >= 0)
    assert sizes[0] <= 1
    if isinstance(path, BackwardElimination | BestSubset):
        assert sizes.tolist() == list(range(len(sizes)))


@every_path
def test_the_right_terms_are_found(path):
    fit = sparse_fit(*data(), path=path)
    if isinstance(path, Lasso):  # which is known to keep more
        assert np.all(fit.support | (TRUTH == 0))
    else:
        np.testing.assert_array_equal(fit.support, TRUTH != 0)
    np.testing.assert_allclose(fit.coefficients, TRUTH, atol=0.2)


def test_units_change_coefficients_and_nothing_else():
    features, targets = data()
    fit = sparse_fit(features, targets)
    scale, unit_of_targets = np.array([1e3, 1.0, 1e-4, 2.0, 7.0]), np.array([1e-2, 1e4])
    other = sparse_fit(features * scale[None, None], targets * unit_of_targets[None, None])
    np.testing.assert_array_equal(other.support, fit.support)
    np.testing.assert_allclose(
        other.coefficients, np.asarray(fit.coefficients) * unit_of_targets / scale[:, None], rtol=1e-8
    )


def test_errors_and_coefficients_equal_float64_numpy():
    """Elimination and exchanges in each training part, by numpy.linalg.lstsq on its rows."""
    features, targets = (np.asarray(side) for side in data(blocks=6))
    fit = sparse_fit(jnp.asarray(features), jnp.asarray(targets), folds=3)
    for channel in range(2):
        for fold in range(3):
            test = np.arange(6) // 2 == fold
            subsets = candidates(features[~test].reshape(-1, 5), targets[~test, :, channel].ravel())
            for size, subset in enumerate(subsets):
                train = features[~test].reshape(-1, 5)[:, subset]
                coefficients, *_ = np.linalg.lstsq(train, targets[~test, :, channel].ravel(), rcond=None)
                off = features[test].reshape(-1, 5)[:, subset] @ coefficients - targets[test, :, channel].ravel()
                np.testing.assert_allclose(fit.errors[channel, size, fold], np.mean(off**2), rtol=1e-8)
        subset = candidates(features.reshape(-1, 5), targets[..., channel].ravel())[int(fit.chosen[channel])]
        want, *_ = np.linalg.lstsq(features.reshape(-1, 5)[:, subset], targets[..., channel].ravel(), rcond=None)
        np.testing.assert_allclose(fit.coefficients[subset, channel], want, rtol=1e-8)


def candidates(features, target):
    """By elimination, and by at most three exchanges."""
    found = eliminated(features, target)
    for _ in range(3):
        found = [exchanged(subset, features, target) for subset in found]
    return found


def eliminated(features, target):
    """Subsets of each size, by trying which term can be left out at the least cost."""
    subsets = [list(range(features.shape[1]))]
    while subsets[-1]:
        without = [[term for term in subsets[-1] if term != left] for left in subsets[-1]]
        subsets.append(min(without, key=lambda subset: residual(features, target, subset)))
    return subsets[::-1]


def residual(features, target, subset):
    some = features[:, subset]
    return np.sum((some @ np.linalg.lstsq(some, target, rcond=None)[0] - target) ** 2) if subset else np.sum(target**2)


def test_the_best_subset_equals_all_subsets_tried():
    features, targets = data(noise=5.0)
    found = BestSubset(most=3)(unit(features[0]), targets[0, :, 0])
    for size in range(4):
        tried = [list(subset) for subset in itertools.combinations(range(5), size)]
        best = min(tried, key=lambda subset: residual(np.asarray(features[0]), np.asarray(targets[0, :, 0]), subset))
        assert np.nonzero(found[size])[0].tolist() == best


def test_exchanges_are_the_best_of_all_that_are_tried_one_after_the_other():
    """Of columns that are much alike, where what elimination keeps is often not the best."""
    bettered, missed = jax.jit(BackwardElimination(exchanges=2).bettered), 0
    for seed in range(20):
        drawn = np.random.default_rng(seed)
        features = drawn.standard_normal((12, 2)) @ drawn.standard_normal((2, 7)) + drawn.standard_normal((12, 7))
        features /= np.linalg.norm(features, axis=0)
        target = drawn.standard_normal(12)
        for subset in eliminated(features, target):
            want = exchanged(exchanged(subset, features, target), features, target)
            mask = jnp.zeros(7, bool).at[jnp.asarray(subset, int)].set(True)
            got = bettered(jnp.asarray(features), jnp.asarray(target), mask)
            assert np.nonzero(got)[0].tolist() == want
            missed += want != subset
    assert missed > 3


def exchanged(subset, features, target):
    """A term for another, where that explains more; of all exchanges the best."""
    others = [term for term in range(features.shape[1]) if term not in subset]
    tried = [sorted({*subset, new} - {old}) for old in subset for new in others]
    return min([subset, *tried], key=lambda subset: residual(features, target, subset))


def test_a_term_that_is_no_other_is_not_exchanged_for():
    features, targets = data()
    more = unit(jnp.concatenate([features[0], 3 * features[0, :, 1:2], jnp.zeros((40, 1))], axis=1).at[:, 6].set(0.0))
    more = jnp.where(jnp.isfinite(more), more, 0.0)
    subset = jnp.zeros(7, bool).at[jnp.array([0, 4])].set(True)
    assert np.nonzero(BackwardElimination().bettered(more, targets[0, :, 0], subset))[0].tolist() == [1, 3]
    few = BackwardElimination(most=1)
    np.testing.assert_array_equal(few.bettered(more, targets[0, :, 0], subset), subset)


def test_rows_of_zeros_and_blocks_of_them_change_nothing():
    features, targets = data()
    fit = sparse_fit(features, targets)
    more = [jnp.concatenate([side, jnp.zeros((8, 10, side.shape[2]))], axis=1) for side in (features, targets)]
    np.testing.assert_allclose(sparse_fit(*more).coefficients, fit.coefficients, rtol=1e-10)


def test_a_term_twice_and_one_of_zeros_are_not_chosen_and_harm_nothing():
    features, targets = data()
    more = jnp.concatenate([features, 2 * features[..., 1:2], jnp.zeros_like(features[..., :1])], axis=2)
    for path in (BackwardElimination(), SequentialThresholding(), RelaxedL0()):
        fit = sparse_fit(more, targets, path=path)
        np.testing.assert_array_equal(fit.support[:5], TRUTH != 0)
        assert not np.any(fit.support[5:])
        assert np.all(np.isfinite(fit.coefficients))


def test_the_rule_takes_the_first_within_one_standard_error():
    errors = jnp.array([[9.0, 9.0, 9.0], [1.2, 1.4, 1.1], [1.0, 1.4, 1.0], [2.0, 2.0, 2.0]])
    mean, spread = np.mean(errors[2]), np.std(errors[2], ddof=1) / np.sqrt(3)
    assert np.mean(errors[1]) <= mean + spread
    assert one_standard_error(errors) == 1
    assert one_standard_error(errors.at[1].add(1.0)) == 2
    assert one_standard_error(errors[:1]) == 0


def test_bootstrap_intervals_and_inclusions():
    features, targets = data(blocks=30)
    fit = sparse_fit(features, targets)
    drawn = bootstrap(fit, jax.random.key(0), replicates=300)
    low, high = drawn.interval(0.9)
    np.testing.assert_array_equal(drawn.inclusion > 0.9, TRUTH != 0)
    assert np.all((low <= fit.coefficients) & (fit.coefficients <= high))
    rows = np.asarray(features).reshape(-1, 5)[:, [1, 3]]
    deviation = 0.3 * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    np.testing.assert_allclose((high - low)[[1, 3], 0], 2 * 1.645 * deviation, rtol=0.4)


def test_intervals_of_few_blocks_hold_what_is_true_as_often_as_they_say():
    """Means of eight normal numbers: plain percentiles hold 0 in 83 % of the cases, which are too few."""
    random = np.random.default_rng(0)
    values = random.standard_normal((1000, 8))
    means = np.mean(values[np.arange(1000)[:, None, None], random.integers(0, 8, (1000, 400, 8))], axis=2)
    drawn = Bootstrap(coefficients=jnp.asarray(means.T[:, :, None]), inclusion=jnp.ones((1000, 1)), blocks=8)
    tail = scipy.stats.norm.cdf(-np.sqrt(8 / 7) * scipy.stats.t.ppf(0.95, 7))
    assert drawn.tail(0.9) == pytest.approx(tail)
    low, high = drawn.interval(0.9)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.9, abs=0.02)
    low, high = np.quantile(means, (0.05, 0.95), axis=1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.83, abs=0.02)


def test_bootstrap_of_equal_blocks_knows_the_coefficients():
    features, targets = data(blocks=1)
    equal = [jnp.tile(side, (6, 1, 1)) for side in (features, targets)]
    fit = sparse_fit(*equal)
    drawn = bootstrap(fit, jax.random.key(0), replicates=8)
    np.testing.assert_allclose(drawn.coefficients, np.tile(fit.coefficients[None], (8, 1, 1)), rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(drawn.inclusion, fit.support)


def test_what_does_not_fit_is_refused():
    features, targets = data(blocks=2)
    with pytest.raises(ValueError, match=r"at least 3 blocks in at least 3 folds, got 2 blocks and 2 folds.*Cut long"):
        sparse_fit(features, targets)
    with pytest.raises(TypeError, match=r"features must be of float64, got float32"):
        sparse_fit(features.astype(jnp.float32), targets)
    with pytest.raises(ValueError, match=r"at most 3 subsets of a size, got 2 of 5 terms, 10. Lower it, or take Back"):
        BestSubset(most=2, limit=3)(features[0], targets[0, :, 0])
    with pytest.raises(ValueError, match=r"thresholds must be one or more, the largest first, got \(0.1, 0.2\)"):
        SequentialThresholding(thresholds=(0.1, 0.2))


@pytest.mark.slow
def test_gradients_reach_the_coefficients():
    features, targets = data()

    def coefficient(targets):
        return sparse_fit(features, targets).coefficients[1, 0]

    direction = jnp.asarray(np.random.default_rng(1).standard_normal(targets.shape))
    step = 1e-5
    want = (coefficient(targets + step * direction) - coefficient(targets - step * direction)) / (2 * step)
    np.testing.assert_allclose(jnp.sum(jax.grad(coefficient)(targets) * direction), want, rtol=1e-5)


@pytest.mark.slow
def test_transforms_change_nothing():
    many = [jnp.stack(side) for side in zip(data(0), data(1), strict=True)]
    together = jax.jit(jax.vmap(sparse_fit))(*many)
    for index in range(2):
        alone = sparse_fit(many[0][index], many[1][index])
        np.testing.assert_allclose(together.coefficients[index], alone.coefficients, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(together.errors[index], alone.errors, rtol=1e-8)
    drawn = [bootstrap(jax.tree.map(lambda leaf, i=i: leaf[i], together), jax.random.key(0)) for i in range(2)]
    both = jax.jit(jax.vmap(lambda fit: bootstrap(fit, jax.random.key(0))))(together)
    np.testing.assert_allclose(both.inclusion, jnp.stack([one.inclusion for one in drawn]))


def test_what_is_not_allowed_is_not_chosen_and_signs_are_kept():
    """2 a - b, where b must not be negative, and then where a must not be there."""
    features = jax.random.normal(jax.random.key(0), (8, 50, 3))
    targets = features @ jnp.array([[2.0], [-1.0], [0.0]])
    signed = sparse_fit(features, targets, signs=jnp.array([[1], [1], [0]]))
    assert signed.support[:, 0].tolist() == [True, False, False]
    assert signed.coefficients[0, 0] > 0
    without = sparse_fit(features, targets, allowed=jnp.array([[False], [True], [True]]))
    assert without.support[0, 0] == jnp.array(False)
    assert not jnp.any(without.candidates[..., 0])
    drawn = bootstrap(without, jax.random.key(1), replicates=5)
    assert drawn.inclusion[0, 0] == 0
