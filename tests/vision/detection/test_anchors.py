"""Centres of cells and the square around each."""

import numpy as np
import pytest

from jaxkd.vision.detection.anchors import cell_centres, square_anchors
from tests.vision.detection import detection_oracle as oracle


def test_cells_are_listed_row_by_row_and_cover_the_image():
    found = cell_centres(2, 3, 4)
    assert found.tolist() == [[2, 2], [6, 2], [10, 2], [2, 6], [6, 6], [10, 6]]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.reshape(2, 3, 2)[1, 2], [2.5 * 4, 1.5 * 4])
    squares = square_anchors(found, stride=4, scale=1)  # one beside the other
    assert squares[0].tolist() == [0, 0, 4, 4]
    assert squares[-1].tolist() == [8, 4, 12, 8]


def test_anchors_are_eight_strides_wide_by_default():
    found = square_anchors(cell_centres(3, 2, 16), stride=16)
    np.testing.assert_array_equal(found, oracle.anchors(((3, 2),), (16,), 8))
    np.testing.assert_array_equal(found[:, 2:] - found[:, :2], 128)
    np.testing.assert_array_equal((found[:, 2:] + found[:, :2]) / 2, cell_centres(3, 2, 16))


def test_refuses_empty_maps_and_sides():
    with pytest.raises(ValueError, match=r"height and width must be 1 or more, got 0 and 2: a map has cells"):
        cell_centres(0, 2, 4)
    with pytest.raises(ValueError, match=r"stride must be > 0, got 0"):
        cell_centres(1, 2, 0)
    with pytest.raises(ValueError, match=r"stride and scale must be > 0, got 8 and -1"):
        square_anchors(cell_centres(1, 2, 8), stride=8, scale=-1)
