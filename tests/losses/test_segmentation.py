"""Dice and its sum with the cross entropy; the cross entropy over one class, which is no loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.special import expit, logit

from jaxkd.losses import bce_dice_loss, binary_cross_entropy, cross_entropy, dice_loss, masked_mean
from jaxkd.metrics import binary_segmentation_metrics
from tests.losses.compiled import assert_equals_finite_differences, compiled

SHAPE = (8, 3, 4)
MASK = np.random.default_rng(0).random(SHAPE) < 0.6
LARGE = 1e4


def exact_dice(logits, targets, *, smooth=1e-5, squared=False, mask=None):
    """By definition, image by image in float64."""
    power, values = 2 if squared else 1, []
    for z, t, counted in zip(logits, targets, np.ones(SHAPE, bool) if mask is None else mask, strict=True):
        p, t = expit(np.asarray(z, np.float64))[counted], np.asarray(t, np.float64)[counted]
        values.append(1 - (2 * np.sum(p * t) + smooth) / (np.sum(p**power) + np.sum(t**power) + smooth))
    return np.array(values)


def exact_bce_dice(logits, targets, *, bce_weight=0.4, dice_weight=0.6, mask=None, **options):
    """By definition, image by image in float64."""
    z, t = (np.asarray(one, np.float64) for one in (logits, targets))
    counted = np.ones(SHAPE, bool) if mask is None else mask
    nats = t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)
    mean = [np.mean(one[kept]) for one, kept in zip(nats, counted, strict=True)]
    return bce_weight * np.array(mean) + dice_weight * exact_dice(logits, targets, mask=mask, **options)


CASES = {
    "dice_loss": (dice_loss, exact_dice, {}),
    "dice_loss, squared": (dice_loss, exact_dice, {"squared": True, "smooth": 1.0}),
    "bce_dice_loss": (bce_dice_loss, exact_bce_dice, {"bce_weight": 0.7, "dice_weight": 0.2}),
}
every_loss = pytest.mark.parametrize(("loss", "oracle", "options"), CASES.values(), ids=CASES)


def images(seed, dtype=np.float32):
    """Logits, and shares of the foreground with both ends among them."""
    rng = np.random.default_rng(seed)
    logits, shares = rng.normal(size=SHAPE) * 3, rng.uniform(-0.5, 1.5, SHAPE).clip(0, 1)
    return tuple(one.astype(np.float32).astype(dtype) for one in (logits, shares))


def value(loss, *arrays, mask=None, **options):
    return compiled(loss, **options)(*arrays, **({} if mask is None else {"mask": mask}))[0]


def test_hand_values():
    logits = jnp.array([[[0.0, np.log(3), -LARGE]], [[0.0, 0.0, 0.0]]])  # 1/2, 3/4, 0
    targets = jnp.array([[[0, 1, 0]], [[0, 0, 0]]])
    found = dice_loss(logits, targets, smooth=0.25)
    np.testing.assert_allclose(found, [1 - (1.5 + 0.25) / (1.25 + 1 + 0.25), 1 - 0.25 / 1.75], rtol=1e-6)
    found = dice_loss(logits, targets, smooth=0.25, squared=True)
    np.testing.assert_allclose(found, [1 - 1.75 / (0.8125 + 1 + 0.25), 1 - 0.25 / (0.75 + 0.25)], rtol=1e-6)
    nats = [(np.log(2) - np.log(0.75)) / 3, np.log(2)]
    dice = dice_loss(logits, targets)
    np.testing.assert_allclose(bce_dice_loss(logits, targets), 0.4 * np.array(nats) + 0.6 * dice, rtol=1e-6)


@every_loss
@pytest.mark.parametrize("mask", [None, MASK], ids=["", "masked"])
def test_equals_float64_numpy(loss, oracle, options, mask):
    arrays = images(1)
    found = value(loss, *arrays, mask=mask, **options)
    np.testing.assert_allclose(found, oracle(*arrays, mask=mask, **options), rtol=2e-6)


def test_hard_masks_cost_one_less_the_dice_coefficient():
    rng = np.random.default_rng(2)
    predicted, target = rng.random(SHAPE) < 0.5, rng.random(SHAPE) < 0.5
    predicted[:3], target[1:4] = False, False  # one empty side, both, the other
    expected = 1 - binary_segmentation_metrics(predicted, target).per_image.dice
    assert expected[[1, 2]].tolist() == [0, 0]
    logits = jnp.asarray(np.where(predicted, LARGE, -LARGE), np.float32)
    for squared in (False, True):
        for kind in (np.bool_, np.uint8, np.float32):
            found = dice_loss(logits, jnp.asarray(target, kind), smooth=1e-12, squared=squared)
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("squared", [False, True])
def test_dice_compares_both_sides_alike_and_neither_order_nor_other_images_count(squared):
    logits, targets = images(3)
    targets = targets * 0.98 + 0.01
    found = value(dice_loss, logits, targets, squared=squared)
    swapped = value(dice_loss, np.float32(logit(np.float64(targets))), np.float32(expit(logits)), squared=squared)
    np.testing.assert_allclose(swapped, found, rtol=1e-5)
    reordered = [one[::-1, ::-1, ::-1] for one in (logits, targets)]
    np.testing.assert_allclose(value(dice_loss, *reordered, squared=squared)[::-1], found, rtol=1e-6)
    assert (found > 0).all()
    assert (found < 1).all()


def test_the_sum_is_that_of_its_parts():
    logits, targets = images(4)
    dice = value(dice_loss, logits, targets)
    nats = compiled(binary_cross_entropy)(logits, targets)[0].mean(axis=(1, 2))
    np.testing.assert_allclose(value(bce_dice_loss, logits, targets), 0.4 * nats + 0.6 * dice, rtol=1e-6)
    # The loss that the published code minimises.
    np.testing.assert_allclose(value(bce_dice_loss, logits, targets, bce_weight=0.0), 0.6 * dice, rtol=1e-6)
    np.testing.assert_allclose(value(bce_dice_loss, logits, targets, bce_weight=1.0, dice_weight=0.0), nats, rtol=1e-6)


@pytest.mark.parametrize(
    "one_class",
    [
        lambda maps, targets: optax.softmax_cross_entropy(maps[..., None], targets[..., None]),
        lambda maps, targets: -targets * jax.nn.log_softmax(maps[..., None], axis=-1)[..., 0],
        lambda maps, targets: cross_entropy(maps[..., None], jnp.zeros(targets.shape, int)),
    ],
    ids=["optax", "jax", "jaxkd"],
)
def test_cross_entropy_over_one_class_is_no_loss_and_ours_is_one(one_class):
    logits, targets = images(5)
    for maps in (logits, expit(logits)):  # the published code gives it probabilities
        found, (gradient, _) = compiled(one_class)(maps, targets)
        np.testing.assert_array_equal(found, 0)
        np.testing.assert_array_equal(gradient, 0)
    found, (gradient, _) = compiled(binary_cross_entropy)(logits, targets)
    assert (found > 0).all()
    assert (gradient != 0).all()


@every_loss
@pytest.mark.parametrize("junk", [LARGE, np.nan])
def test_masked_pixels_are_as_if_cut_off(loss, oracle, options, junk):
    del oracle
    logits, targets = images(6)
    mask = np.zeros(SHAPE, bool)
    mask[:, :2, 1:] = True
    cut = loss(jnp.asarray(logits[:, :2, 1:]), jnp.asarray(targets[:, :2, 1:]), **options)
    padded = [np.where(mask, one, np.float32(junk)) for one in (logits, targets)]
    found, (gradient, _) = compiled(loss, **options)(*padded, mask=mask)
    np.testing.assert_allclose(found, cut, rtol=2e-6)
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert np.isfinite(gradient).all()
    assert (gradient[mask] != 0).all()


@every_loss
def test_images_without_pixels_cost_nothing(loss, oracle, options):
    del oracle
    logits, targets = images(7)
    mask = MASK.copy()
    mask[3] = False
    logits[3] = np.nan
    found, (gradient, _) = compiled(loss, **options)(logits, targets, mask=mask)
    assert found[3] == 0
    assert (np.delete(found, 3) > 0).all()
    np.testing.assert_array_equal(gradient[3], 0)
    assert np.isfinite(gradient).all()


@every_loss
def test_a_batch_is_averaged_over_the_images_that_count(loss, oracle, options):
    logits, targets = images(8)
    kept = np.arange(len(logits)) % 3 > 0

    def mean(logits, targets, *, kept):
        return masked_mean(loss(logits, targets, **options), kept)

    found, (gradient, _) = compiled(mean)(logits, targets, kept=kept)
    np.testing.assert_allclose(found, oracle(logits, targets, **options)[kept].mean(), rtol=2e-6)
    np.testing.assert_array_equal(gradient[~kept], 0)


@every_loss
def test_gradient_equals_finite_differences_and_none_reaches_the_targets(loss, oracle, options):
    run = functools.partial(compiled(loss, **options), mask=MASK)
    with jax.enable_x64(True):
        arrays = images(9, np.float64)
        found, (gradient, to_targets) = run(*arrays)
        assert_equals_finite_differences(run, *arrays, rtol=1e-7, atol=1e-10, eps=1e-5)
    assert not to_targets.any()
    assert found.dtype == gradient.dtype == np.float64
    np.testing.assert_allclose(found, oracle(*arrays, mask=MASK, **options), rtol=1e-12)


def test_the_gradient_of_dice_vanishes_at_certain_errors_and_that_of_the_sum_does_not():
    targets = np.float32(np.random.default_rng(10).random(SHAPE) < 0.5)
    wrong = np.where(targets > 0, -LARGE, LARGE).astype(np.float32)
    for squared in (False, True):
        found, (gradient, _) = compiled(dice_loss, squared=squared)(wrong, targets)
        np.testing.assert_allclose(found, 1, rtol=1e-5)
        np.testing.assert_array_equal(gradient, 0)
    found, (gradient, _) = compiled(bce_dice_loss)(wrong, targets)
    np.testing.assert_allclose(found, 0.4 * LARGE + 0.6, rtol=1e-6)
    np.testing.assert_allclose(gradient, 0.4 / 12 * np.sign(wrong), rtol=1e-5)
    right, (gradient, _) = compiled(bce_dice_loss)(-wrong, targets)
    np.testing.assert_array_equal(right, 0)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("squared", [False, True])
def test_small_losses_keep_their_digits(squared):
    targets = np.float32(np.random.default_rng(11).random(SHAPE) < 0.5)
    logits = np.where(targets > 0, 20, -18).astype(np.float32)
    with jax.enable_x64(True):
        exact = value(dice_loss, logits.astype(np.float64), targets.astype(np.float64), squared=squared)
    found = value(dice_loss, logits, targets, squared=squared)
    assert (found < 1e-7).all()  # a rounding unit of 1
    np.testing.assert_allclose(found, exact, rtol=1e-5)


@every_loss
def test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden(loss, oracle, options):
    logits, targets = (one.astype(jnp.bfloat16) for one in images(12))
    found = value(loss, logits, targets, **options)
    assert found.dtype == np.float32
    wide = [np.asarray(one, np.float32) for one in (logits, targets)]
    np.testing.assert_allclose(found, oracle(*wide, **options), rtol=2e-6)
    for broken in (0, 1):
        arrays = images(13)
        arrays[broken][2, 1, 1] = np.nan
        assert np.isnan(value(loss, *arrays, **options)).tolist() == [image == 2 for image in range(8)]


@every_loss
def test_transforms_and_eight_devices_change_nothing(loss, oracle, options):
    del oracle
    arrays = images(14)
    run = functools.partial(loss, **options)
    expected = run(*map(jnp.asarray, arrays))
    _, (gradient, _) = compiled(loss, **options)(*arrays)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("data")))
    for sides in (arrays, placed):
        found, (found_gradient, _) = compiled(loss, **options)(*sides)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_allclose(found_gradient, gradient, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(*arrays), expected, rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
@every_loss
def test_refuses_other_shapes_and_options(loss, oracle, options):
    del oracle, options
    logits, targets = map(jnp.asarray, images(15))
    message = (
        r"\[\*images, height, width\] of one shape, got \(8, 3, 4\) and \(8, 3, 4, 1\).*A single channel is squeezed"
    )
    with pytest.raises(ValueError, match=message):
        loss(logits, targets[..., None])
    with pytest.raises(ValueError, match=r"\[\*images, height, width\] of one shape, got \(4,\) and \(4,\)"):
        loss(logits[0, 0], targets[0, 0])
    with pytest.raises(ValueError, match=r"mask must have an entry for each pixel, shape \(8, 3, 4\), got \(8, 3\)"):
        loss(logits, targets, mask=jnp.ones((8, 3), bool))
    for smooth in (0.0, np.nan):
        with pytest.raises(ValueError, match=rf"smooth must be > 0, got {smooth}\. Without it an image"):
            loss(logits, targets, smooth=smooth)
    for name in ("bce_weight", "dice_weight"):
        with pytest.raises(ValueError, match=rf"{name} must be 0 or more, got -0\.1\. Both losses are minimised"):
            bce_dice_loss(logits, targets, **{name: -0.1})


@pytest.mark.slow
def test_equal_those_of_torch():
    """The losses by definition, with gradients by torch; and the published code's cross entropy over one class."""
    torch = pytest.importorskip("torch")
    logits, targets = images(16)

    def with_gradient(function):
        z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
        found = function(z, torch.tensor(targets, dtype=torch.float64))
        found.sum().backward()
        return found.detach().numpy(), z.grad.numpy()

    def dice(z, t, power):
        p = torch.sigmoid(z)
        sizes = (p**power).sum((1, 2)) + (t**power).sum((1, 2))
        return 1 - (2 * (p * t).sum((1, 2)) + 1e-5) / (sizes + 1e-5)

    def both(z, t):
        nats = torch.nn.BCEWithLogitsLoss(reduction="none")(z, t)
        return 0.4 * nats.mean((1, 2)) + 0.6 * dice(z, t, 1)

    for loss, options, function in (
        (dice_loss, {}, functools.partial(dice, power=1)),
        (dice_loss, {"squared": True}, functools.partial(dice, power=2)),
        (bce_dice_loss, {}, both),
    ):
        expected, expected_gradient = with_gradient(function)
        found, (gradient, _) = compiled(loss, **options)(logits, targets)
        np.testing.assert_allclose(found, expected, rtol=2e-6)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-7)
    published = torch.nn.CrossEntropyLoss()
    found, gradient = with_gradient(lambda z, t: published(torch.sigmoid(z)[:, None], t[:, None]))
    assert found == 0
    assert not gradient.any()
