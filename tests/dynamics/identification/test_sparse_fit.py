"""Choosing terms."""

import functools
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
from jaxkd.dynamics.identification.sparse_fit import one_standard_error

PATHS = (BackwardElimination(), SequentialThresholding(), BestSubset(most=3), Lasso(), RelaxedL0())
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
TRUTH = np.array([[0.0, 1.5], [2.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])

fitted = jax.jit(functools.partial(sparse_fit, folds=4), static_argnames="path")
refined = jax.jit(BackwardElimination.refined, static_argnums=0)


def data(seed=0, blocks=30, rows=12, noise=0.3):
    drawn = np.random.default_rng(seed)
    features = drawn.standard_normal((blocks, rows, 5)) * np.array([1, 10, 0.1, 1, 1])
    return features, features @ TRUTH + noise * drawn.standard_normal((blocks, rows, 2))


def test_hand_value():
    """Unit features in each block, and zeros that say nothing."""
    features, targets = np.zeros((30, 12, 5)), np.zeros((30, 12, 2))
    features[:, :5] = np.eye(5)
    targets[:, 0, 0], targets[:, 3, 1] = 3.0, -2.0
    fit = fitted(features, targets)
    want = np.zeros((5, 2))
    want[0, 0], want[3, 1] = 3.0, -2.0
    np.testing.assert_allclose(fit.coefficients, want, atol=1e-12)
    np.testing.assert_array_equal(fit.support, want != 0)
    assert fit.condition == pytest.approx(1)


@every_path
def test_a_path_goes_from_few_terms_to_many(path):
    for subsets in np.asarray(fitted(*data(), path=path).candidates):
        sizes = np.sum(subsets, axis=1)
        assert np.all(np.diff(sizes) >= 0)
        assert sizes[0] <= 1
        if isinstance(path, BackwardElimination | BestSubset):
            assert sizes.tolist() == list(range(len(sizes)))


@every_path
def test_the_right_terms_are_found(path):
    fit = fitted(*data(), path=path)
    if isinstance(path, Lasso):  # which is known to keep more
        assert np.all(np.asarray(fit.support) | (TRUTH == 0))
    else:
        np.testing.assert_array_equal(fit.support, TRUTH != 0)
    np.testing.assert_allclose(fit.coefficients, TRUTH, atol=0.2)


def test_units_change_coefficients_and_nothing_else():
    features, targets = data()
    fit = fitted(features, targets)
    scale, unit_of_targets = np.array([1e3, 1.0, 1e-4, 2.0, 7.0]), np.array([1e-2, 1e4])
    other = fitted(features * scale, targets * unit_of_targets)
    np.testing.assert_array_equal(other.support, fit.support)
    np.testing.assert_allclose(
        other.coefficients, np.asarray(fit.coefficients) * unit_of_targets / scale[:, None], rtol=1e-8
    )


def test_errors_and_coefficients_equal_float64_numpy():
    require_numpy(*data(), [12] * 30)


def test_rows_of_zeros_and_blocks_of_them_change_nothing():
    """NumPy sees only the rows of others."""
    features, targets = data()
    rows = np.arange(30) % 13  # and of two blocks none
    there = np.arange(12) < rows[:, None]
    require_numpy(np.where(there[..., None], features, 0.0), np.where(there[..., None], targets, 0.0), rows)


def require_numpy(features, targets, rows):
    """Elimination and exchanges in each training part, by numpy.linalg.lstsq on the first rows of each block."""
    fit, fold = fitted(features, targets), np.arange(30) * 4 // 30
    errors, coefficients, support = (np.asarray(part) for part in (fit.errors, fit.coefficients, fit.support))

    def of(blocks, channel):
        each = [(features[block, : rows[block]], targets[block, : rows[block], channel]) for block in blocks]
        return [np.concatenate(side) for side in zip(*each, strict=True)]

    for channel in range(2):
        for held in range(4):
            train, test = of(np.nonzero(fold != held)[0], channel), of(np.nonzero(fold == held)[0], channel)
            for size, subset in enumerate(candidates(*train)):
                found, *_ = np.linalg.lstsq(train[0][:, subset], train[1], rcond=None)
                off = test[0][:, subset] @ found - test[1]
                np.testing.assert_allclose(errors[channel, size, held], np.mean(off**2), rtol=1e-8)
        whole = of(range(30), channel)
        subset = candidates(*whole)[int(fit.chosen[channel])]
        want, *_ = np.linalg.lstsq(whole[0][:, subset], whole[1], rcond=None)
        np.testing.assert_array_equal(np.nonzero(support[:, channel])[0], sorted(subset))
        np.testing.assert_allclose(coefficients[subset, channel], want, rtol=1e-8)


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
    found = np.asarray(fitted(features, targets, path=BestSubset(most=3)).candidates)
    features, targets = features.reshape(-1, 5), targets.reshape(-1, 2)
    for channel, size in itertools.product(range(2), range(4)):
        tried = [list(subset) for subset in itertools.combinations(range(5), size)]
        best = min(tried, key=lambda subset, target=targets[:, channel]: residual(features, target, subset))
        assert np.nonzero(found[channel, size])[0].tolist() == best


def test_exchanges_are_the_best_of_all_that_are_tried_one_after_the_other():
    """Columns that are much alike, where what elimination keeps is often not the best."""
    missed = 0
    for seed in range(20):
        drawn = np.random.default_rng(seed)
        features = drawn.standard_normal((12, 2)) @ drawn.standard_normal((2, 7)) + drawn.standard_normal((12, 7))
        features /= np.linalg.norm(features, axis=0)
        target = drawn.standard_normal(12)
        for subset in eliminated(features, target):
            want = exchanged(exchanged(subset, features, target), features, target)
            got = refined(BackwardElimination(exchanges=2), features, target, np.isin(np.arange(7), subset))
            assert np.nonzero(np.asarray(got))[0].tolist() == want
            missed += want != subset
    assert missed > 3


def exchanged(subset, features, target):
    """A term for another, where that explains more; of all exchanges the best."""
    others = [term for term in range(features.shape[1]) if term not in subset]
    tried = [sorted({*subset, new} - {old}) for old in subset for new in others]
    return min([subset, *tried], key=lambda subset: residual(features, target, subset))


def test_a_term_that_is_no_other_is_not_exchanged_for():
    (features, *_), (targets, *_) = data()
    more = np.concatenate([features, 3 * features[:, 1:2], np.zeros((12, 1))], axis=1)
    more[:, :6] /= np.linalg.norm(more[:, :6], axis=0)
    subset = np.isin(np.arange(7), (0, 4))
    found = refined(BackwardElimination(exchanges=2), more, targets[:, 0], subset)
    assert np.nonzero(np.asarray(found))[0].tolist() == [1, 3]
    few = refined(BackwardElimination(exchanges=2, most=1), more, targets[:, 0], subset)
    np.testing.assert_array_equal(few, subset)


@pytest.mark.parametrize(
    "path", [BackwardElimination(), SequentialThresholding(), RelaxedL0()], ids=lambda path: type(path).__name__
)
def test_a_term_twice_and_one_of_zeros_are_not_chosen_and_harm_nothing(path):
    features, targets = data()
    features[..., 2], features[..., 4] = 2 * features[..., 1], 0.0
    fit = fitted(features, targets, path=path)
    np.testing.assert_array_equal(fit.support, TRUTH != 0)
    np.testing.assert_allclose(fit.coefficients, TRUTH, atol=0.2)


def test_the_rule_takes_the_first_within_one_standard_error():
    rule = jax.jit(one_standard_error)
    errors = np.array([[9.0, 9.0, 9.0], [1.2, 1.4, 1.1], [1.0, 1.4, 1.0], [2.0, 2.0, 2.0]])
    mean, deviation = np.mean(errors[2]), np.std(errors[2], ddof=1) / np.sqrt(3)
    assert np.mean(errors[1]) <= mean + deviation
    assert rule(errors) == 1
    assert rule(errors[:1]) == 0
    errors[1] += 0.2  # more than one standard error away, and less than three
    assert rule(errors) == 2


def test_bootstrap_intervals_and_inclusions():
    features, targets = data()
    fit = fitted(features, targets)
    drawn = bootstrap(fit, jax.random.key(0), replicates=320)
    low, high = (np.asarray(end) for end in drawn.interval(0.9))
    np.testing.assert_array_equal(np.asarray(drawn.inclusion) > 0.9, TRUTH != 0)
    assert np.all((low <= fit.coefficients) & (fit.coefficients <= high))
    rows = features.reshape(-1, 5)[:, [1, 3]]
    deviation = 0.3 * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))
    np.testing.assert_allclose((high - low)[[1, 3], 0], 2 * 1.645 * deviation, rtol=0.4)


def test_intervals_of_few_blocks_hold_what_is_true_as_often_as_they_say():
    """Means of eight normal numbers: plain percentiles hold 0 in 83 % of the cases, which are too few."""
    random = np.random.default_rng(0)
    values = random.standard_normal((1000, 8))
    means = np.mean(values[np.arange(1000)[:, None, None], random.integers(0, 8, (1000, 400, 8))], axis=2)
    drawn = Bootstrap(
        coefficients=jnp.asarray(means.T[:, :, None]), inclusion=jnp.asarray(np.ones((1000, 1))), blocks=8
    )
    tail = scipy.stats.norm.cdf(-np.sqrt(8 / 7) * scipy.stats.t.ppf(0.95, 7))
    assert drawn.tail(0.9) == pytest.approx(tail)
    low, high = (np.asarray(end) for end in drawn.interval(0.9))
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.9, abs=0.02)
    low, high = np.quantile(means, (0.05, 0.95), axis=1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.83, abs=0.02)


def test_bootstrap_of_equal_blocks_knows_the_coefficients():
    features, targets = data()
    features[1:], targets[1:] = features[:1], targets[:1]
    fit = fitted(features, targets)
    drawn = bootstrap(fit, jax.random.key(0), replicates=320)
    want = np.broadcast_to(fit.coefficients, drawn.coefficients.shape)
    np.testing.assert_allclose(drawn.coefficients, want, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(drawn.inclusion, fit.support)


def test_what_does_not_fit_is_refused():
    features, targets = (jnp.asarray(side) for side in data(blocks=2))
    with pytest.raises(ValueError, match=r"at least 3 blocks in at least 3 folds, got 2 blocks and 2 folds.*Cut long"):
        sparse_fit(features, targets)
    with pytest.raises(TypeError, match=r"features must be of float64, got float32"):
        sparse_fit(jnp.asarray(np.float32(features)), targets)
    with pytest.raises(ValueError, match=r"at most 3 subsets of a size, got 2 of 5 terms, 10. Lower it, or take Back"):
        jax.eval_shape(BestSubset(most=2, limit=3), features[0], targets[0, :, 0])
    with pytest.raises(ValueError, match=r"thresholds must be one or more, the largest first, got \(0.1, 0.2\)"):
        SequentialThresholding(thresholds=(0.1, 0.2))


def test_gradients_reach_the_coefficients():
    features, targets = data()
    gradient = jax.jit(jax.grad(lambda features, targets: fitted(features, targets).coefficients[1, 0], argnums=1))
    direction, step = np.random.default_rng(1).standard_normal(targets.shape), 1e-5
    moved = (fitted(features, targets + sign * step * direction).coefficients for sign in (-1, 1))
    before, after = (np.asarray(coefficients)[1, 0] for coefficients in moved)
    got = np.sum(np.asarray(gradient(features, targets)) * direction)
    np.testing.assert_allclose(got, (after - before) / (2 * step), rtol=1e-5)


def test_transforms_change_nothing():
    many = [np.stack(side) for side in zip(data(0), data(1), strict=True)]
    together = jax.jit(jax.vmap(fitted))(*many)
    alone = [fitted(*pair) for pair in zip(*many, strict=True)]
    np.testing.assert_allclose(together.coefficients, [one.coefficients for one in alone], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(together.errors, [one.errors for one in alone], rtol=1e-8)
    drawn = [bootstrap(one, jax.random.key(0), replicates=320).inclusion for one in alone]
    both = jax.jit(jax.vmap(lambda fit: bootstrap(fit, jax.random.key(0), replicates=320)))(together)
    np.testing.assert_allclose(both.inclusion, drawn)


@pytest.mark.slow
def test_what_is_not_compiled_is_the_same():
    features, targets = (jnp.asarray(side) for side in data())
    alone, fit = sparse_fit(features, targets, folds=4), fitted(features, targets)
    np.testing.assert_allclose(alone.coefficients, fit.coefficients, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(alone.errors, fit.errors, rtol=1e-8)


def test_what_is_not_allowed_is_not_chosen_and_signs_are_kept():
    """A coefficient of -1, where it must not be negative, and a term that one equation must not have."""
    features, targets = data()
    allowed, signs = np.ones((5, 2), bool), np.zeros((5, 2), int)
    allowed[0, 1], signs[:4, 0] = False, 1
    fit = fitted(features, targets, allowed=allowed, signs=signs)
    support, coefficients, candidates = (np.asarray(part) for part in (fit.support, fit.coefficients, fit.candidates))
    assert support[:, 0].tolist() == [False, True, False, False, False]
    assert coefficients[1, 0] > 0
    assert not np.any(candidates[0, :, 3])
    assert not np.any(candidates[1, ..., 0])
    inclusion = np.asarray(bootstrap(fit, jax.random.key(1), replicates=5).inclusion)
    assert inclusion[3, 0] == inclusion[0, 1] == 0
