"""Frames of several cameras at one instant, and cameras that do not share a clock."""

import dataclasses

import numpy as np
import pytest

from jaxkd.data.images.hands import frames_by_instant, read_assembly_hands
from tests.data.images.hands.hand_files import assembly_files, write_assembly


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Three instants as two cameras have them: the frames of one, and those of the other in reverse order."""
    folder = tmp_path_factory.mktemp("hands") / "annotations"
    return joined(read_assembly_hands(write_assembly(folder, assembly_files()), split="val"))


def joined(frames, *, late=0):
    """The frames of a camera, and of another one that numbers them from `late` frames after its start."""
    order = [0, 1, 2, *((2 - np.arange(3) - late) % 3)]
    arrays = ("intrinsics", "rotations", "translations", "boxes", "joints", "valid")
    lists = ("sequences", "images", "sizes")
    numbers = [frames.numbers[one] for one in (0, 1, 2, 2, 1, 0)]
    cameras = ["left"] * 3 + ["right"] * 3
    return dataclasses.replace(
        frames,
        cameras=tuple(cameras),
        numbers=tuple(numbers),
        keys=tuple(f"{camera}/{number}" for camera, number in zip(cameras, numbers, strict=True)),
        **{name: getattr(frames, name)[np.array(order)] for name in arrays},
        **{name: tuple(getattr(frames, name)[one] for one in order) for name in lists},
    )


def rows(frames, count):
    return dataclasses.replace(
        frames,
        **{
            field.name: getattr(frames, field.name)[:count]
            for field in dataclasses.fields(frames)
            if field.name not in ("source", "order", "distortions")
        },
    )


def test_views_of_an_instant_stand_in_a_row(seen):
    assert frames_by_instant(seen, ("left", "right")).tolist() == [[0, 5], [1, 4], [2, 3]]
    assert frames_by_instant(seen, ("right", "left")).tolist() == [[3, 2], [4, 1], [5, 0]]


def test_instants_that_a_camera_lacks_are_left_out(seen):
    assert frames_by_instant(rows(seen, 5), ("left", "right")).tolist() == [[1, 4], [2, 3]]


def test_joints_that_are_not_valid_may_be_anything(seen):
    joints, valid = seen.joints.copy(), seen.valid.copy()
    joints[5, 0, 3], valid[5, 0, 3] = np.nan, False
    assert len(frames_by_instant(dataclasses.replace(seen, joints=joints, valid=valid), ("left", "right"))) == 3


def test_cameras_of_two_clocks_are_refused(seen):
    late = joined(rows(seen, 3), late=1)
    with pytest.raises(ValueError, match=r"must share a clock, got joints that are up to \d+\.\d mm apart in left/4 a"):
        frames_by_instant(late, ("left", "right"))


def test_numbers_without_a_common_instant_are_refused(seen):
    later = dataclasses.replace(seen, numbers=(*seen.numbers[:3], 104, 114, 124))
    with pytest.raises(ValueError, match="must have an instant in common, got none. If each counts its frames"):
        frames_by_instant(later, ("left", "right"))


@pytest.mark.parametrize(
    ("cameras", "said"),
    [
        ((), "cameras must be two or more different names, got none"),
        (("left",), "cameras must be two or more different names, got left"),
        (("left", "left"), "cameras must be two or more different names, got left, left"),
        (("left", "top"), "cameras must be among those of .*, which are left, right, got 'top'"),
    ],
)
def test_cameras_that_are_not_several_of_the_frames_are_refused(seen, cameras, said):
    with pytest.raises(ValueError, match=said):
        frames_by_instant(seen, cameras)


def test_two_frames_of_one_instant_are_refused(seen):
    twice = dataclasses.replace(seen, numbers=(*seen.numbers[:5], seen.numbers[4]))
    with pytest.raises(ValueError, match="a camera must have one frame of an instant, got right/14 and right/4"):
        frames_by_instant(twice, ("left", "right"))
