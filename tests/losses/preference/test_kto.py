"""The loss of single answers, each desirable or not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd.losses import masked_mean
from jaxkd.losses.preference import kto_baseline, kto_loss
from tests.losses.compiled import assert_equals_finite_differences, compiled

OPTIONS = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.75}
SEVEN_TENTHS = np.float32(0.7)


def answers(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 5, (8, 6)).astype(dtype), rng.uniform(size=(8, 6)) < 0.5


def of_ratios(ratios, baseline, *, desirable, **options):
    return kto_loss(ratios, desirable, baseline, **options)


def loss(ratios, desirable, baseline, **options):
    """Its values, and its gradients to the ratios and to the baseline."""
    return compiled(of_ratios, **options)(ratios, baseline, desirable=desirable)


def baseline_of(ratios, mask):
    return compiled(kto_baseline)(ratios, mask=mask)


def exact(log_ratios, desirable, baseline):
    """Equation 8 as it stands, in float64."""
    x = 0.3 * (np.asarray(log_ratios, np.float64) - float(baseline))
    value = np.where(desirable, 1.5 / (1 + np.exp(-x)), 0.75 / (1 + np.exp(x)))
    return np.where(desirable, 1.5, 0.75) - value


def test_hand_values():
    ratios, desirable = np.float32([1, 1, 11]), np.array([True, False, True])
    found, _ = loss(ratios, desirable, np.float32(1), desirable_weight=2.0)
    np.testing.assert_allclose(found, [1.0, 0.5, 2 / (1 + np.e)], rtol=1e-6)
    assert baseline_of(np.float32([4, -1, 9]), np.array([True, True, False]))[0] == 1.5
    assert baseline_of(np.float32([-4, -1, 9]), np.array([True, True, False]))[0] == 0.0


def test_equals_float64_numpy():
    ratios, desirable = answers(1)
    mask = np.arange(48).reshape(8, 6) % 5 > 0
    baseline, _ = baseline_of(np.abs(ratios) - 1, mask)
    assert baseline == pytest.approx((np.abs(ratios) - 1)[mask].mean(dtype=float), rel=1e-5)
    expected = exact(ratios, desirable, baseline)
    np.testing.assert_allclose(loss(ratios, desirable, baseline, **OPTIONS)[0], expected, rtol=1e-5, atol=1e-6)
    with jax.enable_x64(True):
        wide, _ = loss(ratios.astype(np.float64), desirable, baseline.astype(np.float64), **OPTIONS)
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, expected, rtol=1e-12)


def test_the_two_sides_of_an_answer_share_its_weight():
    ratios, desirable = answers(2)
    value, (gradient, _) = loss(ratios, desirable, SEVEN_TENTHS)
    np.testing.assert_allclose(value + loss(ratios, ~desirable, SEVEN_TENTHS)[0], 1.0, rtol=1e-6)
    assert (np.sign(gradient) == np.where(desirable, -1, 1)).all()


def test_gradient_equals_finite_differences_and_none_reaches_the_baseline():
    ratios, desirable = answers(3, np.float64)
    run, baseline = functools.partial(compiled(of_ratios, **OPTIONS), desirable=desirable), np.float64(0.7)
    with jax.enable_x64(True):
        assert_equals_finite_differences(run, ratios, baseline, rtol=1e-6, atol=1e-9, eps=1e-5)
        _, (_, to_baseline) = run(ratios, baseline)
        found, (gradient,) = baseline_of(ratios, desirable)
    assert to_baseline == 0
    assert found.dtype == np.float64
    assert not gradient.any()


def test_what_is_masked_does_not_matter_and_nothing_gives_zero():
    ratios, desirable = answers(4)
    mask = np.arange(48).reshape(8, 6) % 3 > 0

    def mean(ratios, *, desirable, mask):
        return masked_mean(kto_loss(ratios, desirable, kto_baseline(ratios, mask)), mask)

    expected, found = (
        compiled(mean)(np.where(mask, ratios, np.float32(filling)), desirable=desirable, mask=mask)
        for filling in (0, 1e4)
    )
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert baseline_of(np.full((8, 6), np.nan, np.float32), np.zeros((8, 6), bool))[0] == 0


def test_far_away_stays_finite_and_bfloat16_is_computed_in_float32():
    ends = np.resize(np.float32([0, 1e4, -1e4, 1e-9]), (8, 6))
    value, (gradient, _) = loss(ends, np.arange(48).reshape(8, 6) % 3 > 0, np.float32(3))
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    ratios, desirable = answers(5, jnp.bfloat16)
    baseline, _ = baseline_of(ratios, desirable)
    found, _ = loss(ratios, desirable, baseline, **OPTIONS)
    assert found.dtype == baseline.dtype == np.float32
    np.testing.assert_allclose(found, exact(ratios, desirable, baseline), rtol=1e-5, atol=1e-6)
    ratios[0, 0] = np.nan
    assert np.isnan(loss(ratios, desirable, baseline, **OPTIONS)[0][0, 0])


def test_transforms_and_eight_devices_change_nothing():
    ratios, desirable = answers(6)
    baseline, point_four = baseline_of(ratios, desirable)[0], np.float32(0.4)
    eager = kto_loss(jnp.asarray(ratios), jnp.asarray(desirable), jnp.asarray(point_four), **OPTIONS)
    mapped = jax.jit(jax.vmap(functools.partial(kto_loss, **OPTIONS), (0, 0, None)))(ratios, desirable, point_four)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put((ratios, desirable), NamedSharding(mesh, PartitionSpec("data")))
    for arrays in ((ratios, desirable), placed):
        found, _ = loss(*arrays, point_four, **OPTIONS)
        for expected in (eager, mapped):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(baseline_of(*placed)[0], baseline, rtol=1e-5)


def test_other_shapes_and_options_are_refused(unchecked_shapes):
    ratios, desirable = answers(7)
    with pytest.raises(ValueError, match=r"desirable must have the shape of log_ratios, got \(6,\) and \(8, 6\)"):
        kto_loss(ratios, desirable[0], SEVEN_TENTHS)
    for name in OPTIONS:
        with pytest.raises(ValueError, match=f"{name} must be > 0 and finite, got -1.0"):
            kto_loss(ratios, desirable, SEVEN_TENTHS, **{**OPTIONS, name: -1.0})
