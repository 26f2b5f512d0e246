"""The losses of two answers of which one is better."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads

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
from tests.losses.preference.cases import CASES, every_loss


def value(loss, chosen, rejected, **options):
    """Of one pair, in float64."""
    with jax.enable_x64(True):
        return float(loss(jnp.array(chosen), jnp.array(rejected), **options))


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
    assert value(loss, 0.0, 0.0, **options) == pytest.approx(at_start, abs=1e-6)
    assert value(loss, 2.0, -3.0, **options) == pytest.approx(apart, abs=1e-6)


def test_hand_values_of_means_over_tokens():
    # Of answers of 10 and 12 tokens.
    assert value(dpo_loss, 0.2, -0.25) == pytest.approx(0.670900, abs=1e-6)
    assert value(ipo_loss, 0.2, -0.25) == pytest.approx(20.7025, abs=1e-6)
    assert value(simpo_loss, -1.0, -2.0) == pytest.approx(np.log1p(np.exp(-1.25)), abs=1e-6)
    # Odds of 3 and of 1/3.
    expected = np.log(4 / 3) + 0.1 * np.log1p(1 / 9)
    assert value(orpo_loss, np.log(0.75), np.log(0.25)) == pytest.approx(expected, abs=1e-6)


@every_loss
def test_equals_float64_numpy(case):
    chosen, rejected = case.scores(1)
    exact = [np.asarray(one, np.float64) for one in (chosen, rejected)]
    expected = case.exact(*exact, **case.options)
    np.testing.assert_allclose(case.function(chosen, rejected, **case.options), expected, rtol=1e-5, atol=1e-6)
    probability = jnp.asarray(np.random.default_rng(2).uniform(size=chosen.shape), jnp.float32)
    p = np.asarray(probability, np.float64)
    expected = p * expected + (1 - p) * case.exact(*exact[::-1], **case.options)
    found = case.function(chosen, rejected, **case.options, probability=probability)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(case.made()(chosen, rejected, probability), found)
    with jax.enable_x64(True):
        wide = case.function(*(jnp.asarray(one) for one in exact), **case.options, probability=jnp.asarray(p))
        assert wide.dtype == jnp.float64
        np.testing.assert_allclose(wide, expected, rtol=1e-12, atol=1e-12)


@every_loss
def test_exchanged_answers_are_the_opposite_label_and_twice_is_none(case):
    chosen, rejected = case.scores(3)
    p = jnp.asarray(np.random.default_rng(4).uniform(size=chosen.shape), jnp.float32)
    here = case.function(chosen, rejected, **case.options, probability=p)
    np.testing.assert_allclose(
        case.function(rejected, chosen, **case.options, probability=1 - p), here, rtol=1e-5, atol=1e-6
    )
    certain = case.function(chosen, rejected, **case.options)
    np.testing.assert_array_equal(
        case.function(chosen, rejected, **case.options, probability=jnp.ones_like(p)), certain
    )
    np.testing.assert_array_equal(case.function(rejected, chosen, **case.options, probability=0.0), certain)


@every_loss
def test_a_better_pair_costs_less(case):
    chosen, rejected = case.scores(5)
    gradients = jax.grad(lambda *scores: jnp.sum(case.function(*scores, **case.options)), (0, 1))(chosen, rejected)
    assert not case.always_falls[0] or (gradients[0] <= 0).all()
    assert not case.always_falls[1] or (gradients[1] >= 0).all()
    if case.of_difference:
        np.testing.assert_allclose(gradients[0], -gradients[1], rtol=1e-6)
        moved = case.function(chosen + 3, rejected + 3, **case.options)
        np.testing.assert_allclose(moved, case.function(chosen, rejected, **case.options), rtol=1e-4, atol=1e-5)


def test_robust_is_unbiased_under_labels_turned_round_by_chance():
    chosen, rejected = CASES[0].scores(6)
    turned = 0.9 * robust_dpo_loss(chosen, rejected) + 0.1 * robust_dpo_loss(rejected, chosen)
    np.testing.assert_allclose(turned, dpo_loss(chosen, rejected), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        robust_dpo_loss(chosen, rejected, label_smoothing=0.0), dpo_loss(chosen, rejected), rtol=1e-6
    )


def test_simpo_without_a_margin_is_dpo_of_log_probs():
    chosen, rejected = CASES[-1].scores(7)
    np.testing.assert_array_equal(
        simpo_loss(chosen, rejected, beta=0.5, margin=0.0), dpo_loss(chosen, rejected, beta=0.5)
    )


def test_ipo_falls_up_to_its_margin_and_rises_beyond():
    chosen, rejected = CASES[0].scores(5)
    gradient = jax.grad(lambda chosen: jnp.sum(ipo_loss(chosen, rejected, beta=0.3)))(chosen)
    np.testing.assert_array_equal(np.sign(gradient), np.sign(chosen - rejected - 1 / 0.6))


@every_loss
def test_gradient_equals_finite_differences(case):
    with jax.enable_x64(True):
        scores = case.scores(8, dtype=jnp.float64)
        p = jnp.asarray(np.random.default_rng(9).uniform(size=scores[0].shape))

        def total(chosen, rejected):
            return jnp.sum(case.function(chosen, rejected, **case.options, probability=p))

        check_grads(jax.jit(total), scores, order=1, modes=["fwd", "rev"], rtol=1e-5)


def test_the_gradient_of_dpo_at_the_start_is_half_of_beta():
    gradient = jax.grad(lambda chosen, rejected: dpo_loss(chosen, rejected, beta=0.3), (0, 1))(
        jnp.array(0.0), jnp.array(0.0)
    )
    np.testing.assert_allclose(gradient, (-0.15, 0.15), rtol=1e-6)


@every_loss
def test_far_apart_stays_finite_in_value_and_gradient(case):
    ends = jnp.array([0.0, -1e-9, -1.0, -1e4] if not case.loss.reads_reference else [0.0, 1e4, -1e4, 1e-9])
    chosen, rejected = (one.ravel() for one in jnp.meshgrid(ends, ends))
    found, gradients = jax.value_and_grad(
        lambda *scores: jnp.sum(case.function(*scores, **case.options)), argnums=(0, 1)
    )(chosen, rejected)
    assert np.isfinite(found)
    assert all(np.isfinite(one).all() for one in gradients)


@every_loss
def test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden(case):
    chosen, rejected = case.scores(10, dtype=jnp.bfloat16)
    found = case.function(chosen, rejected, **case.options)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(
        found, case.function(chosen.astype(jnp.float32), rejected.astype(jnp.float32), **case.options)
    )
    assert np.isnan(case.function(chosen.at[0, 0].set(jnp.nan), rejected, **case.options)[0, 0])


@every_loss
def test_what_a_mask_leaves_out_does_not_matter(case):
    chosen, rejected = case.scores(11)
    mask = jnp.arange(24).reshape(4, 6) % 3 > 0

    def mean(chosen, filling):
        filled = jnp.where(mask, chosen, filling)
        return masked_mean(case.function(filled, rejected, **case.options), mask)

    expected, found = (jax.value_and_grad(mean)(chosen, filling) for filling in (-1.0, -7.0))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert masked_mean(case.function(chosen, rejected, **case.options), jnp.zeros_like(mask)) == 0


@every_loss
def test_transforms_and_eight_devices_change_nothing(case):
    chosen, rejected = case.scores(12, shape=(8, 6))

    def run(chosen, rejected):
        return case.function(chosen, rejected, **case.options, probability=0.8)

    expected = run(chosen, rejected)
    np.testing.assert_allclose(jax.jit(run)(chosen, rejected), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(run)(chosen, rejected), expected, rtol=1e-5, atol=1e-6)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = [jax.device_put(one, NamedSharding(mesh, PartitionSpec("data"))) for one in (chosen, rejected)]
    np.testing.assert_allclose(jax.jit(run)(*placed), expected, rtol=1e-5, atol=1e-6)


def test_options_out_of_their_range_are_refused(unchecked_shapes):
    chosen, rejected = CASES[0].scores(13)
    with pytest.raises(ValueError, match=r"rejected must have the shape of chosen, got \(6,\) and \(4, 6\)"):
        dpo_loss(chosen, rejected[0])
    with pytest.raises(ValueError, match=r"probability must have the shape of chosen, got \(6,\) and \(4, 6\)"):
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
