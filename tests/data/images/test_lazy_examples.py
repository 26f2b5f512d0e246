"""Examples are read when they are indexed, and kept up to a number of bytes."""

import numpy as np
import pytest

from jaxkd.data.images import ImageExample
from jaxkd.data.images.lazy_examples import LazyExamples

BYTES = 2 * 2 * 3 + 2 * 2


def lazy(count, most_bytes=0):
    read = []

    def example(index):
        read.append(index)
        image = np.full((2, 2, 3), index, np.uint8)
        return ImageExample(key=str(index), group=str(index), image=image, target=image[..., 0])

    return LazyExamples(example, count, most_bytes=most_bytes), read


def test_nothing_is_read_before_it_is_indexed():
    found, read = lazy(5)
    assert (len(found), read) == (5, [])
    assert found[3].key == "3"
    assert found[-1].key == "4"
    assert read == [3, 4]


def test_it_is_a_sequence():
    found, read = lazy(5)
    part = found[1:4]
    assert (len(part), read) == (3, [])
    assert [example.key for example in part] == ["1", "2", "3"]
    assert [example.key for example in found[::-2]] == ["4", "2", "0"]
    with pytest.raises(IndexError):
        found[5]


def test_the_first_ones_are_kept():
    found, read = lazy(5, most_bytes=2 * BYTES)
    for _ in range(2):
        assert [example.key for example in found] == ["0", "1", "2", "3", "4"]
    assert read == [0, 1, 2, 3, 4, 2, 3, 4]
    assert found[0] is found[:2][0]


@pytest.mark.parametrize("most_bytes", [0, BYTES])
def test_what_readers_share_cannot_be_changed(most_bytes):
    found, _ = lazy(1, most_bytes=most_bytes)
    for array in (found[0].image, found[0].target):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 9
