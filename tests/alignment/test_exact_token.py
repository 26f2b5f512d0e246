"""Pairs of tokens with equal byte spans: by hand, by a dictionary, and what must hold for all of them."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd.alignment import exact_token
from jaxkd.records import TokenSpans
from tests.alignment.tokenizations import (
    BYTE_PAIRS,
    found,
    one_row,
    padded,
    random_rows,
    row,
    spans,
    stack,
    triples,
)

SEEDS = range(20)
align = jax.jit(exact_token.align)


@pytest.mark.parametrize(("teacher", "student"), BYTE_PAIRS)
def test_hand_values(teacher, student):
    assert found(align(spans(student), spans(teacher))) == BYTE_PAIRS[teacher, student]


def test_there_is_a_slot_for_each_place_of_the_shorter_side():
    longer, shorter = align(spans("llama"), spans("qwen")), align(spans("qwen"), spans("llama"))
    assert longer.teacher.tolist() == shorter.student.tolist() == [*range(9), 0, 10, 11, 12]
    assert longer.student.tolist() == shorter.teacher.tolist() == [*range(9), 0, 12, 13, 14]
    assert longer.mask.tolist() == [True] * 9 + [False] + [True] * 3
    assert (longer.student.dtype, longer.teacher.dtype, longer.mask.dtype) == (np.int32, np.int32, np.bool_)


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_a_dictionary(seed):
    student, teacher = random_rows(seed)
    alignment = align(student, teacher)
    assert alignment.mask.shape == (6, 20)
    for index in range(6):
        ours, theirs = triples(one_row(student, index)), triples(one_row(teacher, index))
        places = {triple: place for place, triple in enumerate(theirs) if triple is not None}
        expected = [(place, places[triple]) for place, triple in enumerate(ours) if triple in places]
        assert list(zip(*found(alignment, index), strict=True)) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_is_monotone_one_to_one_and_symmetric(seed):
    student, teacher = random_rows(seed)
    alignment, exchanged = align(student, teacher), align(teacher, student)
    np.testing.assert_array_equal(alignment.student, exchanged.teacher)
    np.testing.assert_array_equal(alignment.teacher, exchanged.student)
    np.testing.assert_array_equal(alignment.mask, exchanged.mask)
    for index in range(6):
        for places in found(alignment, index):
            assert places == sorted(set(places))


def test_a_tokenization_and_itself_are_the_identity():
    student, _ = random_rows(3)
    alignment = align(student, student)
    for index in range(6):
        real = [place for place, triple in enumerate(triples(one_row(student, index))) if triple is not None]
        assert found(alignment, index) == (real, real)


def test_what_stands_for_no_text_is_never_paired():
    bos = row([(0, 0), (0, 2), (2, 2), (2, 3)], [1, 1, 1, 1])
    assert found(align(bos, bos)) == ([1, 3], [1, 3])
    assert found(align(bos, row([(0, 2), (2, 3)], [1, 1]))) == ([1, 3], [0, 1])
    assert found(align(row([(0, 2), (2, 3)], [0, 0]), bos)) == ([], [])


def test_equal_spans_of_different_texts_are_not_paired():
    student, teacher = row([(0, 2), (2, 3), (0, 2)], [1, 1, 2]), row([(0, 3), (0, 2)], [1, 2])
    assert found(align(student, teacher)) == ([2], [1])


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_padding_changes_nothing_whatever_it_holds(seed):
    student, teacher = random_rows(seed)
    expected = align(student, teacher)
    wider = align(padded(student, 3), padded(teacher, 5))
    assert wider.mask.shape == (6, 25)
    for name in ("student", "teacher", "mask"):
        assert not np.asarray(getattr(wider, name))[:, 20:].any()
        np.testing.assert_array_equal(np.asarray(getattr(wider, name))[:, :20], getattr(expected, name))


def test_a_row_without_tokens_has_no_pairs():
    nothing = row([(0, 4), (4, 5)], [0, 0])
    assert found(align(nothing, nothing)) == ([], [])
    assert align(row([], []), nothing).mask.shape == (0,)


def test_long_texts_and_many_segments_do_not_overflow():
    """2,000 texts of a million bytes are 2e9, just below 2^31."""
    long = 10**6
    starts = np.stack([np.zeros(2000), np.full(2000, long - 1)], axis=-1).reshape(-1)
    side = row(np.stack([starts, starts + 1], axis=-1), np.repeat(np.arange(1, 2001), 2))
    assert found(align(side, side)) == (list(range(4000)), list(range(4000)))


def test_transforms_change_nothing():
    student, teacher = random_rows(1)
    expected = align(student, teacher)
    loop = [align(one_row(student, index), one_row(teacher, index)) for index in range(6)]
    eager, mapped = exact_token.align(student, teacher), jax.jit(jax.vmap(exact_token.align))(student, teacher)
    for name in ("student", "teacher", "mask"):
        for one in (eager, mapped):
            np.testing.assert_array_equal(getattr(one, name), getattr(expected, name))
        np.testing.assert_array_equal(np.stack([getattr(one, name) for one in loop]), getattr(expected, name))
    twice = align(stack([student, student]), stack([teacher, teacher]))
    np.testing.assert_array_equal(np.asarray(twice.student)[1], expected.student)


def test_eight_devices_change_nothing():
    student, teacher = random_rows(2, rows=8)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    alignment = align(jax.device_put(student, sharding), jax.device_put(teacher, sharding))
    assert alignment.student.sharding.is_equivalent_to(sharding, 2)
    expected = align(student, teacher)
    for name in ("student", "teacher", "mask"):
        np.testing.assert_array_equal(getattr(alignment, name), getattr(expected, name))


def test_no_loop_over_tokens_and_no_table_of_pairs():
    side = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((4, 4096), leaf.dtype), spans("gpt2"))
    jaxpr = jax.make_jaxpr(exact_token.align)(side, side)
    loops = [equation for equation in jaxpr.jaxpr.eqns if equation.primitive.name in ("while", "scan")]
    assert [loop.params["length"] for loop in loops] == [13]  # a bisection
    assert max(out.aval.size for equation in jaxpr.jaxpr.eqns for out in equation.outvars) <= 4 * 4096 * 2


def test_sides_of_other_rows_are_refused():
    student, teacher = random_rows(0)
    with pytest.raises(
        ValueError, match=r"must hold the same rows, got spans of shape \(6, 24\) and \(20,\). Only the"
    ):
        exact_token.align(student, one_row(teacher, 0))


def test_records_are_pytrees():
    leaves, tree = jax.tree.flatten(spans("gpt2"))
    assert len(leaves) == 3
    assert isinstance(jax.tree.unflatten(tree, leaves), TokenSpans)
