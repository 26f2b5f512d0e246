"""Streams of batches: order, shares, augmentation by row, exact resumption."""

import collections
import itertools
import json

import numpy as np
import pytest

from jaxkd.data.images import Augmentation, ImageExample, image_batches
from jaxkd.sharding import Share

ROWS = 4


def examples(count, size=(6, 6)):
    """Every pixel of image n is n, so that its number can be read from a batch."""
    return [
        ImageExample(
            key=str(n), group=str(n), image=np.full((*size, 3), n, np.uint8), target=np.full(size, n % 2, np.uint8)
        )
        for n in range(count)
    ]


def noisy(count):
    rng = np.random.default_rng(1)
    return [
        ImageExample(
            key=str(n),
            group=str(n),
            image=rng.integers(0, 256, (6, 6, 3)).astype(np.uint8),
            target=rng.integers(0, 2, (6, 6)).astype(np.uint8),
        )
        for n in range(count)
    ]


def take(stream, count):
    return list(itertools.islice(stream, count))


def numbers(batches):
    return [int(n) for batch in batches for n in batch.images[:, 0, 0, 0]]


def assert_equal(left, right):
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.targets, other.targets)


def test_a_batch_holds_images_beside_their_targets():
    for batch in take(image_batches(examples(7), rows=ROWS, seed=0), 4):
        assert (batch.images.dtype, batch.images.shape) == (np.uint8, (ROWS, 6, 6, 3))
        assert (batch.targets.dtype, batch.targets.shape) == (np.uint8, (ROWS, 6, 6))
        np.testing.assert_array_equal(batch.targets[:, 0, 0], batch.images[:, 0, 0, 0] % 2)


def test_each_epoch_is_a_permutation_and_runs_on_into_the_next():
    # Seven images and batches of four: 28 rows are four epochs, none of which but the last ends with a batch.
    shown = numbers(take(image_batches(examples(7), rows=ROWS, seed=0), 7))
    epochs = [shown[start : start + 7] for start in range(0, 28, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4


def test_a_batch_larger_than_an_epoch_holds_several():
    (batch,) = take(image_batches(examples(3), rows=9, seed=0), 1)
    assert collections.Counter(numbers([batch])) == {0: 3, 1: 3, 2: 3}


def test_the_seed_decides_the_order_and_the_augmentation():
    def batches(seed):
        return take(image_batches(noisy(7), rows=ROWS, seed=seed, augmentation=Augmentation()), 3)

    assert_equal(batches(5), batches(5))
    assert any((one.images != other.images).any() for one, other in zip(batches(5), batches(6), strict=True))


def test_neighbouring_seeds_do_not_share_their_epochs():
    epochs = [
        tuple(numbers([batch]))
        for seed in range(3)
        for batch in take(image_batches(examples(32), rows=32, seed=seed), 3)
    ]
    assert len(set(epochs)) == 9


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_rows_of_one_global_stream(processes):
    def batches(**share):
        return take(image_batches(noisy(7), rows=ROWS, seed=3, augmentation=Augmentation(), **share), 5)

    shares = [batches(share=Share(index=index, count=processes)) for index in range(processes)]
    for whole, *parts in zip(batches(), *shares, strict=True):
        np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)
        np.testing.assert_array_equal(np.concatenate([part.targets for part in parts]), whole.targets)


def test_a_process_reads_its_own_rows_only():
    read = []

    class Watched(list):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    (batch,) = take(image_batches(Watched(examples(9)), rows=ROWS, seed=0, share=Share(index=1, count=2)), 1)
    assert read == numbers([batch])
    assert len(read) == 2


@pytest.mark.parametrize("consumed", [0, 1, 4, 9])
def test_the_stream_resumes_exactly_from_a_state_that_is_json(consumed):
    def stream():
        return iter(image_batches(noisy(7), rows=ROWS, seed=2, augmentation=Augmentation()))

    first = stream()
    take(first, consumed)
    state = json.loads(json.dumps(first.get_state()))
    expected = take(first, 5)
    resumed = stream()
    resumed.set_state(state)
    assert_equal(take(resumed, 5), expected)
    assert resumed.get_state() == first.get_state()


def test_the_state_does_not_depend_on_the_process():
    states = []
    for index in range(2):
        stream = iter(image_batches(examples(7), rows=ROWS, seed=0, share=Share(index=index, count=2)))
        take(stream, 3)
        states.append(stream.get_state())
    assert states[0] == states[1]


def test_a_row_is_augmented_by_seed_step_and_row_alone():
    drawn = []

    def recorded(image, target, rng):
        drawn.append(float(rng.random()))
        return image, target

    take(image_batches(examples(1), rows=2, seed=0, augmentation=recorded), 3)
    # One image, six rows: were it a function of the example or of the row alone, numbers would be repeated.
    assert len(set(drawn)) == 6
    again, drawn[:] = list(drawn), []
    take(image_batches(examples(5), rows=2, seed=0, augmentation=recorded), 3)
    assert drawn == again
    drawn.clear()
    take(image_batches(examples(1), rows=2, seed=1, augmentation=recorded), 3)
    assert not set(drawn) & set(again)


def test_targets_of_other_tasks_pass():
    points = [
        ImageExample(
            key=str(n), group=str(n), image=np.zeros((4, 4, 3), np.uint8), target=np.full((21, 2), n, np.uint8)
        )
        for n in range(3)
    ]
    (batch,) = take(image_batches(points, rows=2, seed=0), 1)
    assert batch.targets.shape == (2, 21, 2)


def test_images_of_two_sizes_are_refused():
    mixed = examples(1) + examples(1, size=(5, 6))
    with pytest.raises(ValueError, match=r"images must have one shape, got \(5, 6, 3\) and \(6, 6, 3\)\. Resize them"):
        take(image_batches(mixed, rows=2, seed=0), 1)


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (1, 0)])
def test_batches_of_no_examples_are_refused(count, rows):
    with pytest.raises(ValueError, match=f"examples and rows must be at least 1, got {count} and {rows}"):
        image_batches(examples(count), rows=rows, seed=0)


def test_a_negative_seed_and_rows_that_cannot_be_shared_are_refused():
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        image_batches(examples(1), rows=1, seed=-1)
    with pytest.raises(ValueError, match="rows must be a multiple of the number of processes"):
        image_batches(examples(1), rows=3, seed=0, share=Share(count=2))
