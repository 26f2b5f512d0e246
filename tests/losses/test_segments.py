"""Sums and means over the examples of packed rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd.losses.reduce import segment_reduce
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

IDS = np.tile([[1, 1, 2, 2, 2, 3], [1, 1, 1, 1, 0, 0], [1, 2, 2, 4, 4, 4], [0] * 6], (2, 1))
every_reduction = pytest.mark.parametrize("reduction", ["sum", "mean"])


def case(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.normal(size=IDS.shape).astype(np.float32).astype(dtype), (IDS > 0) & (rng.random(IDS.shape) < 0.7)


def reduced(values, mask, segment_ids=IDS, *, reduction, num_segments=4):
    """The values of segments, and their gradient."""
    run = compiled(segment_reduce, num_segments=num_segments, reduction=reduction)
    value, (gradient,) = run(values, mask=mask, segment_ids=segment_ids)
    return value, gradient


def exact(values, mask, reduction):
    found = np.zeros((8, 4))
    for row, segment in np.ndindex(8, 4):
        members = values[row][mask[row] & (IDS[row] == segment + 1)].astype(np.float64)
        found[row, segment] = members.sum() / (max(members.size, 1) if reduction == "mean" else 1)
    return found


def test_hand_values():
    values, mask, ids = np.float32([1, 3, 8, 5]), np.array([1, 1, 1, 0], bool), np.array([1, 1, 2, 2])
    assert jitted(segment_reduce, num_segments=3)(values, mask, ids).tolist() == [4.0, 8.0, 0.0]
    assert jitted(segment_reduce, num_segments=3, reduction="mean")(values, mask, ids).tolist() == [2.0, 8.0, 0.0]
    assert jitted(segment_reduce, num_segments=1)(values, mask, ids).tolist() == [4.0]


@every_reduction
def test_equals_float64_numpy(reduction):
    values, mask = case(1)
    found, _ = reduced(values, mask, reduction=reduction)
    np.testing.assert_allclose(found, exact(values, mask, reduction), rtol=1e-6, atol=1e-6)


@every_reduction
def test_packing_changes_nothing(reduction):
    values, mask = case(2)
    packed, _ = reduced(values, mask, reduction=reduction)
    for segment in range(1, 5):
        ones = np.ones_like(IDS)
        alone, _ = reduced(values, mask & (segment == IDS), ones, num_segments=1, reduction=reduction)
        np.testing.assert_array_equal(packed[:, segment - 1], alone[:, 0])


@every_reduction
def test_what_is_masked_may_be_nan_and_nothing_gives_zero(reduction):
    values, mask = case(3)

    def squares(values, *, mask, ids):
        return jnp.square(segment_reduce(values, mask, ids, num_segments=4, reduction=reduction))

    run = functools.partial(compiled(squares), ids=IDS)
    spoilt = np.where(mask, values, np.float32(np.nan))
    jax.tree.map(np.testing.assert_array_equal, run(spoilt, mask=mask), run(values, mask=mask))
    value, (gradient,) = run(spoilt, mask=np.zeros_like(mask))
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(gradient, 0)


@every_reduction
def test_gradient_equals_finite_differences(reduction):
    values, mask = case(4, np.float64)

    def run(values):
        value, gradient = reduced(values, mask, reduction=reduction)
        return value, (gradient,)

    with jax.enable_x64(True):
        assert_equals_finite_differences(run, values, rtol=1e-7, atol=1e-9, eps=1e-5)


def test_bfloat16_is_summed_in_float32_and_float64_is_kept():
    many, mask = np.ones(600, jnp.bfloat16), np.ones(600, bool)
    found = jitted(segment_reduce, num_segments=1)(many, mask, np.ones(600, int))
    assert (found.dtype, found[0]) == (np.float32, 600)
    with jax.enable_x64(True):
        assert reduced(*case(5, np.float64), reduction="sum")[0].dtype == np.float64


@every_reduction
def test_transforms_and_eight_devices_change_nothing(reduction):
    values, mask = case(6)
    run = functools.partial(segment_reduce, num_segments=4, reduction=reduction)
    expected = run(*map(jnp.asarray, (values, mask, IDS)))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put((values, mask, IDS), NamedSharding(mesh, PartitionSpec("data")))
    for found in (
        reduced(values, mask, reduction=reduction)[0],
        reduced(*placed, reduction=reduction)[0],
        jax.jit(jax.vmap(run))(values, mask, IDS),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    values, mask = case(7)
    with pytest.raises(ValueError, match=r"mask must have the shape of values, \(8, 6\), got \(6,\)\. Take"):
        segment_reduce(values, mask[0], IDS, num_segments=4)
    with pytest.raises(ValueError, match=r"num_segments must be 1 or more, got 0\."):
        segment_reduce(values, mask, IDS, num_segments=0)
    with pytest.raises(ValueError, match=r"reduction must be one of sum, mean, got 'max'"):
        segment_reduce(values, mask, IDS, num_segments=4, reduction="max")
