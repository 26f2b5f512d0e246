"""The reducer: subset = mask, nothing counted = 0, parts add up, packed = unpacked."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.losses.reduce import (
    example_count,
    example_mean_weights,
    masked_mean,
    masked_sum,
    mean_weights,
    reported,
    sequence_count,
    sequence_mean_weights,
)

# Rows of four, two, one and no examples; example 5 is interrupted by a masked position, and 9 is masked as a whole.
IDS = jnp.array([[2, 2, 7, 5, 5, 0], [4, 4, 4, 3, 3, 3], [5, 5, 5, 5, 9, 9], [-1] * 6])
MASK = jnp.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 0], [1, 0, 1, 1, 0, 0], [0] * 6], bool)
EXAMPLES = [(0, 2), (0, 7), (0, 5), (0, 0), (1, 4), (1, 3), (2, 5)]
"""Row and id of each example that has a token."""
IMPORTANCE = np.array([0.1, 0.02, 0.0, 0.3, 0.05, 0.1, 0.2])


def case():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(4, 6)), jnp.float32), jnp.asarray(rng.random((4, 6)) < 0.5)


def example_weights():
    """The importance of each position's example, NaN where there is none."""
    weights = np.full((4, 6), np.nan, np.float32)
    for (row, identity), importance in zip(EXAMPLES, IMPORTANCE, strict=True):
        weights[row, np.asarray(IDS[row]) == identity] = importance
    return jnp.asarray(weights)


SEQUENCE_WEIGHTS = jnp.array([0.1, 0.0, 0.3, jnp.nan])

KINDS = {
    "tokens": (lambda mask, ids, count: mean_weights(mask, count), lambda mask, ids: mask.sum()),
    "sequences": (lambda mask, ids, count: sequence_mean_weights(mask, count), lambda mask, ids: sequence_count(mask)),
    "examples": (example_mean_weights, example_count),
}
every_kind = pytest.mark.parametrize(("weights", "count"), KINDS.values(), ids=KINDS)


def weighted_mean(values, importance):
    return (np.asarray(values, np.float64) * importance).sum() / np.sum(importance)


def example_means(values):
    values, mask, ids = (np.asarray(array) for array in (values, MASK, IDS))
    return [values[row][mask[row] & (ids[row] == identity)].astype(np.float64).mean() for row, identity in EXAMPLES]


def sequence_means(values):
    values, mask = np.asarray(values, np.float64), np.asarray(MASK)
    return [values[row][mask[row]].mean() for row in range(3)]


def test_hand_values_of_tokens():
    values, mask = jnp.array([1.0, 3.0, 8.0]), jnp.array([True, True, False])
    np.testing.assert_allclose(mean_weights(mask, jnp.array(4)), [0.25, 0.25, 0])
    for part in (masked_sum(values, mask), reported(values, mask)):
        assert (part.total, part.count) == (4, 2)
    assert masked_mean(values, mask) == 2


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


def test_a_count_below_one_divides_as_well():
    np.testing.assert_allclose(mean_weights(jnp.array([True, False]), jnp.array(0.25)), [4, 0])


def test_parts_add_up_to_the_whole():
    values, mask = case()
    parts = masked_sum(values[:1], mask[:1]) + masked_sum(values[1:], mask[1:])
    np.testing.assert_allclose(parts.value(), masked_mean(values, mask), rtol=1e-6)


def test_a_reported_mean_has_no_gradient():
    values, mask = case()
    np.testing.assert_array_equal(jax.grad(lambda values: reported(values, mask).total)(values), 0)


def test_hand_values_of_sequence_and_example_weights():
    mask = jnp.array([[True, True, True, False], [True, False, False, False]])
    np.testing.assert_allclose(
        sequence_mean_weights(mask, sequence_count(mask)), [[1 / 6] * 3 + [0], [1 / 2, 0, 0, 0]], rtol=1e-6
    )
    ids = jnp.array([[3, 3, 8, 8], [3, 3, 3, 3]])
    assert example_count(mask, ids) == 3
    np.testing.assert_allclose(
        example_mean_weights(mask, ids, jnp.array(3)), [[1 / 6, 1 / 6, 1 / 3, 0], [1 / 3, 0, 0, 0]], rtol=1e-6
    )


def test_sequence_and_example_weights_equal_float64_numpy():
    values, _ = case()
    assert sequence_count(MASK) == 3
    assert example_count(MASK, IDS) == len(EXAMPLES)
    sequences = (values * sequence_mean_weights(MASK, sequence_count(MASK))).sum()
    np.testing.assert_allclose(sequences, np.mean(sequence_means(values)), rtol=2e-6)
    examples = (values * example_mean_weights(MASK, IDS, example_count(MASK, IDS))).sum()
    np.testing.assert_allclose(examples, np.mean(example_means(values)), rtol=2e-6)


def test_importance_weighs_sequences_and_examples_though_it_sums_to_less_than_one():
    values, _ = case()
    count = sequence_count(MASK, sequence_weights=SEQUENCE_WEIGHTS)
    np.testing.assert_allclose(count, 0.4, rtol=1e-6)
    weights = sequence_mean_weights(MASK, count, sequence_weights=SEQUENCE_WEIGHTS)
    exact = weighted_mean(sequence_means(values), [0.1, 0.0, 0.3])
    np.testing.assert_allclose((values * weights).sum(), exact, rtol=2e-6)

    count = example_count(MASK, IDS, example_weights=example_weights())
    np.testing.assert_allclose(count, IMPORTANCE.sum(), rtol=1e-6)
    weights = example_mean_weights(MASK, IDS, count, example_weights=example_weights())
    np.testing.assert_allclose((values * weights).sum(), weighted_mean(example_means(values), IMPORTANCE), rtol=2e-6)


def test_equal_importance_is_none():
    ones = jnp.full((4, 6), 0.125)
    np.testing.assert_allclose(
        sequence_mean_weights(MASK, sequence_count(MASK, sequence_weights=ones[:, 0]), sequence_weights=ones[:, 0]),
        sequence_mean_weights(MASK, sequence_count(MASK)),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        example_mean_weights(MASK, IDS, example_count(MASK, IDS, example_weights=ones), example_weights=ones),
        example_mean_weights(MASK, IDS, example_count(MASK, IDS)),
        rtol=1e-6,
    )


def test_one_example_a_row_is_a_sequence():
    ids = jnp.broadcast_to(jnp.array([[9], [9], [0], [2]]), (4, 6))
    assert example_count(MASK, ids) == sequence_count(MASK)
    weights = example_mean_weights(MASK, ids, jnp.array(3))
    np.testing.assert_allclose(weights, sequence_mean_weights(MASK, jnp.array(3)), rtol=1e-6)


def test_packed_equals_unpacked():
    values, _ = case()
    packed = example_mean_weights(MASK, IDS, example_count(MASK, IDS))
    rows = [MASK[row] & (IDS[row] == identity) for row, identity in EXAMPLES]
    unpacked = jnp.stack(rows)
    assert sequence_count(unpacked) == example_count(MASK, IDS)
    weights = sequence_mean_weights(unpacked, sequence_count(unpacked))
    own = jnp.stack([values[row] for row, _ in EXAMPLES])
    np.testing.assert_allclose((own * weights).sum(), (values * packed).sum(), rtol=2e-6)


def test_ids_need_neither_order_nor_sign():
    shuffled = jnp.array([4, 1, 5, 0, 3, 2])
    count = example_count(MASK, IDS)
    weights = example_mean_weights(MASK, IDS, count)
    assert example_count(MASK[:, shuffled], IDS[:, shuffled]) == count
    np.testing.assert_array_equal(
        example_mean_weights(MASK[:, shuffled], IDS[:, shuffled], count), weights[:, shuffled]
    )
    assert example_count(MASK, -IDS) == count
    np.testing.assert_array_equal(example_mean_weights(MASK, -IDS, count), weights)


@every_kind
def test_weights_sum_to_one_and_are_zero_where_masked(weights, count):
    whole = weights(MASK, IDS, count(MASK, IDS))
    np.testing.assert_allclose(whole.sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(whole[~MASK], 0)


@every_kind
def test_micro_batches_add_up(weights, count):
    whole = weights(MASK, IDS, count(MASK, IDS))
    parts = [(MASK[start::2], IDS[start::2]) for start in range(2)]
    total = jnp.sum(jnp.array([count(*part) for part in parts]))
    assert total == count(MASK, IDS)
    for start, part in enumerate(parts):
        np.testing.assert_array_equal(weights(*part, total), whole[start::2])


def test_micro_batches_of_weighted_examples_add_up():
    importance = example_weights()
    parts = [(MASK[start::2], IDS[start::2]) for start in range(2)]
    options = [{"example_weights": importance[start::2]} for start in range(2)]
    total = sum(example_count(*part, **option) for part, option in zip(parts, options, strict=True))
    whole = example_mean_weights(MASK, IDS, total, example_weights=importance)
    for start in range(2):
        np.testing.assert_array_equal(example_mean_weights(*parts[start], total, **options[start]), whole[start::2])
    np.testing.assert_allclose(whole.sum(), 1, rtol=1e-6)


@every_kind
def test_padding_changes_nothing(weights, count):
    widths = ((0, 2), (0, 3))
    mask = jnp.pad(MASK, widths)
    for padding in (-1, 5):  # an id that a row holds is harmless where it is masked
        ids = jnp.pad(IDS, widths, constant_values=padding)
        assert count(mask, ids) == count(MASK, IDS)
        np.testing.assert_array_equal(
            weights(mask, ids, count(mask, ids)), jnp.pad(weights(MASK, IDS, count(MASK, IDS)), widths)
        )


@every_kind
def test_nothing_to_count_gives_weights_of_zero_and_a_zero_gradient(weights, count):
    nothing = jnp.zeros((4, 6), bool)
    assert count(nothing, IDS) == 0

    def total(values):
        return masked_sum(weights(nothing, IDS, count(nothing, IDS)) * values, nothing).total

    value, gradient = jax.value_and_grad(total)(case()[0])
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_nothing_of_importance_gives_weights_of_zero():
    zeros = jnp.zeros((4, 6))
    for weights in (
        sequence_mean_weights(MASK, sequence_count(MASK, sequence_weights=zeros[:, 0]), sequence_weights=zeros[:, 0]),
        example_mean_weights(MASK, IDS, example_count(MASK, IDS, example_weights=zeros), example_weights=zeros),
    ):
        np.testing.assert_array_equal(weights, 0)


def test_gradients_are_the_weights():
    values, _ = case()
    weights = example_mean_weights(MASK, IDS, example_count(MASK, IDS))
    np.testing.assert_array_equal(jax.grad(lambda values: (weights * values).sum())(values), weights)

    @jax.jit
    def of_importance(sequences, examples):
        by_sequence = sequence_mean_weights(MASK, jnp.array(3), sequence_weights=sequences)
        by_example = example_mean_weights(MASK, IDS, jnp.array(7), example_weights=examples)
        return ((by_sequence + by_example) * values).sum()

    @jax.jit
    def counts(sequences, examples):
        return sequence_count(MASK, sequence_weights=sequences) + example_count(MASK, IDS, example_weights=examples)

    for function in (of_importance, counts):
        check_grads(function, (values[:, 0], values), order=1, modes=["rev"], rtol=2e-2, atol=2e-2)
    spoilt = jax.grad(of_importance, (0, 1))(SEQUENCE_WEIGHTS, example_weights())
    assert all(jnp.isfinite(gradient).all() for gradient in spoilt)


def test_masked_mean_has_the_gradient_of_its_finite_differences():
    values, mask = case()
    check_grads(jax.jit(lambda values: masked_mean(values, mask)), (values,), order=1, modes=["rev"], rtol=2e-2)


def test_large_values_and_bfloat16_ones_are_averaged_as_float32_would():
    values, mask = case()
    for large in (values * 1e4, values + 1e4):
        exact = np.asarray(large, np.float64)[np.asarray(mask)]
        np.testing.assert_allclose(masked_mean(large, mask), exact.mean(), rtol=2e-6)
        for part in (masked_sum(large, mask), reported(large, mask)):
            np.testing.assert_allclose(part.value(), exact.mean(), rtol=2e-6)
    half = (values + 4).astype(jnp.bfloat16)
    # The sum is rounded to bfloat16, and the mean once more: 2^-9 of their size each.
    exact = np.asarray(half, np.float64)[np.asarray(mask)]
    for mean in (masked_mean(half, mask), masked_sum(half, mask).value(), reported(half, mask).value()):
        assert mean.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.float64(mean), exact.mean(), rtol=2**-8)
    with jax.enable_x64(True):
        wide = jnp.asarray(np.asarray(values, np.float64))
        assert masked_mean(wide, mask).dtype == jnp.float64
        np.testing.assert_allclose(masked_mean(wide, mask), wide[mask].mean(), rtol=1e-15)


def test_transforms_of_masked_values_change_nothing():
    values, mask = case()
    for function in (masked_mean, masked_sum, reported):
        eager = jax.tree.leaves(function(values, mask))
        jitted = jax.tree.leaves(jax.jit(function)(values, mask))
        np.testing.assert_allclose(jitted, eager, rtol=1e-6)
        mapped = jax.tree.leaves(jax.vmap(lambda v, m, f=function: jax.tree.leaves(f(v, m)))(values, mask))
        loop = zip(*(jax.tree.leaves(function(*row)) for row in zip(values, mask, strict=True)), strict=True)
        for found, expected in zip(mapped, loop, strict=True):
            np.testing.assert_allclose(found, jnp.stack(expected), rtol=1e-6, atol=1e-7)


def test_bfloat16_importance_is_summed_in_float32_and_float64_is_kept():
    half = example_weights().astype(jnp.bfloat16)
    for count, exact in (
        (example_count(MASK, IDS, example_weights=half), example_count(MASK, IDS, example_weights=half.astype(float))),
        (
            sequence_count(MASK, sequence_weights=half[:, 0]),
            sequence_count(MASK, sequence_weights=half[:, 0].astype(float)),
        ),
    ):
        assert count.dtype == jnp.float32
        np.testing.assert_allclose(count, exact, rtol=1e-6)
    # bfloat16 rounds an importance by at most 2^-9 of its size.
    np.testing.assert_allclose(example_count(MASK, IDS, example_weights=half), IMPORTANCE.sum(), rtol=2**-8)
    assert example_mean_weights(MASK, IDS, jnp.array(7), example_weights=half).dtype == jnp.float32
    with jax.enable_x64(True):
        for weights, count in KINDS.values():
            whole = weights(MASK, IDS, count(MASK, IDS).astype(jnp.int64))
            assert whole.dtype == jnp.float64
            np.testing.assert_allclose(whole.sum(), 1, rtol=1e-15)


@every_kind
def test_transforms_change_nothing(weights, count):
    total = count(MASK, IDS)
    eager = weights(MASK, IDS, total)
    np.testing.assert_array_equal(jax.jit(count)(MASK, IDS), total)
    np.testing.assert_array_equal(jax.vmap(count)(MASK, IDS).sum(), total)
    np.testing.assert_allclose(jax.jit(weights)(MASK, IDS, total), eager, rtol=1e-6)
    mapped = jax.vmap(lambda mask, ids: weights(mask, ids, total))(MASK, IDS)
    np.testing.assert_allclose(mapped, eager, rtol=1e-6)
    loop = [weights(mask, ids, total) for mask, ids in zip(MASK, IDS, strict=True)]
    np.testing.assert_allclose(jnp.stack(loop), eager, rtol=1e-6)


@every_kind
def test_eight_devices_change_nothing(weights, count):
    mask, ids = jnp.tile(MASK, (2, 1)), jnp.tile(IDS, (2, 1))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    placed = jax.device_put((mask, ids), NamedSharding(mesh, PartitionSpec("data")))
    assert jax.jit(count)(*placed) == count(mask, ids)
    total = count(mask, ids)
    np.testing.assert_allclose(jax.jit(weights)(*placed, total), weights(mask, ids, total), rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    values, mask = case()
    one = jnp.array(1)
    with pytest.raises(ValueError, match=r"mask must have the shape of values, \(4, 6\), got \(4,\)"):
        masked_mean(values, mask[:, 0])
    for refused in (sequence_count, functools.partial(sequence_mean_weights, count=one)):
        with pytest.raises(
            ValueError, match=r"sequence_weights must have the leading shape of mask, \(4,\), got \(4, 6"
        ):
            refused(mask, sequence_weights=values)
    for refused in (example_count, functools.partial(example_mean_weights, count=one)):
        with pytest.raises(ValueError, match=r"example_ids must have the shape of mask, \(4, 6\), got \(4,\)\. Take"):
            refused(mask, example_ids=IDS[:, 0])
        with pytest.raises(TypeError, match=r"example_ids must be numbers of an integer dtype, got float32"):
            refused(mask, example_ids=values)
        with pytest.raises(
            ValueError, match=r"example_weights must have the shape of mask, \(4, 6\), got \(4,\)\. Give"
        ):
            refused(mask, example_ids=IDS, example_weights=values[:, 0])
