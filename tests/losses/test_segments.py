"""Sums and means over the examples of packed rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.losses.reduce import segment_reduce

IDS = jnp.array([[1, 1, 2, 2, 2, 3], [1, 1, 1, 1, 0, 0], [1, 2, 2, 4, 4, 4], [0] * 6])
every_reduction = pytest.mark.parametrize("reduction", ["sum", "mean"])


def case(seed=0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=IDS.shape), dtype), (IDS > 0) & jnp.asarray(rng.random(IDS.shape) < 0.7)


def exact(values, mask, reduction):
    found = np.zeros((4, 4))
    for row in range(4):
        for segment in range(1, 5):
            members = np.asarray(values, np.float64)[row][np.asarray(mask[row] & (IDS[row] == segment))]
            found[row, segment - 1] = members.sum() / (max(members.size, 1) if reduction == "mean" else 1)
    return found


def test_hand_values():
    values, mask, ids = jnp.array([1.0, 3.0, 8.0, 5.0]), jnp.array([1, 1, 1, 0], bool), jnp.array([1, 1, 2, 2])
    assert segment_reduce(values, mask, ids, num_segments=3).tolist() == [4.0, 8.0, 0.0]
    assert segment_reduce(values, mask, ids, num_segments=3, reduction="mean").tolist() == [2.0, 8.0, 0.0]
    assert segment_reduce(values, mask, ids, num_segments=1).tolist() == [4.0]


@every_reduction
def test_equals_float64_numpy(reduction):
    values, mask = case(1)
    found = segment_reduce(values, mask, IDS, num_segments=4, reduction=reduction)
    np.testing.assert_allclose(found, exact(values, mask, reduction), rtol=1e-6, atol=1e-6)


@every_reduction
def test_packing_changes_nothing(reduction):
    values, mask = case(2)
    packed = segment_reduce(values, mask, IDS, num_segments=4, reduction=reduction)
    for segment in range(1, 5):
        alone = segment_reduce(values, mask & (segment == IDS), jnp.ones_like(IDS), num_segments=1, reduction=reduction)
        np.testing.assert_array_equal(packed[:, segment - 1], alone[:, 0])


@every_reduction
def test_what_is_masked_may_be_nan_and_nothing_gives_zero(reduction):
    values, mask = case(3)

    def total(values, mask=mask):
        return jnp.sum(jnp.square(segment_reduce(values, mask, IDS, num_segments=4, reduction=reduction)))

    spoilt = jnp.where(mask, values, jnp.nan)
    for found, expected in zip(jax.value_and_grad(total)(spoilt), jax.value_and_grad(total)(values), strict=True):
        np.testing.assert_array_equal(found, expected)
    value, gradient = jax.value_and_grad(total)(spoilt, jnp.zeros_like(mask))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@every_reduction
def test_gradient_equals_finite_differences(reduction):
    with jax.enable_x64(True):
        values, mask = case(4, jnp.float64)
        check_grads(
            jax.jit(lambda values: segment_reduce(values, mask, IDS, num_segments=4, reduction=reduction)),
            (values,),
            order=1,
            modes=["fwd", "rev"],
        )


def test_bfloat16_is_summed_in_float32_and_float64_is_kept():
    many = jnp.ones(600, jnp.bfloat16)
    found = segment_reduce(many, jnp.ones(600, bool), jnp.ones(600, int), num_segments=1)
    assert (found.dtype, found[0]) == (jnp.float32, 600)
    with jax.enable_x64(True):
        assert segment_reduce(*case(5, jnp.float64), IDS, num_segments=4).dtype == jnp.float64


@every_reduction
def test_transforms_and_eight_devices_change_nothing(reduction):
    values, mask = (jnp.tile(one, (2, 1)) for one in case(6))
    ids = jnp.tile(IDS, (2, 1))

    def run(*arrays):
        return segment_reduce(*arrays, num_segments=4, reduction=reduction)

    expected = run(values, mask, ids)
    np.testing.assert_allclose(jax.jit(run)(values, mask, ids), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(run)(values, mask, ids), expected, rtol=1e-6, atol=1e-6)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put((values, mask, ids), NamedSharding(mesh, PartitionSpec("data")))
    np.testing.assert_allclose(jax.jit(run)(*placed), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    values, mask = case(7)
    with pytest.raises(ValueError, match=r"mask must have the shape of values, \(4, 6\), got \(6,\)\. Take"):
        segment_reduce(values, mask[0], IDS, num_segments=4)
    with pytest.raises(ValueError, match=r"num_segments must be 1 or more, got 0\."):
        segment_reduce(values, mask, IDS, num_segments=0)
    with pytest.raises(ValueError, match=r"reduction must be one of sum, mean, got 'max'"):
        segment_reduce(values, mask, IDS, num_segments=4, reduction="max")
