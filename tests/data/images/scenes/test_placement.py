import collections

import numpy as np
import pytest

from jaxkd.data.images.scenes import layouts, placement
from jaxkd.data.images.scenes.layouts import BoxSequence
from jaxkd.data.images.scenes.placement import draw_placement, frame_scale


def many(count, **options):
    return [
        draw_placement(np.random.default_rng([7, seed]), "train", 96, 128, **{"most_objects": 6, **options})
        for seed in range(count)
    ]


def test_an_image_is_a_window_of_a_frame():
    assert frame_scale(96, 128) == 0.4
    assert frame_scale(192, 128) == 0.4
    assert frame_scale(240, 640) == 1


def test_an_object_is_where_its_frame_had_it_and_as_large():
    thermal, visible = np.array([[[300, 0, 340, 80]], [[304, 10, 342, 92]]], np.float32)
    sequence = BoxSequence(name="man", visible=visible, thermal=thermal)
    one = placement._place(np.random.default_rng(0), "person", sequence, 0, 96, 128)
    # It is 40 of 640 wide with 300 of 600 to its left, and becomes 16 of 128 wide with 56 of 112.
    np.testing.assert_allclose(one.thermal, [56, 0, 72, 32], rtol=1e-6)
    np.testing.assert_allclose(one.visible - one.thermal, [1.6, 4.0, 0.8, 4.8], rtol=1e-5)
    assert (one.kind, one.sequence) == ("person", "man")


def test_it_faces_where_it_goes():
    for step, facing in ((2, 1), (-2, -1)):
        left = 300 + step * np.arange(8, dtype=np.float32)
        boxes = np.stack([left, left * 0, left + 40, left * 0 + 80], axis=1)
        sequence = BoxSequence(name="man", visible=boxes, thermal=boxes)
        assert placement._place(np.random.default_rng(0), "person", sequence, 4, 96, 128).facing == facing


def test_objects_are_in_the_image_apart_and_from_far_to_near(packaged_images):
    drawn = many(300)
    counts = collections.Counter(len(each) for each in drawn)
    assert set(counts) == set(range(7))
    assert 20 <= counts[0] <= 70  # of 300, a seventh is meant to have none
    kinds = collections.Counter(one.kind for each in drawn for one in each)
    assert 0.4 < kinds["person"] / kinds.total() < 0.65
    assert min(kinds["cyclist"], kinds["car"]) / kinds.total() > 0.15
    for each in drawn:
        assert [one.thermal[3] for one in each] == sorted(one.thermal[3] for one in each)
        for place, one in enumerate(each):
            left, top, right, bottom = one.thermal
            assert 0 <= left < right <= 128 + 1e-4
            assert 0 <= top < bottom <= 96 + 1e-4
            assert bottom - top >= 8 - 1e-4
            assert bottom - top <= 0.9 * 96 + 1e-4
            assert all(placement._hidden(one.thermal, other.thermal) <= 0.3 for other in each[:place])


def weighted_percentiles(values, weights, shares):
    order = np.argsort(values)
    return np.interp(shares, np.cumsum(weights[order]) / weights.sum() * 100, values[order])


def test_heights_and_offsets_are_those_of_the_frames(packaged_images):
    """Each sequence of a class counts alike, whatever its length."""
    heights, apart, weights = [], [], []
    for kind, found in placement._usable("train", 96, 128).items():
        for sequence, frames in found:
            visible, thermal = sequence.visible[frames], sequence.thermal[frames]
            heights.append(thermal[:, 3] - thermal[:, 1])
            apart.append(np.hypot(*((visible[:, :2] + visible[:, 2:] - thermal[:, :2] - thermal[:, 2:]) / 2).T))
            weights.append(np.full(len(frames), placement._SHARES[kind] / len(found) / len(frames)))
    heights, apart, weights = (np.concatenate(each) for each in (heights, apart, weights))
    drawn = [one for each in many(1200, most_objects=1) for one in each]
    assert len(drawn) > 500
    found = np.array([one.thermal[3] - one.thermal[1] for one in drawn]) / 0.4
    expected = weighted_percentiles(heights, weights, [10, 50, 90])
    # Of 500 draws, the standard error of these percentiles is some 4% of each.
    np.testing.assert_allclose(np.percentile(found, [10, 50, 90]), expected, rtol=0.12)
    # Of all frames they are 25, 60 and 119.  No class has kettles and balls, which are the smallest annotated objects.
    assert expected.tolist() == [36, 63, 111]
    middles = [(one.visible[:2] + one.visible[2:] - one.thermal[:2] - one.thermal[2:]) / 2 / 0.4 for one in drawn]
    found = np.hypot(*np.array(middles).T)
    expected = weighted_percentiles(apart, weights, [50, 90])
    np.testing.assert_allclose(np.percentile(found, [50, 90]), expected, rtol=0.15)
    np.testing.assert_allclose(expected, [4, 11], rtol=0.3)
    assert found.max() <= layouts._FARTHEST + 1e-3


def test_sequences_without_a_frame_that_fits_are_left_out(packaged_images):
    for height, width in ((48, 48), (96, 128), (480, 640)):
        for kind, found in placement._usable("test", height, width).items():
            scale = frame_scale(height, width)
            assert found
            for sequence, frames in found:
                extents = (sequence.thermal[frames, 2:] - sequence.thermal[frames, :2]) * scale
                assert len(frames)
                assert sequence in layouts.layouts()["test"][kind]
                assert extents[:, 1].min() >= 8
                assert (extents <= 0.9 * np.array([width, height])).all()


@pytest.mark.parametrize(("other", "share"), [((5, 5, 15, 15), 0.25), ((2, 2, 4, 4), 1), ((10, 0, 20, 10), 0)])
def test_the_hidden_share_is_of_the_smaller_box(other, share):
    box = np.array([0, 0, 10, 10], np.float32)
    assert placement._hidden(box, np.array(other, np.float32)) == share
    assert placement._hidden(np.array(other, np.float32), box) == share
