"""Random numbers as a stream of batches."""

import itertools

import numpy as np
import pytest

from jaxkd.data.trajectories import samples
from jaxkd.sharding import Share


def first(stream, count):
    return np.stack(list(itertools.islice(iter(stream), count)))


def test_numbers_fill_the_unit_interval():
    numbers = first(samples.uniform(64, 3), 50).reshape(-1)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert len(np.unique(numbers)) == numbers.size
    assert abs(numbers.mean() - 0.5) < 4 / np.sqrt(12 * numbers.size)


def test_the_seed_decides_and_processes_share():
    whole = first(samples.uniform(6, 1), 3)
    parts = [first(samples.uniform(6, 1, share=Share(index=index, count=3)), 3) for index in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert not np.array_equal(first(samples.uniform(6, 2), 3), whole)


def test_it_goes_on_where_it_stopped():
    stream = iter(samples.uniform(2, 0))
    next(stream)
    state = stream.get_state()
    expected = [next(stream), next(stream)]
    again = iter(samples.uniform(2, 0))
    again.set_state(state)
    np.testing.assert_array_equal([next(again), next(again)], expected)


def test_refusals():
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        samples.uniform(2, -1)
    with pytest.raises(ValueError, match="rows must be a multiple of the number of processes"):
        samples.uniform(3, 0, share=Share(count=2))
