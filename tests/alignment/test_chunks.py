"""Stretches between common ends: by hand, by sets, and what must hold for all of them."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd.alignment import exact_token
from jaxkd.alignment.chunks import chunks
from tests.alignment.tokenizations import found, one_row, padded, random_rows, row, spans, triples
from tests.losses.compiled import jitted

SEEDS = range(20)
ROOM = 16
align = jax.jit(exact_token.align)
number = jitted(chunks)


def numbers(student, teacher):
    """Chunk numbers of one row, padded to the length of every row."""
    sides = student, teacher
    sizes = [side.starts.shape[0] for side in sides]
    found = number(*(padded(side, ROOM - size) for side, size in zip(sides, sizes, strict=True)))
    return tuple(side[:size].tolist() for side, size in zip(found, sizes, strict=True))


def test_hand_value():
    student, teacher = numbers(spans("gpt2"), spans("qwen"))
    #        Ut il izing 20 23 token izers . \n \n Line two end
    assert student == [1, 1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 9, 10]
    #        Util izing " " 2 0 2 3 token izers .\n\n Line two end
    assert teacher == [1, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10]


def by_sets(student, teacher):
    """The definition, a text at a time."""
    ours, theirs = triples(student), triples(teacher)
    common = {(triple[0], triple[2]) for triple in ours if triple is not None} & {
        (triple[0], triple[2]) for triple in theirs if triple is not None
    }
    ordered = sorted(common)

    def number_of(triple):
        if triple is None:
            return 0
        behind = [end for end in ordered if end[0] == triple[0] and end[1] >= triple[2]]
        return ordered.index(behind[0]) + 1 if behind else 0

    return [number_of(triple) for triple in ours], [number_of(triple) for triple in theirs]


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_sets_of_common_ends(seed):
    student, teacher = random_rows(seed)
    ours, theirs = number(student, teacher)
    for index in range(6):
        expected = by_sets(one_row(student, index), one_row(teacher, index))
        assert (ours[index].tolist(), theirs[index].tolist()) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stretch_has_tokens_on_both_sides_that_end_together(seed):
    student, teacher = random_rows(seed)
    ours, theirs = number(student, teacher)
    for index in range(6):
        assert set(ours[index]) - {0} == set(theirs[index]) - {0}
        for stretch in set(ours[index]) - {0}:
            last = [
                max(
                    triple
                    for triple, of in zip(triples(one_row(side, index)), groups[index], strict=True)
                    if of == stretch
                )
                for side, groups in ((student, ours), (teacher, theirs))
            ]
            assert (last[0][0], last[0][2]) == (last[1][0], last[1][2])


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_of_equal_spans_share_a_stretch(seed):
    student, teacher = random_rows(seed)
    ours, theirs = number(student, teacher)
    alignment = align(student, teacher)
    for index in range(6):
        places, partners = found(alignment, index)
        np.testing.assert_array_equal(ours[index][places], theirs[index][partners])


def test_exchanged_sides_exchange_the_results_and_equals_have_stretches_of_one_token():
    student, teacher = random_rows(4)
    for ours, theirs in zip(number(student, teacher), reversed(number(teacher, student)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert numbers(spans("llama"), spans("llama")) == (list(range(1, 16)), list(range(1, 16)))


def test_a_beginning_on_one_side_only_merges_nothing():
    """A merge by accumulated strings puts a whole sequence into one group there."""
    without, with_bos = row([(0, 2), (2, 5)], [1, 1]), row([(0, 0), (0, 2), (2, 5)], [1, 1, 1])
    assert numbers(without, with_bos) == ([1, 2], [0, 1, 2])


def test_what_one_side_cut_off_has_no_number_and_the_next_text_goes_on_counting():
    student = row([(0, 2), (2, 5), (5, 9), (0, 3)], [1, 1, 1, 2])
    teacher = row([(0, 2), (2, 7), (0, 1), (1, 3)], [1, 1, 2, 2])
    assert numbers(student, teacher) == ([1, 0, 0, 2], [1, 0, 2, 2])


def test_padding_changes_nothing_whatever_it_holds():
    student, teacher = random_rows(5)
    for narrow, wide in zip(number(student, teacher), number(padded(student, 3), padded(teacher, 5)), strict=True):
        np.testing.assert_array_equal(wide[:, : narrow.shape[1]], narrow)
        assert not wide[:, narrow.shape[1] :].any()
    nothing = row([(0, 4), (4, 5)], [0, 0])
    assert numbers(nothing, nothing) == ([0, 0], [0, 0])
    assert numbers(row([], []), nothing) == ([], [0, 0])
    assert [side.shape for side in number(row([], []), nothing)] == [(0,), (2,)]


def test_long_texts_and_many_segments_do_not_overflow():
    starts = np.stack([np.zeros(2000), np.full(2000, 10**6 - 1)], axis=-1).reshape(-1)
    side = row(np.stack([starts, starts + 1], axis=-1), np.repeat(np.arange(1, 2001), 2))
    for numbered in number(side, side):
        np.testing.assert_array_equal(numbered, np.arange(1, 4001))


def test_transforms_change_nothing():
    student, teacher = random_rows(1)
    expected = number(student, teacher)
    eager, mapped = chunks(student, teacher), jax.jit(jax.vmap(chunks))(student, teacher)
    loop = zip(*(number(one_row(student, index), one_row(teacher, index)) for index in range(6)), strict=True)
    for numbered in (eager, mapped, map(np.stack, loop)):
        for side, other in zip(numbered, expected, strict=True):
            np.testing.assert_array_equal(side, other)


def test_eight_devices_change_nothing():
    student, teacher = random_rows(2, rows=8)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    placed = jax.jit(chunks)(jax.device_put(student, sharding), jax.device_put(teacher, sharding))
    for ours, theirs in zip(placed, number(student, teacher), strict=True):
        assert ours.sharding.is_equivalent_to(sharding, 2)
        np.testing.assert_array_equal(ours, theirs)


def test_sides_of_other_rows_are_refused():
    student, teacher = random_rows(0)
    with pytest.raises(ValueError, match=r"must hold the same rows, got spans of shape \(6, 24\) and \(20,\)"):
        chunks(student, one_row(teacher, 0))


def test_the_fixture_pairs_are_stretches_of_one_token():
    student, teacher = spans("llama"), spans("qwen")
    ours, theirs = numbers(student, teacher)
    places, partners = found(align(student, teacher))
    assert [ours[place] for place in places] == [theirs[place] for place in partners]
    assert all(ours.count(ours[place]) == 1 for place in places)
