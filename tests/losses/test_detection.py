"""Losses of dense detection against their formulas in float64, and torch's gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.special import expit, log_softmax, softmax

from jaxkd.losses import (
    binary_cross_entropy,
    distribution_focal_loss,
    expected_distance,
    giou_loss,
    masked_mean,
    quality_focal_loss,
)
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

ROWS, CLASSES, BINS = 8, 3, 17
LARGE = 1e4


def exact_quality(logits, quality, *, beta=2.0):
    z, q = np.float64(logits), np.float64(quality)
    return np.abs(q - expit(z)) ** beta * (q * np.logaddexp(0, -z) + (1 - q) * np.logaddexp(0, z))


def exact_distribution(logits, distance):
    """From the two neighbouring bins, one distance after the other."""
    values = []
    for z, y in zip(np.float64(logits), np.float64(distance), strict=True):
        y = min(max(y, 0.0), BINS - 1 - 0.1)
        low, log_probs = int(np.floor(y)), log_softmax(z)
        values.append(-(low + 1 - y) * log_probs[low] - (y - low) * log_probs[low + 1])
    return np.array(values)


def exact_expectation(logits):
    return softmax(np.float64(logits), axis=-1) @ np.arange(BINS)


def exact_giou(predicted, target):
    values = []
    for (l1, t1, r1, b1), (l2, t2, r2, b2) in zip(np.float64(predicted), np.float64(target), strict=True):
        both = max(0, min(r1, r2) - max(l1, l2)) * max(0, min(b1, b2) - max(t1, t2))
        union = (r1 - l1) * (b1 - t1) + (r2 - l2) * (b2 - t2) - both
        around = (max(r1, r2) - min(l1, l2)) * (max(b1, b2) - min(t1, t2))
        values.append(1 - both / union + (around - union) / around)
    return np.array(values)


def scores(seed):
    """Logits, and the IoU of one class of each row but the last two, which are background."""
    rng = np.random.default_rng(seed)
    quality = np.where(np.arange(CLASSES) == rng.integers(0, CLASSES, (ROWS, 1)), rng.random((ROWS, 1)), 0)
    quality[-2:] = 0
    return rng.normal(size=(ROWS, CLASSES)) * 3, quality


def edges(seed):
    """Logits of the bins, and distances of which some are out of their range."""
    rng = np.random.default_rng(seed)
    distance = rng.uniform(0, BINS - 1, ROWS)
    distance[:4] = -2, 3, BINS - 1, 40
    return rng.normal(size=(ROWS, BINS)) * 2, distance


def corners(seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 5, (2, ROWS, 2))
    return tuple(np.concatenate([start, start + rng.uniform(1, 8, start.shape)], axis=-1))


LOSSES = {
    "quality_focal_loss": (quality_focal_loss, {}, scores, exact_quality),
    "quality_focal_loss, 1.5": (quality_focal_loss, {"beta": 1.5}, scores, exact_quality),
    "distribution_focal_loss": (distribution_focal_loss, {}, edges, exact_distribution),
    "expected_distance": (expected_distance, {}, lambda seed: edges(seed)[:1], exact_expectation),
    "giou_loss": (giou_loss, {}, corners, exact_giou),
}
every_loss = pytest.mark.parametrize(("loss", "options", "arrays", "oracle"), LOSSES.values(), ids=LOSSES)


def drawn(arrays, seed, dtype=np.float32):
    return tuple(one.astype(np.float32).astype(dtype) for one in arrays(seed))


def test_hand_values():
    found = jitted(quality_focal_loss)(np.log(np.float32([3, 3, 1])), np.float32([1, 0, 0.5]))  # 3/4, 3/4, 1/2
    np.testing.assert_allclose(found, [-np.log(0.75) / 16, -np.log(0.25) * 9 / 16, 0], rtol=1e-6)
    logits = np.log(np.float32([0.5, 0.25, 0.125, 0.125]))
    np.testing.assert_allclose(jitted(expected_distance)(logits), 0.25 + 0.25 + 0.375, rtol=1e-6)
    distances = np.float32([0, 1, 0.5, 2.9, 7, -1])
    found = jitted(distribution_focal_loss)(np.tile(logits, (6, 1)), distances)
    np.testing.assert_allclose(found, np.log(2) * np.array([1, 2, 1.5, 3, 3, 1]), rtol=1e-6)
    boxes = np.float32([[0, 0, 2, 2], [0, 0, 1, 1]])
    other = np.float32([[1, 0, 3, 2], [1, 1, 2, 2]])
    np.testing.assert_allclose(jitted(giou_loss)(boxes, other), [1 - 2 / 6, 1 + 2 / 4], rtol=1e-6)


@every_loss
def test_equals_float64_numpy(loss, options, arrays, oracle):
    given = drawn(arrays, 0)
    found = compiled(loss, **options)(*given)[0]
    np.testing.assert_allclose(found, oracle(*given, **options), rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32


def test_quality_is_the_cross_entropy_at_beta_zero_and_zero_where_it_is_met():
    logits, quality = drawn(scores, 1)
    loss, entropy = jitted(quality_focal_loss), jitted(binary_cross_entropy)(logits, quality)
    np.testing.assert_array_equal(jitted(quality_focal_loss, beta=0.0)(logits, quality), entropy)
    assert (loss(logits, quality) <= entropy).all()
    for beta in (0.5, 1.0, 2.0):
        found, (gradient, _) = compiled(quality_focal_loss, beta=beta)(
            np.zeros(3, np.float32), np.full(3, 0.5, np.float32)
        )
        np.testing.assert_array_equal(found, 0)
        np.testing.assert_array_equal(gradient, 0)
    np.testing.assert_allclose(loss(-logits, 1 - quality), loss(logits, quality), rtol=1e-5, atol=1e-7)


def test_the_distribution_that_interpolates_is_the_best_and_its_mean_is_the_distance():
    distance = np.float32([0.25, 7.5, 15.875])
    weights = np.maximum(1 - np.abs(np.arange(BINS) - distance[:, None]), 0)
    with np.errstate(divide="ignore"):
        logits = np.log(weights).astype(np.float32)
    found, (gradient, _) = compiled(distribution_focal_loss)(logits, distance)
    entropy = -np.sum(weights * np.log(np.where(weights > 0, weights, 1)), axis=-1)
    np.testing.assert_allclose(found, entropy, rtol=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    np.testing.assert_allclose(jitted(expected_distance)(logits), distance, rtol=1e-6)
    shifted = np.float32(np.where(weights > 0, logits, 0) + 3)
    found = compiled(distribution_focal_loss)(shifted, distance)[0]
    np.testing.assert_allclose(found, compiled(distribution_focal_loss)(shifted - 3, distance)[0], rtol=1e-5)


def test_equal_boxes_cost_nothing_and_the_loss_grows_with_their_distance():
    boxes = np.float32([[0, 0, 1, 1]] * 4)
    found = jitted(giou_loss)(boxes, boxes + np.float32([[0], [1], [2], [90]]))
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    assert found[-1] < 2


@every_loss
def test_masked_rows_reach_neither_value_nor_gradient(loss, options, arrays, oracle):
    """Reductions are the caller's."""
    del oracle
    given, mask = drawn(arrays, 2), np.arange(ROWS) % 3 > 0

    def mean(*given, mask):
        values = loss(*given, **options)
        return masked_mean(values, jnp.broadcast_to(mask.reshape(mask.shape + (1,) * (values.ndim - 1)), values.shape))

    found, gradients = compiled(mean)(*given, mask=mask)
    np.testing.assert_allclose(found, np.mean(jitted(loss, **options)(*(one[mask] for one in given))), rtol=1e-5)
    np.testing.assert_array_equal(gradients[0][~mask], 0)
    found, gradients = compiled(mean)(*given, mask=np.zeros(ROWS, bool))
    assert found == 0
    assert not gradients[0].any()


@every_loss
def test_gradient_equals_finite_differences_and_none_reaches_the_targets(loss, options, arrays, oracle):
    run = compiled(loss, **options)
    with jax.enable_x64(True):
        given = drawn(arrays, 3, np.float64)
        found, gradients = run(*given)
        assert_equals_finite_differences(run, *given, rtol=1e-6, atol=1e-8, eps=1e-5)
    assert not any(gradient.any() for gradient in gradients[1:])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, oracle(*given, **options), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_large_logits_keep_their_cost_and_a_finite_gradient(beta):
    logits = np.float32([LARGE, -LARGE, LARGE, -LARGE, 25, -25])
    quality = np.float32([0, 1, 1, 0, 1, 0])
    found, (gradient, _) = compiled(quality_focal_loss, beta=beta)(logits, quality)
    np.testing.assert_allclose(found, exact_quality(logits, quality, beta=beta), rtol=1e-5)
    np.testing.assert_array_equal(gradient[:4], [1, -1, 0, 0])
    assert (found[4:] > 0).all() or beta > 2  # sigmoid(25) is rounded to 1, its error is not
    infinite = np.float32([np.inf, -np.inf, np.inf, -np.inf])
    assert compiled(quality_focal_loss, beta=beta)(infinite, quality[:4])[0].tolist() == [np.inf, np.inf, 0, 0]


def test_large_and_impossible_bins_keep_their_cost_and_a_finite_gradient():
    logits = np.zeros((3, BINS), np.float32)
    logits[0, 3], logits[1, 3], logits[2, :3] = LARGE, -LARGE, -np.inf
    distance = np.float32([7, 3, 5.5])
    found, (gradient, _) = compiled(distribution_focal_loss)(logits, distance)
    np.testing.assert_allclose(found, [LARGE, LARGE + np.log(BINS - 1), np.log(BINS - 3)], rtol=1e-6)
    assert np.isfinite(gradient).all()
    found, (gradient,) = compiled(expected_distance)(logits)
    np.testing.assert_allclose(found, [3, (136 - 3) / 16, np.mean(range(3, BINS))], rtol=1e-6)
    assert np.isfinite(gradient).all()


def test_boxes_without_area_have_a_finite_loss_and_gradient():
    predicted = np.float32([[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 4, 4], [3, 3, 1, 1]])
    target = np.float32([[1, 1, 1, 1], [0, 0, 4, 4], [2, 2, 2, 2], [0, 0, 4, 4]])
    found, (gradient, _) = compiled(giou_loss)(predicted, target)
    assert np.isfinite(found).all()
    assert np.isfinite(gradient).all()
    huge, (gradient, _) = compiled(giou_loss)(target * LARGE, target * LARGE + 1)
    assert np.isfinite(huge).all()
    assert np.isfinite(gradient).all()


@every_loss
def test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden(loss, options, arrays, oracle):
    narrow = tuple(one.astype(jnp.bfloat16) for one in drawn(arrays, 4))
    found = compiled(loss, **options)(*narrow)[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, oracle(*narrow, **options), rtol=1e-5, atol=1e-6)
    for broken in range(len(narrow)):
        given = [one.copy() for one in drawn(arrays, 4)]
        given[broken].reshape(ROWS, -1)[5] = np.nan
        missing = np.isnan(compiled(loss, **options)(*given)[0]).reshape(ROWS, -1).any(axis=1)
        assert np.flatnonzero(missing).tolist() == [5]


@every_loss
def test_transforms_and_eight_devices_change_nothing(loss, options, arrays, oracle):
    del oracle
    given, run = drawn(arrays, 5), functools.partial(loss, **options)
    expected = run(*map(jnp.asarray, given))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put(given, NamedSharding(mesh, PartitionSpec("data")))
    for sides in (given, placed):
        np.testing.assert_allclose(compiled(loss, **options)(*sides)[0], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(*given), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_and_options():
    logits, quality = map(jnp.asarray, drawn(scores, 6))
    with pytest.raises(ValueError, match=r"quality must have the shape of logits, got \(8,\) and \(8, 3\)\. It has an"):
        quality_focal_loss(logits, quality[:, 0])
    with pytest.raises(ValueError, match=r"beta must be 0 or more, got -1\.0\. It is an exponent"):
        quality_focal_loss(logits, quality, beta=-1.0)
    with pytest.raises(ValueError, match=r"one entry for each row of logits, shape \(8,\), got \(8, 3\)"):
        distribution_focal_loss(logits, quality)
    for refused in (expected_distance, lambda one: distribution_focal_loss(one, one[:, 0])):
        with pytest.raises(ValueError, match=r"two or more bins on their last axis, got shape \(8, 1\)"):
            refused(logits[:, :1])
    with pytest.raises(ValueError, match=r"second must have the shape of first, got \(2, 4\) and \(3, 4\)"):
        giou_loss(jnp.ones((3, 4)), jnp.ones((2, 4)))


@pytest.mark.slow
def test_equal_those_of_torch():
    """By the definitions, with the gradients that torch derives."""
    torch = pytest.importorskip("torch")
    nll = functools.partial(torch.nn.functional.cross_entropy, reduction="none")
    entropy = functools.partial(torch.nn.functional.binary_cross_entropy_with_logits, reduction="none")

    def distribution(logits, distance):
        distance = distance.clamp(0, BINS - 1.1)
        low = distance.long()
        return nll(logits, low) * (low + 1 - distance) + nll(logits, low + 1) * (distance - low)

    def overlap(one, other):
        start, end = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
        both = (end - start).clamp(min=0).prod(1)
        union = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - both
        around = torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])
        return 1 - both / union + (around.prod(1) - union) / around.prod(1)

    for loss, arrays, function in (
        (quality_focal_loss, scores, lambda z, q: (z.sigmoid() - q).abs() ** 2 * entropy(z, q)),
        (distribution_focal_loss, edges, distribution),
        (expected_distance, lambda seed: edges(seed)[:1], lambda z: z.softmax(1) @ torch.arange(float(BINS)).double()),
        (giou_loss, corners, overlap),
    ):
        given = drawn(arrays, 7)
        tensors = [torch.tensor(one, dtype=torch.float64) for one in given]
        tensors[0].requires_grad_()
        expected = function(*tensors)
        expected.sum().backward()
        found, gradients = compiled(loss)(*given)
        np.testing.assert_allclose(found, expected.detach(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradients[0], tensors[0].grad, rtol=1e-4, atol=1e-6)
