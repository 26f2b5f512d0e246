"""Ends, sums and joins of the stretches that both tokenizations share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.alignment import chunk_values
from jaxkd.alignment.chunks import chunks
from tests.alignment.tokenizations import one_row, padded, random_rows

SEEDS = range(4)


@jax.jit
def described(student, teacher, closed=None):
    """Numbers, ends, whether the text goes on, and joined numbers, of rows."""
    numbers = chunks(student, teacher)
    pairs = chunk_values.ends(*numbers)
    goes_on = chunk_values.goes_on(pairs, student.segment_ids)
    closed = ~goes_on | (jnp.arange(pairs.mask.shape[-1])[None] % 3 == 1)
    return numbers, pairs, goes_on, chunk_values.merged(pairs.mask, closed), closed


def test_hand_values():
    pairs = chunk_values.ends(jnp.array([1, 1, 2, 3, 0]), jnp.array([0, 1, 2, 2, 3, 0]))
    assert pairs.student.tolist() == [1, 2, 3, 0, 0]
    assert pairs.teacher.tolist() == [1, 3, 4, 0, 0]
    assert pairs.mask.tolist() == [True, True, True, False, False]
    goes_on = chunk_values.goes_on(pairs, jnp.array([1, 1, 1, 2, 0]))
    assert goes_on.tolist() == [True, False, False, False, False]
    assert chunk_values.leads(jnp.array([0, 1, 2, 2, 3, 0]), pairs.teacher).tolist() == [
        False,
        False,
        True,
        *[False] * 3,
    ]
    assert chunk_values.merged(pairs.mask, ~goes_on).tolist() == [1, 1, 2, 0, 0]
    values = jnp.array([1.0, 2.0, 4.0, 8.0, 16.0])
    assert chunk_values.sums(values, jnp.array([1, 1, 2, 3, 0]), slots=5).tolist() == [3, 4, 8, 0, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_a_loop_over_tokens(seed):
    student, teacher = random_rows(seed)
    numbers, pairs, goes_on, joined, closed = jax.tree.map(np.asarray, described(student, teacher))
    values = np.random.default_rng(seed).normal(size=numbers[0].shape)
    leads = chunk_values.leads(jnp.asarray(numbers[0]), jnp.asarray(pairs.student))
    found = chunk_values.sums(jnp.asarray(values, jnp.float32), jnp.asarray(numbers[0]), slots=pairs.mask.shape[1])
    for row in range(len(values)):
        ours, theirs = numbers[0][row], numbers[1][row]
        texts = np.asarray(student.segment_ids)[row]
        longer = 1
        for slot, present in enumerate(pairs.mask[row]):
            places, partners = np.flatnonzero(ours == slot + 1), np.flatnonzero(theirs == slot + 1)
            assert present == (len(places) > 0) == (len(partners) > 0)
            np.testing.assert_allclose(found[row, slot], values[row, places].sum(), rtol=1e-5, atol=1e-6)
            if not present:
                assert joined[row, slot] == 0
                continue
            assert (pairs.student[row, slot], pairs.teacher[row, slot]) == (places[-1], partners[-1])
            assert np.asarray(leads)[row, places].tolist() == [True] * (len(places) - 1) + [False]
            following = np.flatnonzero(ours == slot + 2)
            assert goes_on[row, slot] == (len(following) > 0 and texts[following[0]] == texts[places[-1]])
            assert joined[row, slot] == longer
            longer += closed[row, slot]


def test_a_joined_stretch_lies_within_one_text_and_sums_of_sums_are_sums():
    student, teacher = random_rows(5)
    numbers, pairs, _, joined, _ = described(student, teacher)
    slots = pairs.mask.shape[1]
    values = jnp.asarray(np.random.default_rng(5).normal(size=numbers[0].shape), jnp.float32)
    twice = chunk_values.sums(chunk_values.sums(values, numbers[0], slots=slots), joined, slots=slots)
    np.testing.assert_allclose(twice.sum(-1), jnp.where(numbers[0] > 0, values, 0).sum(-1), rtol=1e-4, atol=1e-5)
    for row in range(len(values)):
        texts = np.asarray(student.segment_ids)[row][np.asarray(pairs.student)[row]]
        for number in range(1, int(joined[row].max()) + 1):
            assert len(set(texts[np.asarray(joined)[row] == number])) == 1


def test_the_last_token_and_those_that_lead_to_it_are_the_stretch():
    """The chain rule: what is said of a stretch is the condition of its last token, and that token."""
    student, teacher = random_rows(8)
    numbers, pairs, *_ = described(student, teacher)
    slots = pairs.mask.shape[1]
    for side, last in ((numbers[0], pairs.student), (numbers[1], pairs.teacher)):
        values = jnp.asarray(np.random.default_rng(8).normal(size=side.shape), jnp.float32)
        leads = chunk_values.leads(side, last)
        condition = chunk_values.sums(jnp.where(leads, values, 0), side, slots=slots)
        ending = jnp.where(pairs.mask, jnp.take_along_axis(values, last, axis=1), 0)
        np.testing.assert_allclose(condition + ending, chunk_values.sums(values, side, slots=slots), atol=1e-5)
        assert leads.any() and not leads[side == 0].any()


def test_padding_changes_nothing_and_rows_without_tokens_have_nothing():
    student, teacher = random_rows(6)
    narrow, wide = described(student, teacher), described(padded(student, 3), padded(teacher, 3))
    size = narrow[1].mask.shape[1]
    for one, other in zip(jax.tree.leaves(narrow[1:4]), jax.tree.leaves(wide[1:4]), strict=True):
        np.testing.assert_array_equal(other[:, :size], one)
        assert not other[:, size:].any()
    pairs = chunk_values.ends(jnp.zeros((2, 4), jnp.int32), jnp.zeros((2, 3), jnp.int32))
    assert not pairs.mask.any() and pairs.mask.shape == (2, 3)
    assert not chunk_values.sums(jnp.ones((2, 4)), jnp.zeros((2, 4), jnp.int32), slots=3).any()


def test_gradients_of_sums():
    numbers = jnp.array([[1, 1, 2, 0], [0, 1, 2, 3]])

    def total(values):
        return jnp.sum(jnp.sin(chunk_values.sums(values, numbers, slots=4)))

    check_grads(jax.jit(total), (jnp.arange(8.0).reshape(2, 4),), order=1, modes=["rev"], rtol=1e-2, atol=1e-2)


def test_sums_keep_their_dtype_and_are_taken_stretch_by_stretch():
    """A running total would lose a small value behind a large one."""
    values = jnp.array([1e8, 1.0, 2.0], jnp.float32)
    assert chunk_values.sums(values, jnp.array([1, 2, 2]), slots=2).tolist() == [1e8, 3]
    with jax.enable_x64(True):
        found = chunk_values.sums(jnp.asarray(values, jnp.float64), jnp.array([1, 2, 2]), slots=2)
        assert found.dtype == jnp.float64


def test_transforms_and_eight_devices_change_nothing():
    student, teacher = random_rows(7, rows=8)
    expected = described(student, teacher)
    values = jnp.asarray(np.random.default_rng(7).normal(size=expected[0][0].shape), jnp.float32)

    def run(student, teacher, values):
        numbers = chunks(student, teacher)
        pairs = chunk_values.ends(*numbers)
        goes_on = chunk_values.goes_on(pairs, student.segment_ids)
        joined = chunk_values.merged(pairs.mask, ~goes_on)
        leads = chunk_values.leads(numbers[0], pairs.student)
        return pairs, goes_on, joined, leads, chunk_values.sums(values, numbers[0], slots=pairs.mask.shape[-1])

    whole = jax.jit(run)(student, teacher, values)
    rows = [run(one_row(student, index), one_row(teacher, index), values[index]) for index in range(2)]
    for index, row in enumerate(rows):
        for one, other in zip(jax.tree.leaves(row), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(one, other[index], rtol=1e-6)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put((student, teacher, values), NamedSharding(mesh, PartitionSpec("data")))
    for one, other in zip(jax.tree.leaves(jax.jit(run)(*placed)), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
