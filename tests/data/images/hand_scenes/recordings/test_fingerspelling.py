import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.recordings.fingerspelling import depth_factor, fingerspelling, read_recordings
from jaxkd.data.images.hand_scenes.recordings.pose_files import read_pose_file
from jaxkd.data.images.hand_scenes.skinning import KEYPOINT_JOINTS
from tests.data.images.hand_scenes.recordings.tiny_poses import HANDS, frames, pose_file, wheel
from tests.data.images.hand_scenes.tiny_hand import random_rotations, tiny_hand

KEYPOINTS = np.asarray(tiny_hand().rest_positions, np.float64)[list(KEYPOINT_JOINTS)]


def test_a_pose_file_is_read():
    points, confidence = frames(np.random.default_rng(0), 3, right=(0, 2))
    file = read_pose_file(pose_file(points, confidence, rate=29.97), "a.pose")
    assert {name: len(landmarks) for name, landmarks in file.components.items()} == HANDS
    assert file.components["FACE_LANDMARKS"] == ("POINT_0", "POINT_1")
    assert file.rate == pytest.approx(29.97)
    found, certain = file.component("RIGHT_HAND_LANDMARKS")
    np.testing.assert_allclose(found, points[:, :, 23:], rtol=1e-6)
    np.testing.assert_array_equal(certain[:, 0, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="name must be one of FACE_LANDMARKS, LEFT_HAND_LANDMARKS, .* got 'HAND'"):
        file.component("HAND")


def test_other_pose_files_are_refused():
    content = pose_file(*frames(np.random.default_rng(0), 2, right=(0,)))
    with pytest.raises(ValueError, match=r"a\.pose must be a \.pose file of version 0\.2, got version 0\.1"):
        read_pose_file(pose_file(*frames(np.random.default_rng(0), 2), version=0.1), "a.pose")
    with pytest.raises(ValueError, match=r"a\.pose must have a whole header, got 60 bytes: "):
        read_pose_file(content[:60], "a.pose")
    with pytest.raises(
        ValueError, match=r"a\.pose must have 1408 bytes of landmarks for 2 frames, got 1404\. The file is"
    ):
        read_pose_file(content[:-4], "a.pose")


def test_frames_with_a_whole_hand_are_kept(tmp_path):
    rng = np.random.default_rng(1)
    both, right = frames(rng, 4, left=(1,), right=(0, 1, 3)), frames(rng, 2, right=(0, 1))
    right[1][1, 0, 30] = 0  # one landmark of the second frame is missing
    path = wheel(tmp_path / "a.whl", ase_b=pose_file(*both), tsm_a=pose_file(*right))
    left, first, second = read_recordings(path)
    assert [one.name for one in (left, first, second)] == ["ase/b/left", "ase/b/right", "tsm/a/right"]
    assert [one.language for one in (left, first, second)] == ["ase", "ase", "tsm"]
    assert [one.frames.tolist() for one in (left, first, second)] == [[1], [0, 1, 3], [0]]
    np.testing.assert_allclose(left.landmarks, both[0][[1], 0, 2:23], rtol=1e-6)
    np.testing.assert_allclose(first.landmarks, both[0][[0, 1, 3], 0, 23:], rtol=1e-6)


def test_files_that_do_not_fit_are_refused_by_name(tmp_path):
    path, rng = tmp_path / "a.whl", np.random.default_rng(2)
    with pytest.raises(ValueError, match=r"a\.whl must have \.pose files with hands, got 0 files\. Use the wheel of"):
        read_recordings(wheel(path))
    points, confidence = frames(rng, 2, right=(0, 1))
    two = pose_file(np.repeat(points, 2, axis=1), np.repeat(confidence, 2, axis=1))
    with pytest.raises(ValueError, match=r"ase/b\.pose in .* must be of one person, got 2\. Separate"):
        read_recordings(wheel(path, ase_b=two))
    fewer = {"FACE_LANDMARKS": 2, "LEFT_HAND_LANDMARKS": 20, "RIGHT_HAND_LANDMARKS": 22}
    with pytest.raises(ValueError, match=r"ase/b\.pose in .* must have 21 landmarks of the left hand, got 20"):
        read_recordings(wheel(path, ase_b=pose_file(points, confidence, components=fewer)))
    points[1, 0, 25, 2] = np.nan
    with pytest.raises(ValueError, match="must have finite landmarks where their confidence is positive, got NaN"):
        read_recordings(wheel(path, ase_b=pose_file(points, confidence)))


def test_the_depth_that_was_lost_is_found():
    rng = np.random.default_rng(3)
    turned = np.einsum("nij,kj->nki", random_rotations(rng, 40).astype(float), KEYPOINTS)
    landmarks = turned * rng.uniform(300, 800, size=(40, 1, 1)) * np.array([1, 1, 1 / 500])
    assert depth_factor(landmarks, KEYPOINTS) == pytest.approx(500, rel=1e-6)
    # Neither the place in the image nor the unit of the hand matters; noise makes the factor smaller, 1 mm by 2 %.
    noisy = landmarks + rng.normal(size=landmarks.shape) * 0.001 * 500 * np.array([1, 1, 1 / 500]) + 70
    assert 0.95 * 500 < depth_factor(noisy, 1000 * KEYPOINTS) < 500


def test_landmarks_without_depth_are_refused():
    flat = KEYPOINTS[None] * np.array([300, 300, 0])
    with pytest.raises(
        ValueError, match="landmarks must have a depth that evens out the lengths of bones, got a squared"
    ):
        depth_factor(flat, KEYPOINTS)


@pytest.mark.slow
def test_the_real_recordings(fingerspelling_wheel):
    recordings = fingerspelling()
    assert len(recordings) == 676
    assert sum(len(recording.frames) for recording in recordings) == 17_367
    assert sum(len(one.frames) for one in recordings if one.side == "left") == 2_962
    assert len({recording.language for recording in recordings}) == 19
    assert {round(recording.rate, 2) for recording in recordings} == {24, 25, 29.97, 30}
