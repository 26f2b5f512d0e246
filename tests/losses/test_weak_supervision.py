"""Weak supervision by classes and boxes: hand value, stop-gradients, oracle, numerics, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.special import expit

from jaxkd.losses import binary_cross_entropy, masked_mean, weak_supervision_loss
from tests.losses.compiled import assert_equals_finite_differences, compiled

CLASSES, LEVEL = (8, 3), (8, 2, 4, 3)
LARGE = np.float32(1e4)


def both_terms(*arrays, **options):
    """Terms of the masks and of the classes, [2, b]."""
    loss = weak_supervision_loss(*arrays, **options)
    return jnp.stack([loss.mask_loss, loss.class_loss])


terms = compiled(both_terms)


def entropy(z, t):
    return t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)


def exact(class_logits, mask_logits, labels, masks, score_logits, *, label_share=0.9):
    """By definition, image by image in float64."""
    values = []
    for z, m, y, g, c in zip(class_logits, mask_logits, labels, masks, score_logits, strict=True):
        z, m, y, g, c = (np.asarray(one, np.float64) for one in (z, m, y, g, c))
        p = expit(m)
        dice = 1 - 2 * (p * g).sum() / ((p**2).sum() + 1e-3 + (g**2).sum() + 1e-3)
        mutual = [
            entropy(one, label_share * y + (1 - label_share) * expit(other)).mean() for one, other in ((z, c), (c, z))
        ]
        values.append([(entropy(m, g).mean() + dice) / 2, sum(mutual) / 2])
    return np.array(values).T


def arrays(seed, dtype=np.float32):
    """Class logits, mask logits, labels, masks and score logits."""
    rng = np.random.default_rng(seed)
    logits = [3 * rng.normal(size=shape) for shape in (CLASSES, LEVEL, CLASSES)]
    labels, masks = rng.random(CLASSES) < 0.5, rng.random(LEVEL) < 0.4
    masks[2] = False
    parts = (logits[0], logits[1], labels, masks, logits[2])
    return tuple(np.asarray(one, np.float32).astype(dtype) for one in parts)


def test_hand_values():
    """Undecided logits cost log 2 everywhere, and Dice is 1 - n / (5 n / 4 + 0.002) where all n entries are masked."""
    zeros, ones = np.zeros(CLASSES, np.float32), np.ones(CLASSES, np.float32)
    masks = np.ones(LEVEL, np.float32)
    masks[1] = 0
    found, _ = terms(zeros, np.zeros(LEVEL, np.float32), ones, masks, zeros)
    expected = (np.log(2) + 1 - 24 / (30 + 0.002)) / 2
    np.testing.assert_allclose(found[0], [expected, (np.log(2) + 1) / 2, *[expected] * 6], rtol=1e-6)
    np.testing.assert_allclose(found[1], np.log(2), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"label_share": 0.25}], ids=["", "other share"])
def test_equals_float64_numpy(options):
    given = arrays(0)
    np.testing.assert_allclose(compiled(both_terms, **options)(*given)[0], exact(*given, **options), rtol=2e-6)


def test_both_sides_learn_classes_from_one_another_and_swap():
    z, m, y, g, c = arrays(1)
    found, _ = terms(z, m, y, g, c)
    np.testing.assert_allclose(terms(c, m, y, g, z)[0], found, rtol=1e-6)
    # Where both agree, the cost of a side is the cross entropy with a softened label.
    same, _ = terms(z, m, y, g, z)
    soft = jnp.asarray(0.9 * y + 0.1 * expit(z), jnp.float32)
    np.testing.assert_allclose(same[1], binary_cross_entropy(jnp.asarray(z), soft).mean(1), rtol=1e-5)


def test_gradients_are_stopped_exactly_at_the_soft_labels_and_at_labels_and_masks():
    z, m, y, g, c = arrays(2)
    _, (to_z, to_m, to_y, to_g, to_c) = terms(z, m, y, g, c)
    # With the other side's probabilities as constants, each has the gradient of one cross entropy.
    np.testing.assert_allclose(to_z, (expit(z) - 0.9 * y - 0.1 * expit(c)) / 2 / 3, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(to_c, (expit(c) - 0.9 * y - 0.1 * expit(z)) / 2 / 3, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(to_y, 0)
    np.testing.assert_array_equal(to_g, 0)
    assert (to_m != 0).all()


def test_the_gradient_of_the_masks_equals_finite_differences():
    with jax.enable_x64(True):
        given = arrays(3, np.float64)
        found, gradients = terms(*given)
        assert_equals_finite_differences(terms, *given, at=1, rtol=1e-7, atol=1e-9, eps=1e-5)
    assert found.dtype == gradients[0].dtype == np.float64
    np.testing.assert_allclose(found, exact(*given), rtol=1e-12)


def test_a_batch_is_averaged_over_the_images_that_count():
    given, kept = arrays(4), np.arange(8) % 3 > 0

    def mean(*given, kept):
        return masked_mean(both_terms(*given).sum(0), kept)

    broken = [np.where(kept.reshape(-1, *[1] * (one.ndim - 1)), one, np.float32(np.nan)) for one in given]
    found, _ = compiled(mean)(*broken, kept=kept)
    np.testing.assert_allclose(found, exact(*given).sum(0)[kept].mean(), rtol=2e-6)


def test_an_image_without_boxes_learns_from_the_cross_entropy_alone():
    z, m, y, g, c = arrays(5)
    _, (_, gradient, *_) = terms(z, m, y, g, c)
    np.testing.assert_allclose(gradient[2], expit(m[2]) / 2 / 24, rtol=1e-5)


def test_large_logits_stay_exact_and_their_gradient_useful():
    _, _, y, g, _ = arrays(6)
    given = (np.where(y > 0, -LARGE, LARGE), np.where(g > 0, -LARGE, LARGE), y, g, np.where(y > 0, LARGE, -LARGE))
    found, gradients = terms(*given)
    np.testing.assert_allclose(found, exact(*given), rtol=1e-6)
    assert (np.abs(gradients[0]) > 0.1).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden():
    given = arrays(7, jnp.bfloat16)
    found, _ = terms(*given)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact(*(one.astype(np.float32) for one in given)), rtol=2e-6)
    for place, is_broken in enumerate(([0, 1], [1, 0], [0, 1], [1, 0], [0, 1])):
        given = arrays(8)
        given[place][1].flat[0] = np.nan
        found = terms(*given)[0]
        assert np.isnan(found[:, 1]).tolist() == [bool(one) for one in is_broken]
        assert np.isfinite(np.delete(found, 1, axis=1)).all()


def test_transforms_and_eight_devices_change_nothing():
    given = arrays(9)
    expected = both_terms(*map(jnp.asarray, given))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put(given, NamedSharding(mesh, PartitionSpec("data")))
    for sides in (given, placed):
        np.testing.assert_allclose(terms(*sides)[0], expected, rtol=1e-6)
    batches = [np.stack([one, one[::-1]]) for one in given]
    found = jax.jit(jax.vmap(both_terms))(*batches)
    np.testing.assert_allclose(found, [expected, expected[:, ::-1]], rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_and_shares():
    z, m, y, g, c = map(jnp.asarray, arrays(10))
    message = (
        r"\[images, classes\] of one shape, got \(8, 3\), \(8, 3\) and \(8, 2\)\. Scores of further prompts are cut"
    )
    with pytest.raises(ValueError, match=message):
        weak_supervision_loss(z, m, y, g, c[:, :2])
    for wrong, masks in ((m, g[:, :1]), (m[..., :2], g[..., :2]), (m[:4], g[:4]), (m[0], g[0])):
        with pytest.raises(
            ValueError, match=r"\[images, height, width, classes\] of one shape, with the images and .*Resize"
        ):
            weak_supervision_loss(z, wrong, y, masks, c)
    for share in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=rf"label_share must be in \[0, 1\], got {share}\. The rest of a target"):
            weak_supervision_loss(z, m, y, g, c, label_share=share)


@pytest.mark.slow
def test_equals_that_of_torch():
    torch = pytest.importorskip("torch")
    given = arrays(11, np.float64)
    z, m, y, g, c = (torch.from_numpy(one) for one in given)
    z, m, c = (one.clone().requires_grad_() for one in (z, m, c))
    nats = torch.nn.functional.binary_cross_entropy_with_logits
    p, dims = torch.sigmoid(m), (1, 2, 3)
    dice = 1 - 2 * (p * g).sum(dims) / ((p**2).sum(dims) + 1e-3 + (g**2).sum(dims) + 1e-3)
    expected = 0.5 * (nats(m, g) + dice.mean())
    for one, other in ((z, c), (c, z)):
        expected = expected + 0.5 * nats(one, 0.9 * y + 0.1 * torch.sigmoid(other).detach())
    expected.backward()
    with jax.enable_x64(True):
        found, gradients = terms(*given)
    np.testing.assert_allclose(found.sum(0).mean(), expected.item(), rtol=1e-9)
    for place, side in ((0, z), (1, m), (4, c)):
        np.testing.assert_allclose(gradients[place] / 8, side.grad, rtol=1e-9, atol=1e-12)
