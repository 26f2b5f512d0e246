import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, MESH_PARENTS
from jaxkd.data.images.hand_scenes.skinning import KEYPOINT_JOINTS, keypoints, pose_joints, skin, skin_normals
from tests.data.images.hand_scenes.tiny_hand import posed, random_rotations, tiny_hand

HAND = tiny_hand()
REST = np.tile(np.eye(3, dtype=np.float32), (3, 25, 1, 1))
"""Three frames: all tests share one program."""


def random_pose(seed):
    rng = np.random.default_rng(seed)
    return random_rotations(rng, 3, 25), rng.normal(size=(3, 3)).astype(np.float32)


def test_the_identity_is_the_mesh_at_rest():
    orientations, positions, vertices = posed(HAND, REST, np.zeros((3, 3), np.float32))
    np.testing.assert_allclose(orientations[1], HAND.rest_rotations, atol=1e-6)
    np.testing.assert_allclose(positions[1], HAND.rest_positions, atol=1e-7)
    np.testing.assert_allclose(vertices[1], HAND.vertices, atol=1e-7)


def test_a_rigid_motion_commutes_with_posing():
    rotations, translation = random_pose(0)
    turn, shift = random_rotations(np.random.default_rng(1)), np.array([0.3, -0.2, 0.5], np.float32)
    _, positions, vertices = posed(HAND, rotations, translation)
    moved = rotations.copy()
    moved[:, 0] = turn @ rotations[:, 0]
    _, moved_positions, moved_vertices = posed(HAND, moved, translation @ turn.T + shift)
    np.testing.assert_allclose(moved_positions, positions @ turn.T + shift, atol=2e-6)
    np.testing.assert_allclose(moved_vertices, vertices @ turn.T + shift, atol=2e-6)


def test_bones_keep_their_lengths():
    rotations, translation = random_pose(2)
    _, positions, _ = posed(HAND, rotations, translation)
    parents = list(MESH_PARENTS[1:])
    lengths = np.linalg.norm(positions[:, 1:] - positions[:, parents], axis=-1)
    expected = np.linalg.norm(HAND.rest_positions[1:] - HAND.rest_positions[parents], axis=-1)
    np.testing.assert_allclose(lengths, np.tile(expected, (3, 1)), atol=1e-6)


def test_poses_are_products_of_matrices_as_in_gltf():
    """Float64 oracle: a 4 x 4 matrix for each joint, joint by joint, and a sum over joints for each vertex."""
    rotations, translation = random_pose(3)
    rest = np.tile(np.eye(4), (25, 1, 1))
    rest[:, :3, :3], rest[:, :3, 3] = HAND.rest_rotations, HAND.rest_positions
    world = np.tile(np.eye(4), (25, 1, 1))
    world[0, :3, :3], world[0, :3, 3] = rotations[1, 0], translation[1]
    for joint in range(1, 25):
        local = np.eye(4)
        local[:3, :3] = rotations[1, joint]
        parent = MESH_PARENTS[joint]
        world[joint] = world[parent] @ np.linalg.inv(rest[parent]) @ rest[joint] @ local
    flat = np.concatenate([HAND.vertices, np.ones((100, 1))], axis=1)
    expected = sum(HAND.weights[:, j, None] * (flat @ (world[j] @ np.linalg.inv(rest[j])).T) for j in range(25))
    orientations, positions, vertices = posed(HAND, rotations, translation)
    np.testing.assert_allclose(orientations[1], world[:, :3, :3], atol=3e-6)
    np.testing.assert_allclose(positions[1], world[:, :3, 3], atol=1e-6)
    np.testing.assert_allclose(vertices[1], expected[:, :3], atol=1e-6)


def test_a_joint_moves_what_hangs_on_it_and_nothing_else():
    rotations = REST.copy()
    joint = MESH_JOINTS.index("index-finger-phalanx-proximal")
    rotations[:, joint] = random_rotations(np.random.default_rng(4))
    _, positions, vertices = posed(HAND, rotations, np.zeros((3, 3), np.float32))
    moved = np.linalg.norm(positions[0] - HAND.rest_positions, axis=-1) > 1e-4
    assert [MESH_JOINTS[j] for j in np.flatnonzero(moved)] == [
        "index-finger-phalanx-intermediate",
        "index-finger-phalanx-distal",
        "index-finger-tip",
    ]
    still = HAND.weights[:, joint : joint + 4].sum(1) == 0
    np.testing.assert_allclose(vertices[0][still], HAND.vertices[still], atol=1e-7)


def test_keypoints_are_in_the_order_of_mediapipe():
    assert [MESH_JOINTS[j].replace("-finger-phalanx", "").replace("-finger", "") for j in KEYPOINT_JOINTS] == [
        "wrist",
        "thumb-metacarpal",
        "thumb-phalanx-proximal",
        "thumb-phalanx-distal",
        "thumb-tip",
        *(
            f"{finger}-{bone}"
            for finger in ("index", "middle", "ring", "pinky")
            for bone in ("proximal", "intermediate", "distal", "tip")
        ),
    ]
    points = keypoints(jnp.asarray(HAND.rest_positions))
    np.testing.assert_array_equal(points[8], HAND.rest_positions[MESH_JOINTS.index("index-finger-tip")])


def test_normals_turn_with_the_hand():
    turn = random_rotations(np.random.default_rng(5))
    orientations = jnp.asarray(turn @ np.asarray(HAND.rest_rotations))
    np.testing.assert_allclose(skin_normals(HAND, orientations), HAND.normals @ turn.T, atol=2e-6)


def test_other_numbers_of_joints_are_refused():
    with pytest.raises(
        ValueError, match=r"rotations and translation must be \[..., 25, 3, 3\] and .* got \(20, 3, 3\) and"
    ):
        pose_joints(HAND, jnp.zeros((20, 3, 3)), jnp.zeros(3))
    with pytest.raises(
        ValueError, match=r"rotations and translation must be .*\. Give a rotation for each of the 25 joints"
    ):
        pose_joints(HAND, jnp.zeros((2, 25, 3, 3)), jnp.zeros(3))
    with pytest.raises(
        ValueError, match=r"orientations and positions must be .* got \(25, 3, 3\) and \(21, 3\)\. Take th"
    ):
        skin(HAND, jnp.zeros((25, 3, 3)), jnp.zeros((21, 3)))
    with pytest.raises(ValueError, match=r"positions must be \[..., 25, 3\], joints of the mesh, got \(21, 3\)"):
        keypoints(jnp.zeros((21, 3)))
