"""Edit distances, the nearest text and the cheapest path, against their definitions."""

import itertools
import random

import numpy as np
import pytest

from jaxkd.alignment.edit_distance import (
    WarpingPath,
    aligned_positions,
    edit_costs,
    edit_distances,
    nearest_texts,
    warped,
)


def levenshtein(one, other):
    """By its recurrence."""
    before = list(range(len(other) + 1))
    for i, left in enumerate(one):
        row = [i + 1]
        for j, right in enumerate(other):
            row.append(min(before[j] + (left != right), before[j + 1] + 1, row[j] + 1))
        before = row
    return before[-1]


def texts(seed, count, length, letters=4):
    draw = random.Random(seed)
    return [bytes(97 + draw.randrange(letters) for _ in range(draw.randrange(length))) for _ in range(count)]


def test_hand_values():
    assert edit_distances(b"flaw", [b"lawn", b"flaw", b"", b"flaws"]).tolist() == [2, 0, 4, 1]
    assert edit_distances(b"", [b"abc", b""]).tolist() == [3, 0]
    assert edit_distances("é".encode(), [b"e"]).tolist() == [2]  # two bytes
    assert edit_costs([b"a", b"ab"], [b"b"]).tolist() == [[1], [1]]
    assert nearest_texts([b"token", b"tokem"], [b"taken", b"token"]).tolist() == [1, 1]
    path = warped(np.array([[0, 9, 9], [9, 0, 1]]))
    assert (path.first.tolist(), path.last.tolist()) == ([0, 1], [0, 2])


@pytest.mark.parametrize("length", [8, 64, 66, 140], ids=lambda length: f"up to {length - 1} bytes")
def test_distances_equal_the_recurrence(length):
    """On both sides of the 64 bits of a machine's integer."""
    for seed in range(6):
        one, *others = texts(seed, 13, length)
        assert edit_distances(one, others).tolist() == [levenshtein(one, other) for other in others]
    rows, columns = texts(7, 5, length), texts(8, 6, length)
    expected = [[levenshtein(row, column) for column in columns] for row in rows]
    assert edit_costs(rows + rows[:1], columns).tolist() == expected + expected[:1]


def test_patterns_of_exactly_64_and_65_bytes():
    for size in (63, 64, 65):
        one = bytes(97 + place % 7 for place in range(size))
        others = [one, one[1:], one[:-1] + b"z", one + one, one[::-1]]
        assert edit_distances(one, others).tolist() == [levenshtein(one, other) for other in others]


def test_a_distance_is_one():
    words = texts(9, 12, 7)
    costs = edit_costs(words, words)
    assert (costs == costs.T).all()
    assert all((costs[i, j] == 0) == (words[i] == words[j]) for i, j in itertools.product(range(12), repeat=2))
    assert (costs[:, None, :] <= costs[:, :, None] + costs[None]).all()  # no detour is shorter


def test_the_nearest_text_equals_brute_force_and_is_the_first_of_equals():
    candidates = texts(10, 200, 6)
    queries = [*texts(11, 150, 9, letters=6), *candidates[:20], b"", bytes(range(255))]
    done = []
    found = nearest_texts(queries, candidates, done=done.append)
    for query, place in zip(queries, found, strict=True):
        distances = [levenshtein(query, candidate) for candidate in candidates]
        assert place == distances.index(min(distances)), query
    assert done == [64, 128, len(queries)]


def least_cost(costs):
    """Over all monotone paths, one by one."""
    n, m = costs.shape

    def rest(i, j):
        if (i, j) == (n - 1, m - 1):
            return costs[i, j]
        steps = [(i + 1, j + 1), (i + 1, j), (i, j + 1)]
        return costs[i, j] + min(rest(*step) for step in steps if step[0] < n and step[1] < m)

    return rest(0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3), (4, 4)], ids=str)
def test_the_path_is_the_cheapest_and_monotone(shape):
    for seed in range(5):
        costs = np.random.default_rng(seed).integers(0, 9, shape)
        path = warped(costs)
        assert path.first[0] == 0
        assert path.last[-1] == shape[1] - 1
        assert (path.first <= path.last).all()
        assert np.isin(path.first[1:] - path.last[:-1], (0, 1)).all()
        paid = sum(costs[i, first : last + 1].sum() for i, (first, last) in enumerate(zip(*path, strict=True)))
        assert paid == least_cost(costs)


def test_equal_paths_step_on_both_sides_first():
    path = warped(np.zeros((3, 5), int))
    assert (path.first.tolist(), path.last.tolist()) == ([0, 3, 4], [2, 3, 4])
    path = warped(np.zeros((3, 2), int))
    assert (path.first.tolist(), path.last.tolist()) == ([0, 0, 1], [0, 0, 1])


def test_equal_steps_on_one_side_are_the_teacher_s():
    """Around an expensive pair in the middle there are two ways; seen from the end, the teacher's step comes first."""
    costs = np.zeros((3, 3), int)
    costs[1, 1] = 5
    path = warped(costs)
    assert (path.first.tolist(), path.last.tolist()) == ([0, 0, 1], [0, 0, 2])


def test_a_sequence_is_aligned_with_itself():
    words = [b"the", b"cat", b"the", b"mat"]
    path = warped(edit_costs(words, words))
    ids = np.array([3, 1, 3, 2])
    assert aligned_positions(path, ids, ids, np.arange(4)).tolist() == [0, 1, 2, 3]


def test_positions_are_aligned_one_to_one_and_by_the_mapping():
    path = WarpingPath(first=np.array([0, 1, 1, 2]), last=np.array([0, 1, 1, 2]))
    mapping = np.array([0, 2, 3, -1])  # the teacher's token 1 leads to the student's 2
    assert aligned_positions(path, np.array([0, 1, 2, 3]), np.array([0, 1, 2]), mapping).tolist() == [0, -1, 1, 2]
    assert aligned_positions(path, np.array([0, 1, 2, 3]), np.array([0, 1, 3]), mapping).tolist() == [0, -1, 1, -1]
    two = WarpingPath(first=np.array([0]), last=np.array([1]))
    assert aligned_positions(two, np.array([0]), np.array([0, 0]), mapping).tolist() == [-1]


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(ValueError, match="candidates must hold at least one text, got none"):
        nearest_texts([b"a"], [])
    with pytest.raises(ValueError, match=r"costs must be of at least one position on each side, got shape \(0, 3\)"):
        warped(np.zeros((0, 3)))
