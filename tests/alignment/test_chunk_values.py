"""Ends, sums and joins of the stretches that both tokenizations share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd.alignment import chunk_values
from jaxkd.alignment.chunks import chunks
from tests.alignment.tokenizations import one_row, padded, random_rows
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

SEEDS = range(4)


def parts(numbers, partners, segment_ids, values):
    """All values that this module computes from numbered tokens, by name; every third slot is closed besides."""
    pairs = chunk_values.ends(numbers, partners)
    has_next = chunk_values.has_next(pairs, segment_ids)
    slots = pairs.mask.shape[-1]
    closed = ~has_next | jnp.broadcast_to(jnp.arange(slots) % 3 == 1, has_next.shape)
    joined = chunk_values.merged(pairs.mask, closed)
    sums = chunk_values.sums(values, numbers, slots=slots)
    return {
        "student": pairs.student,
        "teacher": pairs.teacher,
        "mask": pairs.mask,
        "has_next": has_next,
        "closed": closed,
        "joined": joined,
        "leads": chunk_values.leads(numbers, pairs.student),
        "teacher_leads": chunk_values.leads(partners, pairs.teacher),
        "sums": sums,
        "joined_sums": chunk_values.sums(sums, joined, slots=slots),
    }


def described(student, teacher, values):
    """The numbers of both sides, and the parts."""
    numbers, partners = chunks(student, teacher)
    return numbers, partners, parts(numbers, partners, student.segment_ids, values)


def described_at_random(seed):
    """The tokens of both sides, values of the student's, and what is described."""
    student, teacher = random_rows(seed)
    values = np.random.default_rng(seed).normal(size=student.starts.shape).astype(np.float32)
    return student, teacher, values, jitted(described)(student, teacher, values)


def test_hand_values():
    numbers, partners = np.array([1, 1, 2, 3, 0]), np.array([0, 1, 2, 2, 3, 0])
    found = jitted(parts)(numbers, partners, np.array([1, 1, 1, 2, 0]), np.float32([1, 2, 4, 8, 16]))
    assert found["student"].tolist() == [1, 2, 3, 0, 0]
    assert found["teacher"].tolist() == [1, 3, 4, 0, 0]
    assert found["mask"].tolist() == [True, True, True, False, False]
    assert found["has_next"].tolist() == [True, False, False, False, False]
    assert found["teacher_leads"].tolist() == [False, False, True, *[False] * 3]
    assert found["joined"].tolist() == [1, 1, 2, 0, 0]
    assert found["sums"].tolist() == [3, 4, 8, 0, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_a_loop_over_tokens(seed):
    student, _, values, (numbers, teacher_numbers, found) = described_at_random(seed)
    for row in range(len(values)):
        ours, theirs = numbers[row], teacher_numbers[row]
        texts = np.asarray(student.segment_ids)[row]
        of_row = {name: array[row] for name, array in found.items()}
        longer = 1
        for slot, present in enumerate(of_row["mask"]):
            places, partners = np.flatnonzero(ours == slot + 1), np.flatnonzero(theirs == slot + 1)
            assert present == (len(places) > 0) == (len(partners) > 0)
            np.testing.assert_allclose(of_row["sums"][slot], values[row, places].sum(), rtol=1e-5, atol=1e-6)
            if not present:
                assert of_row["joined"][slot] == 0
                continue
            assert (of_row["student"][slot], of_row["teacher"][slot]) == (places[-1], partners[-1])
            assert of_row["leads"][places].tolist() == [True] * (len(places) - 1) + [False]
            following = np.flatnonzero(ours == slot + 2)
            assert of_row["has_next"][slot] == (len(following) > 0 and texts[following[0]] == texts[places[-1]])
            assert of_row["joined"][slot] == longer
            longer += of_row["closed"][slot]


def test_a_joined_stretch_lies_within_one_text_and_sums_of_sums_are_sums():
    student, _, values, (numbers, _, found) = described_at_random(5)
    expected = np.where(numbers > 0, values, 0).sum(-1)
    np.testing.assert_allclose(found["joined_sums"].sum(-1), expected, rtol=1e-4, atol=1e-5)
    for row, joined in enumerate(found["joined"]):
        texts = np.asarray(student.segment_ids)[row][found["student"][row]]
        for number in range(1, joined.max() + 1):
            assert len(set(texts[joined == number])) == 1


def test_the_last_token_and_those_that_lead_to_it_are_the_stretch():
    """The chain rule: what is said of a stretch is the condition of its last token, and that token."""
    *_, (numbers, partners, found) = described_at_random(8)
    slots = found["mask"].shape[1]
    for side, last, leads in (
        (numbers, found["student"], found["leads"]),
        (partners, found["teacher"], found["teacher_leads"]),
    ):
        values = np.random.default_rng(8).normal(size=side.shape).astype(np.float32)
        sums = functools.partial(jitted(chunk_values.sums, slots=slots), numbers=side)
        ending = np.where(found["mask"], np.take_along_axis(values, last, axis=1), 0)
        condition = sums(np.where(leads, values, np.float32(0)))
        np.testing.assert_allclose(condition + ending, sums(values), atol=1e-5)
        assert leads.any() and not leads[side == 0].any()


def test_padding_changes_nothing_and_rows_without_tokens_have_nothing():
    student, teacher, values, (*_, narrow) = described_at_random(6)
    *_, wide = jitted(described)(padded(student, 3), padded(teacher, 3), np.pad(values, ((0, 0), (0, 3))))
    size = narrow["mask"].shape[1]
    for name in ("student", "teacher", "mask", "has_next", "joined", "sums", "joined_sums"):
        np.testing.assert_array_equal(wide[name][:, :size], narrow[name])
        assert not wide[name][:, size:].any()
    nothing, ones = np.zeros((2, 5), np.int32), np.ones((2, 5), np.float32)
    found = jitted(parts)(nothing, nothing[:, :3], nothing, ones)
    assert found["mask"].shape == (2, 3)
    assert not any(found[name].any() for name in ("mask", "sums", "leads", "teacher_leads"))


def test_gradients_of_sums():
    numbers = np.array([[1, 1, 2, 0], [0, 1, 2, 3]])

    def sines(values, *, numbers):
        return jnp.sin(chunk_values.sums(values, numbers, slots=4))

    run = functools.partial(compiled(sines), numbers=numbers)
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert_equals_finite_differences(run, values, rtol=1e-2, atol=1e-2, eps=2**-11)


def test_sums_keep_their_dtype_and_are_taken_stretch_by_stretch():
    """A running total would lose a small value behind a large one."""
    values, numbers, sums = np.float32([1e8, 1, 2]), np.array([1, 2, 2]), jitted(chunk_values.sums, slots=2)
    assert sums(values, numbers).tolist() == [1e8, 3]
    with jax.enable_x64(True):
        assert sums(values.astype(np.float64), numbers).dtype == np.float64


def test_transforms_and_eight_devices_change_nothing():
    student, teacher = random_rows(7, rows=8)
    values = np.random.default_rng(7).normal(size=student.starts.shape).astype(np.float32)
    *numbers, expected = whole = jitted(described)(student, teacher, values)
    eager = parts(*map(jnp.asarray, numbers), student.segment_ids, jnp.asarray(values))
    for name, one in eager.items():
        np.testing.assert_allclose(one, expected[name], rtol=1e-6)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put((student, teacher, values), NamedSharding(mesh, PartitionSpec("data")))
    for one, other in zip(jax.tree.leaves(jitted(described)(*placed)), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    for index in range(2):
        row = jitted(described)(one_row(student, index), one_row(teacher, index), values[index])
        for one, other in zip(jax.tree.leaves(row), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(one, other[index], rtol=1e-6)
