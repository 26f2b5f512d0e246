"""Batch and group normalisation against their formulas in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from jaxkd.vision.layers import BatchNorm, GroupNorm


def test_batch_norm_normalises_by_the_batch_and_moves_the_running_statistics():
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(3, 2, 4)).astype(np.float32)
    norm = BatchNorm(4)
    norm.scale[...], norm.bias[...] = jnp.arange(1.0, 5.0), jnp.arange(4.0)
    found = norm(jnp.asarray(x), train=True)
    mean, variance = x.mean((0, 1)), x.var((0, 1))
    expected = (x - mean) / np.sqrt(variance + 1e-5) * np.arange(1, 5) + np.arange(4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(norm.mean[...], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(norm.variance[...], 0.9 + 0.1 * variance * 6 / 5, rtol=1e-5)


def test_batch_norm_in_evaluation_uses_the_running_statistics_and_keeps_them():
    norm = BatchNorm(2)
    norm.mean[...], norm.variance[...] = jnp.array([1.0, 2.0]), jnp.array([4.0, 9.0])
    found = norm(jnp.array([[5.0, 5.0]]), train=False)
    np.testing.assert_allclose(found, [[2.0, 1.0]], rtol=1e-5)
    assert norm.mean[...].tolist() == [1.0, 2.0]


def test_batch_norm_refuses_a_batch_of_one_value_a_channel():
    with pytest.raises(ValueError, match=r"a batch must hold at least two values for each channel.*got 1: inputs of"):
        BatchNorm(2)(jnp.ones((1, 2)), train=True)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_equals_its_formula(groups):
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(2, 3, 5, 4))
    parts = x.reshape(2, 15, groups, 4 // groups)
    mean, variance = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
    scale, bias = np.arange(1, 5), np.arange(4)
    expected = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) * scale + bias
    with jax.enable_x64(True):
        norm = GroupNorm(4, groups)
        norm.scale[...], norm.bias[...] = jnp.asarray(scale, float), jnp.asarray(bias, float)
        np.testing.assert_allclose(norm(jnp.asarray(x)), expected, atol=1e-12)


def test_group_norm_has_the_gradient_of_its_formula():
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        definition, params = nnx.split(GroupNorm(4, 2))
        params = jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape)), nnx.to_pure_dict(params))
        x = jnp.asarray(generator.normal(2.0, 3.0, size=(2, 2, 3, 4)))

        def applied(params, x):
            return nnx.merge(definition, params)(x)

        check_grads(
            jax.jit(applied),
            (params, x),
            order=1,
            modes=["rev"],
            rtol=1e-6,
        )


def test_group_norm_needs_channels_that_fall_into_groups():
    with pytest.raises(ValueError, match=r"features must be a multiple of groups, got 6 and 4\."):
        GroupNorm(6, 4)
