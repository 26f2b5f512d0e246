"""Stable contacts: what begins and ends where, what slides, and the two oddities of the released code."""

import re

import numpy as np
import pytest

from jaxkd.metrics.hand_pose import contact_windows

FAR = 0.5
SURFACE = np.array([[0.0, 0, 0], [0.01, 0, 0], [0.001, 0, 0]])


def contacts(*runs, frames=20, vertices=2, closest=None):
    """Distances of which those of the runs (vertex, first, last) are contacts."""
    distances = np.full((frames, vertices), FAR)
    for vertex, first, last in runs:
        distances[first : last + 1, vertex] = 0.001
    return distances, np.zeros((frames, vertices), int) if closest is None else closest


def test_hand_values():
    distances, closest = contacts((0, 0, 14), (1, 5, 19), (0, 17, 19))
    assert contact_windows(distances, closest, SURFACE).tolist() == [[0, 14, 0, 0], [5, 19, 1, 0]]
    assert contact_windows(distances, closest, SURFACE, shortest=3).tolist() == [
        [0, 14, 0, 0],
        [17, 19, 0, 0],
        [5, 19, 1, 0],
    ]
    assert contact_windows(distances, closest, SURFACE, shortest=16).shape == (0, 4)
    assert contact_windows(*contacts(), SURFACE).shape == (0, 4)
    assert contact_windows(np.zeros((0, 2)), np.zeros((0, 2), int), SURFACE).shape == (0, 4)


def test_the_threshold_itself_and_nan_are_no_contact():
    distances, closest = contacts((0, 0, 19))
    distances[:, 0] = 0.003
    assert not len(contact_windows(distances, closest, SURFACE))
    distances[:, 0] = np.where(np.arange(20) == 10, np.nan, 0.001)
    assert contact_windows(distances, closest, SURFACE, shortest=9).tolist() == [[0, 9, 0, 0], [11, 19, 0, 0]]


def test_what_slides_is_left_out_and_the_place_is_the_most_frequent_one():
    distances, closest = contacts((0, 1, 18), (1, 1, 18))
    closest[:9, 0], closest[9:, 0] = 0, 1  # half of the frames 10 mm away: about 5 mm on average
    closest[:, 1] = np.where(np.arange(20) % 3 == 0, 0, 2)  # back and forth by 1 mm
    assert contact_windows(distances, closest, SURFACE).tolist() == [[1, 18, 1, 2]]
    closest[:, 1] = np.where(np.arange(20) % 2 == 0, 0, 2)
    assert contact_windows(distances, closest, SURFACE).tolist() == [[1, 18, 1, 0]]  # the lower of equals
    # Nine pairs of frames of a hundred and fifty-three are 10 mm apart in turn: the mean decides.
    closest[:, 0] = np.where(np.arange(20) == 5, 1, 0)
    mean = 17 * 0.01 / (18 * 17 / 2)
    for threshold, kept in ((mean * 1.01, True), (mean * 0.99, False)):
        assert (0 in contact_windows(distances, closest, SURFACE, threshold=threshold)[:, 2]) == kept


def test_contacts_at_both_ends_count_unless_the_released_code_is_asked_for():
    distances, closest = contacts((0, 0, 15), (1, 4, 19))
    assert len(contact_windows(distances, closest, SURFACE)) == 2
    assert contact_windows(distances, closest, SURFACE, open_at_end="drop").tolist() == [[0, 15, 0, 0]]
    with pytest.raises(
        ValueError, match="contacts must not begin in the first frame with open_at_start='raise', got one"
    ):
        contact_windows(distances, closest, SURFACE, open_at_start="raise")
    assert len(contact_windows(distances[1:], closest[1:], SURFACE, open_at_start="raise", shortest=16)) == 1
    whole = contacts((0, 0, 19))  # dropped for its end before its start is looked at
    assert not len(contact_windows(*whole, SURFACE, open_at_end="drop", open_at_start="raise"))
    inner, closest = contacts((0, 2, 17))
    released = contact_windows(inner, closest, SURFACE, open_at_end="drop", open_at_start="raise")
    assert released.tolist() == contact_windows(inner, closest, SURFACE).tolist() == [[2, 17, 0, 0]]


@pytest.mark.usefixtures("unchecked_shapes")
def test_arguments_that_cannot_be_right_are_rejected():
    distances, closest = contacts((0, 0, 15))
    with pytest.raises(ValueError, match=re.escape("truth_distances must be [frames, vertices], got the shape (20,)")):
        contact_windows(distances[:, 0], closest, SURFACE)
    with pytest.raises(ValueError, match=re.escape("truth_closest must have the shape (20, 2) that")):
        contact_windows(distances, closest[:5], SURFACE)
    with pytest.raises(ValueError, match="truth_closest must hold indices of the 3 vertices of the object, got 0 to 3"):
        contact_windows(distances, closest + np.arange(20)[:, None] // 19 * 3, SURFACE)
    with pytest.raises(ValueError, match="open_at_end must be one of count, drop, got 'no'"):
        contact_windows(distances, closest, SURFACE, open_at_end="no")
    with pytest.raises(ValueError, match="open_at_start must be one of count, raise, got 'no'"):
        contact_windows(distances, closest, SURFACE, open_at_start="no")
