"""The loss of single answers, each desirable or not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.losses import masked_mean
from jaxkd.losses.preference import kto_baseline, kto_loss

OPTIONS = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.75}


def answers(seed=0, shape=(4, 6), dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(0, 5, shape), dtype), jnp.asarray(rng.uniform(size=shape) < 0.5)


def exact(log_ratios, desirable, baseline):
    """Equation 8 as it stands, in float64."""
    x = 0.3 * (np.asarray(log_ratios, np.float64) - float(baseline))
    value = np.where(desirable, 1.5 / (1 + np.exp(-x)), 0.75 / (1 + np.exp(x)))
    return np.where(desirable, 1.5, 0.75) - value


def test_hand_values():
    ratios, desirable = jnp.array([1.0, 1.0, 11.0]), jnp.array([True, False, True])
    found = kto_loss(ratios, desirable, jnp.array(1.0), desirable_weight=2.0)
    np.testing.assert_allclose(found, [1.0, 0.5, 2 / (1 + np.e)], rtol=1e-6)
    assert kto_baseline(jnp.array([4.0, -1.0, 9.0]), jnp.array([True, True, False])) == 1.5
    assert kto_baseline(jnp.array([-4.0, -1.0]), jnp.ones(2, bool)) == 0.0


def test_equals_float64_numpy():
    ratios, desirable = answers(1)
    mask = jnp.arange(24).reshape(4, 6) % 5 > 0
    baseline = kto_baseline(ratios, mask)
    assert baseline == pytest.approx(max(0.0, np.asarray(ratios, np.float64)[np.asarray(mask)].mean()), rel=1e-5)
    expected = exact(ratios, desirable, baseline)
    np.testing.assert_allclose(kto_loss(ratios, desirable, baseline, **OPTIONS), expected, rtol=1e-5, atol=1e-6)
    with jax.enable_x64(True):
        wide = kto_loss(jnp.asarray(ratios, jnp.float64), desirable, baseline, **OPTIONS)
        assert wide.dtype == jnp.float64
        np.testing.assert_allclose(wide, expected, rtol=1e-12)


def test_the_two_sides_of_an_answer_share_its_weight():
    ratios, desirable = answers(2)
    sides = [kto_loss(ratios, side, jnp.array(0.7)) for side in (desirable, ~desirable)]
    np.testing.assert_allclose(sum(sides), 1.0, rtol=1e-6)
    gradient = jax.grad(lambda ratios: jnp.sum(kto_loss(ratios, desirable, jnp.array(0.7))))(ratios)
    assert (np.sign(gradient) == np.where(desirable, -1, 1)).all()


def test_gradient_equals_finite_differences_and_none_reaches_the_baseline():
    with jax.enable_x64(True):
        ratios, desirable = answers(3, dtype=jnp.float64)

        baseline = jnp.array(0.7)

        def total(ratios, baseline):
            return jnp.sum(kto_loss(ratios, desirable, baseline, **OPTIONS))

        check_grads(
            jax.jit(lambda ratios: total(ratios, baseline)), (ratios,), order=1, modes=["fwd", "rev"], rtol=1e-6
        )
        assert jax.grad(total, 1)(ratios, baseline) == 0
        assert not jax.grad(kto_baseline)(ratios, desirable).any()
        assert total(ratios, baseline).dtype == kto_baseline(ratios, desirable).dtype == jnp.float64


def test_what_is_masked_does_not_matter_and_nothing_gives_zero():
    ratios, desirable = answers(4)
    mask = jnp.arange(24).reshape(4, 6) % 3 > 0

    def mean(ratios, filling):
        filled = jnp.where(mask, ratios, filling)
        return masked_mean(kto_loss(filled, desirable, kto_baseline(filled, mask)), mask)

    for expected, found in zip(
        jax.value_and_grad(mean)(ratios, 0.0), jax.value_and_grad(mean)(ratios, 1e4), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert kto_baseline(jnp.full((3,), jnp.nan), jnp.zeros(3, bool)) == 0


def test_far_away_stays_finite_and_bfloat16_is_computed_in_float32():
    ends = jnp.array([0.0, 1e4, -1e4, 1e-9])
    value, gradient = jax.value_and_grad(
        lambda ratios: jnp.sum(kto_loss(ratios, jnp.array([True, False, True, False]), jnp.array(3.0)))
    )(ends)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    ratios, desirable = answers(5, dtype=jnp.bfloat16)
    baseline = kto_baseline(ratios, desirable)
    found = kto_loss(ratios, desirable, baseline)
    assert found.dtype == baseline.dtype == jnp.float32
    np.testing.assert_array_equal(found, kto_loss(ratios.astype(jnp.float32), desirable, baseline))
    assert np.isnan(kto_loss(ratios.at[0, 0].set(jnp.nan), desirable, baseline)[0, 0])


def test_transforms_and_eight_devices_change_nothing():
    ratios, desirable = answers(6, shape=(8, 6))

    def run(ratios, desirable):
        return kto_loss(ratios, desirable, jnp.array(0.4), **OPTIONS)

    expected, baseline = run(ratios, desirable), kto_baseline(ratios, desirable)
    np.testing.assert_allclose(jax.jit(run)(ratios, desirable), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(run)(ratios, desirable), expected, rtol=1e-5, atol=1e-6)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = [jax.device_put(one, NamedSharding(mesh, PartitionSpec("data"))) for one in (ratios, desirable)]
    np.testing.assert_allclose(jax.jit(run)(*placed), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.jit(kto_baseline)(*placed), baseline, rtol=1e-5)


def test_other_shapes_and_options_are_refused(unchecked_shapes):
    ratios, desirable = answers(7)
    with pytest.raises(ValueError, match=r"desirable must have the shape of log_ratios, got \(6,\) and \(4, 6\)"):
        kto_loss(ratios, desirable[0], jnp.array(0.0))
    for name in OPTIONS:
        with pytest.raises(ValueError, match=f"{name} must be > 0 and finite, got -1.0"):
            kto_loss(ratios, desirable, jnp.array(0.0), **{**OPTIONS, name: -1.0})
