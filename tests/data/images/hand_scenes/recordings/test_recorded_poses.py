import dataclasses

import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.articulation import ANGLE_AXES, ANGLE_JOINTS, angle_limits, joint_angles
from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, load_hand
from jaxkd.data.images.hand_scenes.recordings.recorded_poses import (
    POSE_FILES,
    pose_rotations,
    read_recorded_pose,
    recorded_poses,
)
from tests.data.images.hand_scenes.tiny_hand import posed, random_rotations, rotations_of, tiny_hand


def write(path, *, joints=25, **hands):
    """Write a pose of both hands, whose wrists are turned and away from the origin."""
    turn, shift = random_rotations(np.random.default_rng(0)), np.array([0.1, 0.2, 0.3])
    matrices = np.tile(np.eye(4), (2, 25, 1, 1))
    for index, side in enumerate(("left", "right")):
        orientations, positions = hands[side]
        matrices[index, :, :3, :3] = turn @ orientations
        matrices[index, :, :3, 3] = positions @ turn.T + shift
    content = [np.array([joints]), matrices.swapaxes(-1, -2).ravel(), np.ones(50)]
    path.write_bytes(np.concatenate(content).astype("<f4").tobytes())
    return path


@pytest.fixture
def example(tmp_path):
    """A bent pose of both tiny hands: the file, and the rotations of each hand."""
    rng = np.random.default_rng(1)
    lowest, highest = angle_limits()
    angles = np.tile((0.7 * highest + 0.3 * lowest) * rng.uniform(0.5, 1, size=23), (3, 1)).astype(np.float32)
    angles[:, [MESH_JOINTS[joint].endswith("-finger-metacarpal") for joint in ANGLE_JOINTS]] = 0
    hands, rotations = {}, {}
    for side in ("left", "right"):
        upright = np.tile(np.eye(3, dtype=np.float32), (3, 1, 1))
        rotations[side] = rotations_of(angles, upright, side=side)
        orientations, positions, _ = posed(tiny_hand(side), rotations[side], np.zeros((3, 3), np.float32))
        hands[side] = orientations[0], positions[0]
    return write(tmp_path / "bent.handpose", **hands), hands, rotations


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_pose_is_read_in_the_frame_of_its_wrist(example, side):
    path, hands, rotations = example
    pose = read_recorded_pose(path)[side]
    assert (pose.name, pose.side) == ("bent", side)
    np.testing.assert_allclose(pose.orientations, hands[side][0], atol=2e-6)
    np.testing.assert_allclose(pose.positions, hands[side][1], atol=1e-6)
    hand = tiny_hand(side)
    found = pose_rotations(hand, pose)
    fingers = [joint for joint in range(25) if not MESH_JOINTS[joint].endswith("-finger-metacarpal")]
    still = [joint for joint in range(25) if joint not in fingers]
    np.testing.assert_allclose(found[still], np.tile(np.eye(3), (4, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(found[0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(found[fingers], rotations[side][0][fingers], atol=5e-6)


def test_a_pose_of_the_other_hand_is_refused(example):
    pose = read_recorded_pose(example[0])["left"]
    with pytest.raises(ValueError, match="pose must be of the hand's side, right, got 'bent' of the left hand"):
        pose_rotations(tiny_hand("right"), pose)
    with pytest.raises(ValueError, match="side must be left or right, got 'both'"):
        recorded_poses("both")


def test_damaged_files_are_refused(example):
    path, hands, _ = example
    content = path.read_bytes()
    path.write_bytes(content[:-4])
    with pytest.raises(ValueError, match=r"bent\.handpose must have 3404 bytes, got 3400\. It is damaged"):
        read_recorded_pose(path)
    with pytest.raises(
        ValueError, match=r"bent\.handpose must have 25 joints, got 21\.0\. Use a recording of a WebXR hand"
    ):
        read_recorded_pose(write(path, joints=21, **hands))
    hands["left"] = (hands["left"][0] * 1.01, hands["left"][1])
    with pytest.raises(
        ValueError, match="must have rigid transforms, got matrices whose rotation part differs from a rot"
    ):
        read_recorded_pose(write(path, **hands))


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_real_poses_are_within_the_limits_and_bend_at_hinges(hand_files, side):
    """A tracked hand moves about the axes of the joints alone, which shows that they are the right ones."""
    hand, poses = load_hand(side), recorded_poses(side)
    assert sorted(poses) == sorted(POSE_FILES) == ["fist", "flat", "horns", "point", "relax", "shaka", "vulcan"]
    lowest, highest = angle_limits()
    angles = np.stack([joint_angles(pose_rotations(hand, pose), side=side) for pose in poses.values()])
    free = np.zeros((25, 3), bool)
    free[ANGLE_JOINTS, ANGLE_AXES] = True
    slack = np.radians(1)  # tracked hands are not quite the mesh
    assert (angles[:, ANGLE_JOINTS, ANGLE_AXES] > lowest - slack).all()
    assert (angles[:, ANGLE_JOINTS, ANGLE_AXES] < highest + slack).all()
    free[0] = True
    assert np.abs(angles[:, ~free]).max() < np.radians(8)
    bent = [MESH_JOINTS.index(f"{name}-finger-phalanx-intermediate") for name in ("index", "middle", "ring", "pinky")]
    assert (angles[list(poses).index("fist")][bent, 0] > np.radians(80)).all()
    assert (np.abs(angles[list(poses).index("flat")][bent, 0]) < np.radians(15)).all()


@pytest.mark.slow
def test_the_recorded_knuckles_are_those_of_the_mesh(hand_files):
    hand = load_hand("left")
    knuckles = [index for index, name in enumerate(MESH_JOINTS) if name.endswith("-finger-phalanx-proximal")]
    for pose in recorded_poses("left").values():
        assert np.linalg.norm(pose.positions[knuckles] - hand.rest_positions[knuckles], axis=1).max() < 0.012
    assert dataclasses.asdict(POSE_FILES["fist"])["version"] == "3.1.13"
