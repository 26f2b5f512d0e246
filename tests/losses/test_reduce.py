"""The reducer: subset = mask, nothing counted = 0, parts add up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.losses.reduce import masked_mean, masked_sum, mean_weights, reported


def case():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(4, 6)), jnp.float32), jnp.asarray(rng.random((4, 6)) < 0.5)


def test_the_mask_equals_the_subset():
    values, mask = case()
    np.testing.assert_allclose(masked_mean(values, mask), values[mask].mean(), rtol=1e-6)


def test_what_is_masked_may_be_nan_in_value_and_gradient():
    values, mask = case()
    spoilt = jnp.where(mask, values, jnp.nan)
    value, gradient = jax.value_and_grad(masked_mean)(spoilt, mask)
    np.testing.assert_allclose(value, masked_mean(values, mask), rtol=1e-6)
    np.testing.assert_allclose(gradient, mask / mask.sum(), rtol=1e-6)


def test_an_empty_mask_gives_zero_and_a_zero_gradient():
    values, _ = case()
    value, gradient = jax.value_and_grad(masked_mean)(values, jnp.zeros((4, 6), bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_weights_of_parts_make_the_mean_of_the_whole():
    values, mask = case()
    weights = [mean_weights(part, mask.sum()) for part in (mask[:1], mask[1:])]
    total = (weights[0] * values[:1]).sum() + (weights[1] * values[1:]).sum()
    np.testing.assert_allclose(total, masked_mean(values, mask), rtol=1e-6)
    np.testing.assert_array_equal(mean_weights(jnp.zeros((4, 6), bool), jnp.array(0)), 0)


def test_parts_add_up_to_the_whole():
    values, mask = case()
    parts = masked_sum(values[:1], mask[:1]) + masked_sum(values[1:], mask[1:])
    np.testing.assert_allclose(parts.value(), masked_mean(values, mask), rtol=1e-6)


def test_a_reported_mean_has_no_gradient():
    values, mask = case()
    np.testing.assert_array_equal(jax.grad(lambda values: reported(values, mask).total)(values), 0)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_another_shape():
    values, mask = case()
    with pytest.raises(ValueError, match=r"mask must have the shape of values, \(4, 6\), got \(4,\)"):
        masked_mean(values, mask[:, 0])
