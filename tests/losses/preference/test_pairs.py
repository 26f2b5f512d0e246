"""The losses of two answers of which one is better."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd.losses import masked_mean
from jaxkd.losses.preference import (
    DPOLoss,
    HingeLoss,
    IPOLoss,
    SimPOLoss,
    apo_down_loss,
    apo_zero_loss,
    dpo_loss,
    hinge_loss,
    ipo_loss,
    orpo_loss,
    robust_dpo_loss,
    simpo_loss,
)
from tests.losses.compiled import assert_equals_finite_differences, compiled
from tests.losses.preference.cases import CASES, every_loss


def values(loss, chosen, rejected, **options):
    """Losses of some pairs, in float64."""
    with jax.enable_x64(True):
        return compiled(loss, **options)(np.array(chosen), np.array(rejected))[0]


def on_device(*arrays):
    return tuple(map(jnp.asarray, arrays))


def probabilities(seed, dtype=np.float32):
    return np.random.default_rng(seed).uniform(size=(8, 6)).astype(dtype)


# At equal policy and reference, and at log-ratios of 2 and -3 nats, with beta = 0.1.
PUBLISHED = [
    (dpo_loss, {}, 0.693147, 0.474077),
    (dpo_loss, {"probability": 0.9}, 0.693147, 0.524077),
    (dpo_loss, {"label_smoothing": 0.1}, 0.693147, 0.524077),
    (robust_dpo_loss, {}, 0.693147, 0.411577),
    (hinge_loss, {}, 1.0, 0.5),
    (ipo_loss, {}, 25.0, 0.0),
    (apo_zero_loss, {}, 1.0, 0.875723),
    (apo_down_loss, {}, 1.0, 0.927375),
]


@pytest.mark.parametrize(("loss", "options", "at_start", "apart"), PUBLISHED)
def test_hand_values(loss, options, at_start, apart):
    np.testing.assert_allclose(values(loss, [0.0, 2.0], [0.0, -3.0], **options), [at_start, apart], atol=1e-6)


def test_hand_values_of_means_over_tokens():
    # Of answers of 10 and 12 tokens.
    means = [0.2, 0.0], [-0.25, 0.0]
    np.testing.assert_allclose(values(dpo_loss, *means), [0.670900, np.log(2)], atol=1e-6)
    np.testing.assert_allclose(values(ipo_loss, *means), [20.7025, 25], atol=1e-6)
    margin = np.log1p(np.exp([-1.25, 1.25]))
    np.testing.assert_allclose(values(simpo_loss, [-1.0, -1.0], [-2.0, -1.0]), margin, atol=1e-6)
    # Odds of 3 and of 1/3.
    expected = np.log(4 / 3) + 0.1 * np.log1p(1 / 9)
    np.testing.assert_allclose(values(orpo_loss, [np.log(0.75)], [np.log(0.25)]), [expected], atol=1e-6)


@every_loss
def test_equals_float64_numpy(case):
    chosen, rejected = case.scores(1)
    exact = [one.astype(np.float64) for one in (chosen, rejected)]
    expected = case.exact(*exact, **case.options)
    np.testing.assert_allclose(case.compiled(chosen, rejected)[0], expected, rtol=1e-5, atol=1e-6)
    probability = probabilities(2)
    p = probability.astype(np.float64)
    expected = p * expected + (1 - p) * case.exact(*exact[::-1], **case.options)
    found, _ = case.compiled(chosen, rejected, probability=probability)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    arrays = on_device(chosen, rejected, probability)
    same = case.function(*arrays[:2], **case.options, probability=arrays[2])
    np.testing.assert_array_equal(case.made()(*arrays), same)
    with jax.enable_x64(True):
        wide, _ = case.compiled(*exact, probability=p)
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, expected, rtol=1e-12, atol=1e-12)


@every_loss
def test_exchanged_answers_are_the_opposite_label_and_twice_is_none(case):
    (chosen, rejected), p = case.scores(3), probabilities(4)
    here, _ = case.compiled(chosen, rejected, probability=p)
    there, _ = case.compiled(rejected, chosen, probability=1 - p)
    np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-6)
    chosen, rejected, ones = on_device(chosen, rejected, np.ones_like(p))
    certain = case.function(chosen, rejected, **case.options)
    np.testing.assert_array_equal(case.function(chosen, rejected, **case.options, probability=ones), certain)
    np.testing.assert_array_equal(case.function(rejected, chosen, **case.options, probability=0.0), certain)


@every_loss
def test_a_better_pair_costs_less(case):
    chosen, rejected = case.scores(5)
    value, gradients = case.compiled(chosen, rejected)
    assert not case.always_falls[0] or (gradients[0] <= 0).all()
    assert not case.always_falls[1] or (gradients[1] >= 0).all()
    if case.of_difference:
        np.testing.assert_allclose(gradients[0], -gradients[1], rtol=1e-6)
        np.testing.assert_allclose(case.compiled(chosen + 3, rejected + 3)[0], value, rtol=1e-4, atol=1e-5)


def test_robust_is_unbiased_under_labels_turned_round_by_chance():
    chosen, rejected = CASES[0].scores(6)
    robust, (plain, _) = compiled(robust_dpo_loss), compiled(dpo_loss)(chosen, rejected)
    turned = 0.9 * robust(chosen, rejected)[0] + 0.1 * robust(rejected, chosen)[0]
    np.testing.assert_allclose(turned, plain, rtol=1e-5, atol=1e-6)
    certain, _ = compiled(robust_dpo_loss, label_smoothing=0.0)(chosen, rejected)
    np.testing.assert_allclose(certain, plain, rtol=1e-6)


def test_simpo_without_a_margin_is_dpo_of_log_probs():
    scores = on_device(*CASES[-1].scores(7))
    np.testing.assert_array_equal(simpo_loss(*scores, beta=0.5, margin=0.0), dpo_loss(*scores, beta=0.5))


def test_ipo_falls_up_to_its_margin_and_rises_beyond():
    chosen, rejected = CASES[0].scores(5)
    _, (gradient, _) = compiled(ipo_loss, beta=0.3)(chosen, rejected)
    np.testing.assert_array_equal(np.sign(gradient), np.sign(chosen - rejected - 1 / 0.6))


@every_loss
def test_gradient_equals_finite_differences(case):
    scores, p = case.scores(8, dtype=np.float64), probabilities(9, np.float64)
    run = functools.partial(case.compiled, probability=p)
    with jax.enable_x64(True):
        for at in (0, 1):
            assert_equals_finite_differences(run, *scores, at=at, rtol=1e-6, atol=1e-8, eps=1e-5)


def test_the_gradient_of_dpo_at_the_start_is_half_of_beta():
    _, gradients = compiled(dpo_loss, beta=0.3)(np.float32(0), np.float32(0))
    np.testing.assert_allclose(gradients, (-0.15, 0.15), rtol=1e-6)


@every_loss
def test_far_apart_stays_finite_in_value_and_gradient(case):
    ends = [0.0, -1e-9, -1.0, -1e4] if not case.loss.reads_reference else [0.0, 1e4, -1e4, 1e-9]
    chosen, rejected = (np.resize(one, (8, 6)).astype(np.float32) for one in np.meshgrid(ends, ends))
    found, gradients = case.compiled(chosen, rejected)
    assert np.isfinite(found).all()
    assert all(np.isfinite(one).all() for one in gradients)


@every_loss
def test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden(case):
    chosen, rejected = case.scores(10, dtype=jnp.bfloat16)
    found, _ = case.compiled(chosen, rejected)
    assert found.dtype == np.float32
    exact = case.exact(chosen.astype(np.float64), rejected.astype(np.float64), **case.options)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
    chosen[0, 0] = np.nan
    assert np.isnan(case.compiled(chosen, rejected)[0][0, 0])


@every_loss
def test_what_a_mask_leaves_out_does_not_matter(case):
    chosen, rejected = case.scores(11)
    mask = np.arange(48).reshape(8, 6) % 3 > 0

    def mean(chosen, *, rejected, mask):
        return masked_mean(case.function(chosen, rejected, **case.options), mask)

    run = functools.partial(compiled(mean), rejected=rejected)
    expected, found = (run(np.where(mask, chosen, np.float32(filling)), mask=mask) for filling in (-1, -7))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert not found[1][0][~mask].any()
    nothing, _ = run(chosen, mask=np.zeros_like(mask))
    assert nothing == 0


@every_loss
def test_transforms_and_eight_devices_change_nothing(case):
    scores, p = case.scores(12), np.full((8, 6), 0.8, np.float32)
    expected = case.function(*on_device(*scores), **case.options, probability=0.8)

    def row(*arrays):
        chosen, rejected, probability = arrays
        return case.function(chosen, rejected, **case.options, probability=probability)

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    *placed, placed_p = jax.device_put((*scores, p), NamedSharding(mesh, PartitionSpec("data")))
    for found in (
        case.compiled(*scores, probability=p)[0],
        jax.jit(jax.vmap(row))(*scores, p),
        case.compiled(*placed, probability=placed_p)[0],
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_options_out_of_their_range_are_refused(unchecked_shapes):
    chosen, rejected = CASES[0].scores(13)
    with pytest.raises(ValueError, match=r"rejected must have the shape of chosen, got \(6,\) and \(8, 6\)"):
        dpo_loss(chosen, rejected[0])
    with pytest.raises(ValueError, match=r"probability must have the shape of chosen, got \(6,\) and \(8, 6\)"):
        dpo_loss(chosen, rejected, probability=rejected[0])
    with pytest.raises(ValueError, match=r"probability must be in \[0, 1\], got 1\.5"):
        dpo_loss(chosen, rejected, probability=1.5)
    with pytest.raises(ValueError, match=r"beta must be > 0 and finite, got 0\.0"):
        HingeLoss(beta=0.0)
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 0\.5\), got 0\.5"):
        DPOLoss(label_smoothing=0.5)
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 0\.5\), got 0\.7"):
        robust_dpo_loss(chosen, rejected, label_smoothing=0.7)
    with pytest.raises(ValueError, match=r"margin must be >= 0 and finite, got -1\.0"):
        SimPOLoss(margin=-1.0)
    with pytest.raises(ValueError, match=r"normalization must be one of sum, mean, got 'length'"):
        IPOLoss(normalization="length")
    with pytest.raises(TypeError, match="normalization"):
        IPOLoss()
