import collections
import itertools

import pytest

from jaxkd.data import Example
from jaxkd.data.examples import merge_near_duplicates, stable_split, subset

BODY = "\n".join(f"    total_{i} = first_{i} + second_{i} * {i}" for i in range(12))


def _example(key, response=BODY, group=None):
    return Example(key=key, group=group or key, messages=(("user", key),), response=response)


def test_splits_are_stable():
    # Pinned: a change would move examples from test to train between versions.
    expected = {"json/decoder.py": "train", "argparse.py": "train", "ast.py": "train"}
    assert {group: stable_split(group) for group in expected} == expected


def test_splits_have_their_shares():
    counts = collections.Counter(stable_split(f"group {index}") for index in range(10_000))
    assert counts["test"] / 10_000 == pytest.approx(0.1, abs=0.01)
    assert counts["validation"] / 10_000 == pytest.approx(0.1, abs=0.01)


def test_subsets_are_nested_and_ordered():
    examples = [_example(f"key {index}") for index in range(50)]
    small, large = subset(examples, 10), subset(examples, 30)
    assert (len(small), len(large)) == (10, 30)
    assert set(small) < set(large)
    assert small == [example for example in examples if example in small]
    assert set(small) != set(examples[:10])
    assert set(subset(examples[::-1], 10)) == set(small)


def test_a_subset_without_a_limit_is_all():
    examples = [_example(f"key {index}") for index in range(5)]
    assert subset(examples, None) == subset(examples, 99) == examples
    with pytest.raises(ValueError, match="limit must be at least 1, or None to keep all examples, got 0"):
        subset(examples, 0)


def test_near_duplicates_share_a_group():
    changed = BODY.replace("first_11", "other").upper().replace("\n", "\n\n")
    examples = [_example("b"), _example("c", "return " + BODY[::-1]), _example("a", changed)]
    merged, count = merge_near_duplicates(examples)
    assert [example.group for example in merged] == ["a", "c", "a"]
    assert count == 1
    assert [(e.key, e.response) for e in merged] == [(e.key, e.response) for e in examples]


def test_groups_merge_whole_and_transitively():
    other = BODY[::-1]
    examples = [
        _example("1", BODY, group="x"),
        _example("2", "something else entirely", group="x"),
        _example("3", BODY, group="y"),
        _example("4", other, group="y"),
        _example("5", other, group="z"),
    ]
    for order in itertools.permutations(examples):
        merged, count = merge_near_duplicates(order)
        assert {example.group for example in merged} == {"x"}
        assert count == 2


def test_short_responses_are_not_compared():
    examples = [_example("a", "return self.name"), _example("b", "return self.name")]
    merged, count = merge_near_duplicates(examples)
    assert (merged, count) == (examples, 0)
    assert merge_near_duplicates(examples, min_words=4)[1] == 1  # return, self, the full stop, name
    assert merge_near_duplicates(examples, min_words=5)[1] == 0


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_the_index_finds_exactly_the_pairs_that_a_full_comparison_finds(similarity):
    """Single words as shingles, all windows of one sequence: many pairs lie on the bound itself."""
    words = [f"w{index}" for index in range(30)]
    windows = [words[start : start + size] for size in (5, 6, 8, 10) for start in range(0, 20, 2)]
    for left, right in itertools.combinations(windows, 2):
        examples = [_example("a", " ".join(left)), _example("b", " ".join(right))]
        expected = len({*left} & {*right}) >= similarity * len({*left} | {*right})
        assert merge_near_duplicates(examples, similarity=similarity, shingle=1, min_words=1)[1] == expected


def test_wrong_bounds_are_refused():
    for similarity in (0, 1.5):
        with pytest.raises(ValueError, match=r"similarity must be in \(0, 1\], got"):
            merge_near_duplicates([], similarity=similarity)
    with pytest.raises(ValueError, match="shingle must be at least 1, got 0"):
        merge_near_duplicates([], shingle=0)
