import collections
import itertools
import json

import numpy as np
import pytest

from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.packing import (
    assembled,
    evaluation_batches,
    example_batches,
    features,
    longest,
    one_a_row,
    train_batches,
)
from jaxkd.sharding import Share

ROWS, LENGTH, TARGETS = 4, 24, 10


def _tokenized(count, seed=0):
    """Examples of 3 to 14 tokens; every token id is unique, so that a misplaced one shows."""
    rng = np.random.default_rng(seed)
    examples, following = [], 1
    for index in range(count):
        prompt, response = int(rng.integers(1, 8)), int(rng.integers(1, 7))
        tokens = np.arange(following, following + prompt + response, dtype=np.int32)
        following += len(tokens)
        examples.append(
            Tokenized(index=index, key=f"example {index}", tokens=tokens, prompt_length=prompt, response_bytes=response)
        )
    return examples


def _train(examples, *, seed=0, **kwargs):
    return train_batches(examples, rows=ROWS, length=LENGTH, targets=TARGETS, seed=seed, **kwargs)


def _evaluate(examples, **kwargs):
    return list(evaluation_batches(examples, rows=ROWS, length=LENGTH, targets=TARGETS, **kwargs))


def _take(stream, count):
    return list(itertools.islice(stream, count))


def _segments(batch):
    """(tokens, positions, targets) of each example of a batch, row by row."""
    for row in range(len(batch.tokens)):
        for segment in range(1, batch.segment_ids[row].max() + 1):
            (columns,) = np.nonzero(batch.segment_ids[row] == segment)
            inside = batch.loss_mask[row] & np.isin(batch.target_positions[row], columns)
            yield row, columns, np.flatnonzero(inside)


def _indices(batches):
    """Example index of each packed example, in order."""
    return [int(batch.example_ids[row, targets[0]]) for batch in batches for row, _, targets in _segments(batch)]


def _assert_equal(left, right):
    for name in ("tokens", "positions", "segment_ids", "target_positions", "labels", "loss_mask", "example_ids"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    if left.teacher is None:
        assert right.teacher is None
    else:
        np.testing.assert_array_equal(left.teacher, right.teacher)


@pytest.mark.parametrize("batches", [_take(_train(_tokenized(23)), 12), _evaluate(_tokenized(23))])
def test_packing_changes_no_example(batches):
    examples = _tokenized(23)
    for batch in batches:
        for row, columns, targets in _segments(batch):
            (index,) = set(batch.example_ids[row, targets].tolist())
            example = examples[index]
            np.testing.assert_array_equal(batch.tokens[row, columns], example.tokens)
            np.testing.assert_array_equal(batch.positions[row, columns], np.arange(len(example.tokens)))
            np.testing.assert_array_equal(batch.labels[row, targets], example.tokens[example.prompt_length :])


def test_a_label_is_the_token_after_its_target_position_and_of_the_same_segment():
    for batch in _take(_train(_tokenized(23)), 12):
        row, target = np.nonzero(batch.loss_mask)
        column = batch.target_positions[row, target]
        np.testing.assert_array_equal(batch.labels[row, target], batch.tokens[row, column + 1])
        np.testing.assert_array_equal(batch.segment_ids[row, column], batch.segment_ids[row, column + 1])


def test_padding_is_marked_and_counts_for_nothing():
    for batch in _take(_train(_tokenized(23)), 12):
        assert not batch.tokens[batch.segment_ids == 0].any()
        assert not batch.positions[batch.segment_ids == 0].any()
        assert not batch.target_positions[~batch.loss_mask].any()
        assert not batch.labels[~batch.loss_mask].any()
        assert (batch.example_ids[~batch.loss_mask] == -1).all()
        assert (batch.example_ids[batch.loss_mask] >= 0).all()


def test_shapes_and_dtypes_are_fixed():
    for batch in [*_take(_train(_tokenized(23)), 3), *_evaluate(_tokenized(23))]:
        for name in ("tokens", "positions", "segment_ids"):
            assert (getattr(batch, name).shape, getattr(batch, name).dtype) == ((ROWS, LENGTH), np.int32)
        for name in ("target_positions", "labels", "example_ids"):
            assert (getattr(batch, name).shape, getattr(batch, name).dtype) == ((ROWS, TARGETS), np.int32)
        assert (batch.loss_mask.shape, batch.loss_mask.dtype) == ((ROWS, TARGETS), np.bool_)
        assert batch.teacher is None


def test_each_budget_alone_can_close_a_row():
    long_prompts = [
        Tokenized(index=i, key="", tokens=np.arange(12, dtype=np.int32), prompt_length=11, response_bytes=1)
        for i in range(6)
    ]
    long_responses = [
        Tokenized(index=i, key="", tokens=np.arange(6, dtype=np.int32), prompt_length=1, response_bytes=5)
        for i in range(6)
    ]
    assert _evaluate(long_prompts)[0].segment_ids.max(axis=1).tolist() == [2, 2, 2, 0]  # 24 tokens, 2 targets
    assert _evaluate(long_responses)[0].segment_ids.max(axis=1).tolist() == [2, 2, 2, 0]  # 12 tokens, 10 targets


def test_training_shows_each_example_once_an_epoch():
    count = 37
    # Rows come in groups of 16 that hold the next examples of the stream; four batches of four are one.
    batches = _take(_train(_tokenized(count)), 24)
    for end in range(4, 25, 4):
        shown = collections.Counter(_indices(batches[:end]))
        times = [shown[index] for index in range(count)]
        assert max(times) - min(times) <= 1
    assert min(times) >= 2


def _pairs(seed, epochs):
    """Which examples share a row, for each epoch: 32 examples, two of which fill a row, so a group is an epoch."""
    examples = [
        Tokenized(index=i, key="", tokens=np.arange(12, dtype=np.int32), prompt_length=8, response_bytes=4)
        for i in range(32)
    ]
    indices = _indices(_take(_train(examples, seed=seed), 4 * epochs))
    rows = list(zip(indices[::2], indices[1::2], strict=True))
    return [set(rows[16 * epoch : 16 * epoch + 16]) for epoch in range(epochs)]


def test_each_epoch_has_its_own_order():
    epochs = _pairs(0, 3)
    for rows in epochs:
        assert sorted(itertools.chain.from_iterable(rows)) == list(range(32))
    assert all(left != right for left, right in itertools.combinations(epochs, 2))


def test_neighbouring_seeds_do_not_share_their_epochs():
    epochs = [rows for seed in range(3) for rows in _pairs(seed, 3)]
    assert all(left != right for left, right in itertools.combinations(epochs, 2))


def test_batches_are_filled_alike():
    # First fit leaves room in the rows that it opens last: in order, the last batch of a group would be at 0.66.
    fill = np.stack([(batch.segment_ids > 0).mean() for batch in _take(_train(_tokenized(23)), 64)])
    by_place = fill.reshape(16, 4).mean(axis=0)
    assert by_place.max() - by_place.min() < 0.08


def test_the_seed_decides_the_order():
    examples = _tokenized(23)
    same, again, other = (_take(_train(examples, seed=seed), 6) for seed in (5, 5, 6))
    for left, right in zip(same, again, strict=True):
        _assert_equal(left, right)
    assert _indices(same) != _indices(other)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_processes_share_the_rows_of_one_global_stream(processes, kind):
    examples = _tokenized(23)

    def teacher(index):
        count = len(examples[index].tokens) - examples[index].prompt_length
        return np.full((count, 3), index, np.float32)

    def batches(**share):
        return (
            _take(_train(examples, teacher=teacher, **share), 6)
            if kind == "train"
            else _evaluate(examples, teacher=teacher, **share)
        )

    shares = [batches(share=Share(index=index, count=processes)) for index in range(processes)]
    for whole, *parts in zip(batches(), *shares, strict=True):
        for name in ("tokens", "positions", "segment_ids", "target_positions", "labels", "example_ids", "teacher"):
            together = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(together, getattr(whole, name), err_msg=name)


@pytest.mark.parametrize("consumed", [0, 1, 3, 4, 7])
def test_the_stream_resumes_exactly_from_a_state_that_is_json(consumed):
    # Groups are 16 rows and batches 4, so most of these stop within a group.
    examples = _tokenized(23)
    stream = iter(_train(examples))
    _take(stream, consumed)
    state = json.loads(json.dumps(stream.get_state()))
    expected = _take(stream, 9)
    resumed = iter(_train(examples))
    resumed.set_state(state)
    for left, right in zip(expected, _take(resumed, 9), strict=True):
        _assert_equal(left, right)
    assert resumed.get_state() == stream.get_state()


def test_the_state_does_not_depend_on_the_process():
    examples = _tokenized(23)
    states = []
    for index in range(2):
        stream = iter(_train(examples, share=Share(index=index, count=2)))
        _take(stream, 5)
        states.append(stream.get_state())
    assert states[0] == states[1]


def test_one_example_fills_a_stream():
    (example,) = _tokenized(1)
    batch = next(iter(_train([example])))
    assert set(batch.example_ids[batch.loss_mask].tolist()) == {0}


@pytest.mark.parametrize("count", [1, 23, 60])
@pytest.mark.parametrize("pack", [True, False])
def test_evaluation_covers_each_example_once(count, pack):
    batches = _evaluate(_tokenized(count), pack=pack)
    indices = _indices(batches)
    assert sorted(indices) == list(range(count))
    if not pack:
        assert indices == list(range(count))
        assert len(batches) == -(-count // ROWS)
        assert max(batch.segment_ids.max() for batch in batches) == 1


def test_packing_needs_fewer_rows():
    examples = _tokenized(60)
    assert len(_evaluate(examples)) < len(_evaluate(examples, pack=False))


def test_evaluation_has_no_state():
    stream = evaluation_batches(_tokenized(23), rows=ROWS, length=LENGTH, targets=TARGETS)
    for left, right in zip(list(stream), list(stream), strict=True):
        _assert_equal(left, right)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_teacher_is_laid_beside_its_targets(dtype):
    examples = _tokenized(23)
    rng = np.random.default_rng(1)
    hiddens = [rng.normal(size=(len(e.tokens) - e.prompt_length, 5)).astype(dtype) for e in examples]
    for batch in [
        *_take(_train(examples, teacher=hiddens.__getitem__), 6),
        *_evaluate(examples, teacher=hiddens.__getitem__),
    ]:
        assert (batch.teacher.shape, batch.teacher.dtype) == ((ROWS, TARGETS, 5), dtype)
        assert not batch.teacher[~batch.loss_mask].any()
        for row, _, targets in _segments(batch):
            index = int(batch.example_ids[row, targets[0]])
            np.testing.assert_array_equal(batch.teacher[row, targets], hiddens[index])


def test_a_process_reads_the_teacher_for_its_own_rows_only():
    examples = _tokenized(23)
    asked = set()

    def teacher(index):
        asked.add(index)
        return np.zeros((len(examples[index].tokens) - examples[index].prompt_length, 2), np.float32)

    batch = next(iter(_train(examples, teacher=teacher, share=Share(index=1, count=2))))
    assert asked == set(batch.example_ids[batch.loss_mask].tolist())


def test_a_teacher_of_other_data_is_refused():
    stream = iter(_train(_tokenized(23), teacher=lambda index: np.zeros((9, 2), np.float32)))
    with pytest.raises(ValueError, match=r"teacher must return one row for each target .* got 9 rows for example \d+"):
        next(stream)


@pytest.mark.parametrize("batches", [_train, _evaluate])
def test_what_cannot_be_packed_is_refused_at_once(batches):
    with pytest.raises(ValueError, match="tokenized must hold at least one example"):
        batches([])
    good = _tokenized(3)
    long = Tokenized(index=3, key="a.py::f", tokens=np.zeros(25, np.int32), prompt_length=20, response_bytes=5)
    with pytest.raises(
        ValueError,
        match=r"tokenized must fit into rows of 24 tokens and 10 targets, got 25 tokens and 5 targets in 'a\.py::f'",
    ):
        batches([*good, long])
    wordy = Tokenized(index=3, key="a.py::f", tokens=np.zeros(20, np.int32), prompt_length=9, response_bytes=5)
    with pytest.raises(ValueError, match="got 20 tokens and 11 targets"):
        batches([*good, wordy])
    for prompt_length in (0, 5):
        bare = Tokenized(
            index=3, key="a.py::f", tokens=np.zeros(5, np.int32), prompt_length=prompt_length, response_bytes=5
        )
        with pytest.raises(ValueError, match="at least one prompt token and one target each"):
            batches([*good, bare])
    with pytest.raises(
        ValueError, match=r"rows must be a multiple of the number of processes, got 4 rows for 3 processes.*: 3\."
    ):
        batches(good, share=Share(count=3))


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        _train(_tokenized(3), seed=-1)


def test_one_a_row_is_an_evaluation_batch_without_packing():
    examples = _tokenized(ROWS)
    (expected,) = _evaluate(examples, pack=False)
    budgets = {"tokens": LENGTH, "targets": TARGETS}
    _assert_equal(assembled(one_a_row([features(one) for one in examples], budgets=budgets)), expected)


def test_the_least_budgets_hold_the_longest_example():
    arrays = [features(one) for one in _tokenized(5)]
    budgets = longest(arrays)
    assert budgets == {
        "tokens": max(len(one["tokens"]) for one in arrays),
        "targets": max(len(one["targets"]) for one in arrays),
    }
    assert assembled(one_a_row(arrays, budgets=budgets)).tokens.shape == (5, budgets["tokens"])
    with pytest.raises(ValueError, match=r"budgets\['targets'\] must hold the longest example, got 1 for"):
        one_a_row(arrays, budgets=budgets | {"targets": 1})


def test_batches_of_examples_hold_each_once_an_epoch_and_go_on():
    examples = _tokenized(10)
    stream = iter(example_batches(examples, rows=5, seed=3))
    first = [next(stream) for _ in range(2)]
    assert sorted(one.index for batch in first for one in batch) == list(range(10))
    state = json.loads(json.dumps(stream.get_state()))
    following = [one.index for one in next(stream)]
    again = iter(example_batches(examples, rows=5, seed=3))
    again.set_state(state)
    assert [one.index for one in next(again)] == following
    other = next(iter(example_batches(examples, rows=5, seed=4)))
    assert [one.index for one in other] != [one.index for one in first[0]]


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (1, 0)])
def test_batches_of_no_examples_are_refused(count, rows):
    with pytest.raises(ValueError, match=f"examples and rows must be at least 1, got {count} and {rows}"):
        example_batches(_tokenized(count), rows=rows, seed=0)
