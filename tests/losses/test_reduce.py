"""The reducer: subset = mask, nothing counted = 0, parts add up, packed = unpacked."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.losses import masked_mean
from jaxkd.losses.reduce import (
    example_count,
    example_mean_weights,
    masked_sum,
    mean_weights,
    reported,
    sequence_count,
    sequence_mean_weights,
)
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

# Rows of four, two, one and no examples; example 5 is interrupted by a masked position, and 9 is masked as a whole.
IDS = np.array([[2, 2, 7, 5, 5, 0], [4, 4, 4, 3, 3, 3], [5, 5, 5, 5, 9, 9], [-1] * 6], np.int32)
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 0], [1, 0, 1, 1, 0, 0], [0] * 6], bool)
EXAMPLES = [(0, 2), (0, 7), (0, 5), (0, 0), (1, 4), (1, 3), (2, 5)]
"""Row and id of each example that has a token."""
IMPORTANCE = np.array([0.1, 0.02, 0.0, 0.3, 0.05, 0.1, 0.2])


def case():
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 6)).astype(np.float32), rng.random((4, 6)) < 0.5


def example_weights():
    """The importance of each position's example, NaN where there is none."""
    weights = np.full((4, 6), np.nan, np.float32)
    for (row, identity), importance in zip(EXAMPLES, IMPORTANCE, strict=True):
        weights[row, IDS[row] == identity] = importance
    return weights


SEQUENCE_WEIGHTS = np.float32([0.1, 0.0, 0.3, np.nan])


def by_tokens(mask, ids, count):
    return mean_weights(mask, count)


def by_sequences(mask, ids, count):
    return sequence_mean_weights(mask, count)


def tokens(mask, ids):
    return mask.sum()


def sequences(mask, ids):
    return sequence_count(mask)


KINDS = {
    "tokens": (by_tokens, tokens),
    "sequences": (by_sequences, sequences),
    "examples": (example_mean_weights, example_count),
}
every_kind = pytest.mark.parametrize(("weights", "count"), KINDS.values(), ids=KINDS)


def sequence_means_weights(**options):
    """The weights of all sequences of `MASK`, and their count."""
    count = jitted(sequence_count)(MASK, **options)
    return jitted(sequence_mean_weights)(MASK, count, **options), count


def example_means_weights(**options):
    """The weights of all examples of `MASK`, and their count."""
    count = jitted(example_count)(MASK, IDS, **options)
    return jitted(example_mean_weights)(MASK, IDS, count, **options), count


def weighted_mean(values, importance):
    return (np.asarray(values, np.float64) * importance).sum() / np.sum(importance)


def example_means(values):
    return [values[row][MASK[row] & (IDS[row] == identity)].astype(np.float64).mean() for row, identity in EXAMPLES]


def sequence_means(values):
    return [values[row][MASK[row]].astype(np.float64).mean() for row in range(3)]


def test_hand_values_of_tokens():
    values, mask = np.float32([1, 3, 8]), np.array([True, True, False])
    np.testing.assert_allclose(jitted(mean_weights)(mask, np.int32(4)), [0.25, 0.25, 0])
    for part in (jitted(masked_sum)(values, mask), jitted(reported)(values, mask)):
        assert (part.total, part.count) == (4, 2)
    assert jitted(masked_mean)(values, mask) == 2


def test_the_mask_equals_the_subset():
    values, mask = case()
    np.testing.assert_allclose(compiled(masked_mean)(values, mask=mask)[0], values[mask].mean(), rtol=1e-6)


def test_what_is_masked_may_be_nan_in_value_and_gradient():
    values, mask = case()
    value, (gradient,) = compiled(masked_mean)(np.where(mask, values, np.float32(np.nan)), mask=mask)
    np.testing.assert_allclose(value, compiled(masked_mean)(values, mask=mask)[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, mask / mask.sum(), rtol=1e-6)


def test_an_empty_mask_gives_zero_and_a_zero_gradient():
    value, (gradient,) = compiled(masked_mean)(case()[0], mask=np.zeros((4, 6), bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_weights_of_parts_make_the_mean_of_the_whole():
    values, mask = case()
    weights = np.concatenate([jitted(mean_weights)(part, np.int32(mask.sum())) for part in (mask[:2], mask[2:])])
    np.testing.assert_allclose((weights * values).sum(), values[mask].mean(), rtol=1e-6)


def test_a_count_below_one_divides_as_well():
    np.testing.assert_allclose(jitted(mean_weights)(np.array([True, False]), np.float32(0.25)), [4, 0])


def test_parts_add_up_to_the_whole():
    values, mask = case()
    parts = [jitted(masked_sum)(values[rows], mask[rows]) for rows in (slice(2), slice(2, 4))]
    np.testing.assert_allclose((parts[0] + parts[1]).value(), values[mask].mean(), rtol=1e-6)


def test_a_reported_mean_has_no_gradient():
    values, mask = case()

    def total(values, mask):
        return reported(values, mask).total

    value, (gradient,) = compiled(total)(values, mask=mask)
    assert value != 0
    np.testing.assert_array_equal(gradient, 0)


def test_hand_values_of_sequence_and_example_weights():
    mask = np.array([[True, True, True, False], [True, False, False, False]])
    weights = jitted(sequence_mean_weights)(mask, jitted(sequence_count)(mask))
    np.testing.assert_allclose(weights, [[1 / 6] * 3 + [0], [1 / 2, 0, 0, 0]], rtol=1e-6)
    ids = np.array([[3, 3, 8, 8], [3, 3, 3, 3]])
    assert jitted(example_count)(mask, ids) == 3
    weights = jitted(example_mean_weights)(mask, ids, np.int32(3))
    np.testing.assert_allclose(weights, [[1 / 6, 1 / 6, 1 / 3, 0], [1 / 3, 0, 0, 0]], rtol=1e-6)


def test_sequence_and_example_weights_equal_float64_numpy():
    values, _ = case()
    weights, count = sequence_means_weights()
    assert count == 3
    np.testing.assert_allclose((values * weights).sum(), np.mean(sequence_means(values)), rtol=2e-6)
    weights, count = example_means_weights()
    assert count == len(EXAMPLES)
    np.testing.assert_allclose((values * weights).sum(), np.mean(example_means(values)), rtol=2e-6)


def test_importance_weighs_sequences_and_examples_though_it_sums_to_less_than_one():
    values, _ = case()
    weights, count = sequence_means_weights(sequence_weights=SEQUENCE_WEIGHTS)
    np.testing.assert_allclose(count, 0.4, rtol=1e-6)
    exact = weighted_mean(sequence_means(values), [0.1, 0.0, 0.3])
    np.testing.assert_allclose((values * weights).sum(), exact, rtol=2e-6)
    weights, count = example_means_weights(example_weights=example_weights())
    np.testing.assert_allclose(count, IMPORTANCE.sum(), rtol=1e-6)
    np.testing.assert_allclose((values * weights).sum(), weighted_mean(example_means(values), IMPORTANCE), rtol=2e-6)


def test_equal_importance_is_none():
    ones = np.full((4, 6), 0.125, np.float32)
    for of, name, importance in (
        (sequence_means_weights, "sequence_weights", ones[:, 0]),
        (example_means_weights, "example_weights", ones),
    ):
        np.testing.assert_allclose(of(**{name: importance})[0], of()[0], rtol=1e-6)


def test_one_example_a_row_is_a_sequence():
    ids = np.broadcast_to(np.int32([[9], [9], [0], [2]]), (4, 6))
    weights, count = sequence_means_weights()
    assert jitted(example_count)(MASK, ids) == count
    np.testing.assert_allclose(jitted(example_mean_weights)(MASK, ids, np.int32(3)), weights, rtol=1e-6)


def test_packed_equals_unpacked():
    values, _ = case()
    packed, count = example_means_weights()
    unpacked = np.stack([MASK[row] & (IDS[row] == identity) for row, identity in EXAMPLES])
    assert jitted(sequence_count)(unpacked) == count
    weights = jitted(sequence_mean_weights)(unpacked, count)
    own = np.stack([values[row] for row, _ in EXAMPLES])
    # Each weight is rounded twice.
    rounding = 2 * np.finfo(np.float32).eps * np.abs(own * weights).sum()
    np.testing.assert_allclose((own * weights).sum(dtype=float), (values * packed).sum(dtype=float), atol=rounding)


def test_ids_need_neither_order_nor_sign():
    shuffled, (weights, count) = [4, 1, 5, 0, 3, 2], example_means_weights()
    for mask, ids, expected in ((MASK[:, shuffled], IDS[:, shuffled], weights[:, shuffled]), (MASK, -IDS, weights)):
        assert jitted(example_count)(mask, ids) == count
        np.testing.assert_array_equal(jitted(example_mean_weights)(mask, ids, count), expected)


@every_kind
def test_weights_sum_to_one_and_are_zero_where_masked(weights, count):
    whole = jitted(weights)(MASK, IDS, jitted(count)(MASK, IDS))
    np.testing.assert_allclose(whole.sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(whole[~MASK], 0)


@every_kind
def test_micro_batches_add_up(weights, count):
    total = jitted(count)(MASK, IDS)
    whole = jitted(weights)(MASK, IDS, total)
    parts = [(MASK[start::2], IDS[start::2]) for start in range(2)]
    assert sum(jitted(count)(*part) for part in parts) == total
    for start, part in enumerate(parts):
        np.testing.assert_array_equal(jitted(weights)(*part, total), whole[start::2])


def test_micro_batches_of_weighted_examples_add_up():
    importance = example_weights()
    parts = [(MASK[start::2], IDS[start::2]) for start in range(2)]
    options = [{"example_weights": importance[start::2]} for start in range(2)]
    total = sum(jitted(example_count)(*part, **option) for part, option in zip(parts, options, strict=True))
    whole = jitted(example_mean_weights)(MASK, IDS, total, example_weights=importance)
    for start in range(2):
        found = jitted(example_mean_weights)(*parts[start], total, **options[start])
        np.testing.assert_array_equal(found, whole[start::2])
    np.testing.assert_allclose(whole.sum(), 1, rtol=1e-6)


@every_kind
def test_padding_changes_nothing(weights, count):
    total = jitted(count)(MASK, IDS)
    whole = jitted(weights)(MASK, IDS, total)
    widths = ((0, 2), (0, 3))
    mask = np.pad(MASK, widths)
    for padding in (-1, 5):  # an id that a row holds is harmless where it is masked
        ids = np.pad(IDS, widths, constant_values=padding)
        assert jitted(count)(mask, ids) == total
        np.testing.assert_array_equal(jitted(weights)(mask, ids, total), np.pad(whole, widths))


@every_kind
def test_nothing_to_count_gives_weights_of_zero_and_a_zero_gradient(weights, count):
    nothing = np.zeros((4, 6), bool)
    found = jitted(count)(nothing, IDS)
    assert found == 0

    def total(values, *, mask, ids, count):
        return masked_sum(weights(mask, ids, count) * values, mask).total

    value, (gradient,) = compiled(total)(case()[0], mask=nothing, ids=IDS, count=found)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_nothing_of_importance_gives_weights_of_zero():
    zeros = np.zeros((4, 6), np.float32)
    np.testing.assert_array_equal(sequence_means_weights(sequence_weights=zeros[:, 0])[0], 0)
    np.testing.assert_array_equal(example_means_weights(example_weights=zeros)[0], 0)


def test_gradients_are_the_weights():
    values, _ = case()
    weights, count = example_means_weights()

    def weighted(values, **arrays):
        return example_mean_weights(**arrays) * values

    _, (gradient,) = compiled(weighted)(values, mask=MASK, example_ids=IDS, count=count)
    np.testing.assert_array_equal(gradient, weights)


def of_importance(sequences, examples, *, mask, ids, values):
    by_sequence = sequence_mean_weights(mask, jnp.array(3), sequence_weights=sequences)
    by_example = example_mean_weights(mask, ids, jnp.array(7), example_weights=examples)
    return (by_sequence + by_example) * values


def counts(sequences, examples, *, mask, ids, values):
    by_sequence = sequence_count(mask, sequence_weights=sequences)
    return by_sequence + example_count(mask, ids, example_weights=examples)


@pytest.mark.parametrize("function", [of_importance, counts])
def test_gradients_to_importance_equal_finite_differences(function):
    values, _ = case()
    run = functools.partial(compiled(function), mask=MASK, ids=IDS, values=values)
    for at in (0, 1):
        assert_equals_finite_differences(run, values[:, 0], values, at=at, rtol=2e-2, atol=2e-2, eps=1e-3)
    _, spoilt = run(SEQUENCE_WEIGHTS, example_weights())
    assert all(np.isfinite(gradient).all() for gradient in spoilt)


def test_masked_mean_has_the_gradient_of_its_finite_differences():
    values, mask = case()
    run = functools.partial(compiled(masked_mean), mask=mask)
    assert_equals_finite_differences(run, values, rtol=2e-2, atol=2e-3, eps=2**-11)


def test_large_values_and_bfloat16_ones_are_averaged_as_float32_would():
    values, mask = case()

    def means(values):
        return (
            compiled(masked_mean)(values, mask=mask)[0],
            *(np.asarray(jitted(function)(values, mask).value()) for function in (masked_sum, reported)),
        )

    for large in (values * np.float32(1e4), values + np.float32(1e4)):
        exact = large.astype(np.float64)[mask].mean()
        for mean in means(large):
            np.testing.assert_allclose(mean, exact, rtol=2e-6)
    half = (values + 4).astype(jnp.bfloat16)
    # The sum is rounded to bfloat16, and the mean once more: 2^-9 of their size each.
    exact = half.astype(np.float64)[mask].mean()
    for mean in means(half):
        assert mean.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.float64(mean), exact, rtol=2**-8)
    wide = values.astype(np.float64)
    with jax.enable_x64(True):
        mean, _ = compiled(masked_mean)(wide, mask=mask)
    assert mean.dtype == np.float64
    np.testing.assert_allclose(mean, wide[mask].mean(), rtol=1e-15)


@pytest.mark.parametrize("function", [masked_mean, masked_sum, reported])
def test_transforms_of_masked_values_change_nothing(function):
    values, mask = case()

    def leaves(values, mask):
        return jnp.stack(jax.tree.leaves(function(values, mask)))

    eager = jax.tree.leaves(function(jnp.asarray(values), jnp.asarray(mask)))
    np.testing.assert_allclose(jitted(leaves)(values, mask), eager, rtol=1e-6)
    mapped = jax.jit(jax.vmap(leaves))(values, mask)
    loop = [jitted(leaves)(*row) for row in zip(values, mask, strict=True)]
    np.testing.assert_allclose(mapped, np.stack(loop), rtol=1e-6, atol=1e-7)


def test_bfloat16_importance_is_summed_in_float32_and_float64_is_kept():
    half = example_weights().astype(jnp.bfloat16)
    wide = half.astype(np.float32)
    (weights, count), (_, exact) = (example_means_weights(example_weights=one) for one in (half, wide))
    assert weights.dtype == count.dtype == np.float32
    np.testing.assert_allclose(count, exact, rtol=1e-6)
    # bfloat16 rounds an importance by at most 2^-9 of its size.
    np.testing.assert_allclose(count, IMPORTANCE.sum(), rtol=2**-8)
    (_, count), (_, exact) = (sequence_means_weights(sequence_weights=one[:, 0]) for one in (half, wide))
    assert count.dtype == np.float32
    np.testing.assert_allclose(count, exact, rtol=1e-6)
    with jax.enable_x64(True):
        for weights, count in KINDS.values():
            whole = jitted(weights)(MASK, IDS, np.int64(jitted(count)(MASK, IDS)))
            assert whole.dtype == np.float64
            np.testing.assert_allclose(whole.sum(), 1, rtol=1e-15)


@every_kind
def test_transforms_change_nothing(weights, count):
    total = jitted(count)(MASK, IDS)
    whole = jitted(weights)(MASK, IDS, total)
    mask, ids = jnp.asarray(MASK), jnp.asarray(IDS)
    np.testing.assert_array_equal(count(mask, ids), total)
    np.testing.assert_allclose(weights(mask, ids, jnp.asarray(total)), whole, rtol=1e-6)
    counts = jax.jit(jax.vmap(count))(MASK, IDS)
    mapped = jax.jit(jax.vmap(weights, (0, 0, None)))(MASK, IDS, total)
    np.testing.assert_array_equal(np.sum(counts), total)
    np.testing.assert_allclose(mapped, whole, rtol=1e-6)


@every_kind
def test_eight_devices_change_nothing(weights, count):
    mask, ids = np.tile(MASK, (2, 1)), np.tile(IDS, (2, 1))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    placed = jax.device_put((mask, ids), NamedSharding(mesh, PartitionSpec("data")))
    total = jitted(count)(mask, ids)
    assert jitted(count)(*placed) == total
    np.testing.assert_allclose(jitted(weights)(*placed, total), jitted(weights)(mask, ids, total), rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    values, mask = case()
    one = np.int32(1)
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
