"""Boxes of one image as arrays of a fixed number of rows."""

import numpy as np
import pytest

from jaxkd.data.images.detection import pad_boxes


def boxes(count, rows):
    corners = np.arange(4 * count, dtype=np.float64).reshape(count, 4)
    return pad_boxes(corners, classes=np.arange(count) + 1, ignored=np.arange(count) == 1, rows=rows)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_objects_come_first_and_the_rest_is_padding(count):
    found = boxes(count, 3)
    dtypes = [array.dtype for array in (found.corners, found.classes, found.mask, found.ignored)]
    assert dtypes == [np.float32, np.int32, bool, bool]
    np.testing.assert_array_equal(found.corners[:count], np.arange(4 * count).reshape(count, 4))
    assert found.classes.tolist() == [*range(1, count + 1), *[0] * (3 - count)]
    assert found.mask.tolist() == [True] * count + [False] * (3 - count)
    assert found.ignored.tolist() == [False, count > 1, False]
    assert not found.corners[count:].any()


def test_more_objects_than_rows_are_refused():
    with pytest.raises(ValueError, match="rows must be at least the number of objects, 3, got 2"):
        boxes(3, 2)
