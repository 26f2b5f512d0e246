"""Pairs of tokens by their number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.alignment.by_index import align_by_index
from jaxkd.records import TokenSpans

align = jax.jit(align_by_index)


def tokens(segments):
    ids = np.asarray(segments, np.int32)
    zeros = jnp.asarray(np.zeros_like(ids))
    return TokenSpans(starts=zeros, ends=zeros, segment_ids=jnp.asarray(ids))


def random_rows(seed, width):
    """Segments of any length in rows, padding behind."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(6):
        row = np.repeat(np.arange(1, 4), random.integers(0, 5, 3))[:width]
        rows.append(np.pad(row, (0, width - len(row))))
    return np.array(rows)


def pairs(alignment, row):
    mask = np.asarray(alignment.mask)[row]
    sides = (np.asarray(side)[row][mask].tolist() for side in (alignment.student, alignment.teacher))
    return list(zip(*sides, strict=True))


def test_hand_value():
    found = align(tokens([[1, 1, 1, 2, 0]]), tokens([[1, 1, 2, 2]]))
    assert pairs(found, 0) == [(0, 0), (1, 1), (3, 2)]
    assert found.mask.shape == (1, 5)


@pytest.mark.parametrize("width", [12, 7])
def test_equals_a_loop(width):
    ours, theirs = random_rows(0, 12), random_rows(1, width)
    found = align(tokens(ours), tokens(theirs))
    for row in range(6):
        expected = []
        for segment in range(1, 4):
            expected += zip(*(np.flatnonzero(side[row] == segment).tolist() for side in (ours, theirs)), strict=False)
        assert pairs(found, row) == expected


def test_a_tokenization_and_itself_are_the_identity():
    rows = random_rows(2, 12)
    found = align(tokens(rows), tokens(rows))
    np.testing.assert_array_equal(found.mask, rows > 0)
    np.testing.assert_array_equal(found.student, found.teacher)


def test_rows_without_tokens_have_no_pairs():
    for ours, theirs in (([[0, 0]], [[1, 1]]), ([[1, 1]], [[0, 0]]), ([[1, 2]], np.zeros((1, 0)))):
        assert not np.asarray(align(tokens(ours), tokens(theirs)).mask).any()


def test_transforms_change_nothing():
    ours, theirs = tokens(random_rows(3, 12)), tokens(random_rows(4, 9))
    eager = align_by_index(ours, theirs)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(jax.vmap(align_by_index))(ours, theirs), eager)
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2], axis_types=(AxisType.Auto,))
    placed = jax.device_put((ours, theirs), jax.NamedSharding(mesh, jax.P("data")))
    jax.tree.map(np.testing.assert_array_equal, align(*placed), eager)


def test_other_rows_are_refused():
    with pytest.raises(ValueError, match="student and teacher must hold the same rows"):
        align_by_index(tokens([[1]]), tokens([[1], [1]]))
