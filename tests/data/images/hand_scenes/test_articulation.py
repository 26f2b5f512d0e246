import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.articulation import (
    ANGLE_AXES,
    ANGLE_JOINTS,
    JOINT_ANGLES,
    angle_limits,
    joint_angles,
    joint_rotations,
    mirrored,
    rotations_from_orientations,
)
from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS
from tests.data.images.hand_scenes.tiny_hand import MIRROR, posed, random_rotations, rotations_of, tiny_hand

LOWEST, HIGHEST = angle_limits()
UPRIGHT = np.tile(np.eye(3, dtype=np.float32), (3, 1, 1))
SOMEWHERE = np.zeros((3, 3), np.float32)


def random_angles(seed):
    share = np.random.default_rng(seed).uniform(size=(3, len(JOINT_ANGLES)))
    return (LOWEST + share * (HIGHEST - LOWEST)).astype(np.float32)


def only(joint, motion, degrees):
    """Angles of which one is not 0, in three frames."""
    place = next(i for i, angle in enumerate(JOINT_ANGLES) if (angle.joint, angle.motion) == (joint, motion))
    angles = np.zeros((3, len(JOINT_ANGLES)), np.float32)
    angles[:, place] = np.radians(degrees)
    return angles


def test_limits_hold_the_rest_pose_and_are_in_radians():
    assert ((LOWEST < 0) & (HIGHEST > 0)).all()
    assert HIGHEST.max() == pytest.approx(np.radians(115))
    assert len({(angle.joint, angle.motion) for angle in JOINT_ANGLES}) == len(JOINT_ANGLES) == 23


@pytest.mark.parametrize("side", ["left", "right"])
def test_angles_are_found_in_their_rotations(side):
    angles = random_angles(0)
    rotations = np.asarray(rotations_of(angles, UPRIGHT, side=side))
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2), np.tile(np.eye(3), (3, 25, 1, 1)), atol=1e-6)
    found = joint_angles(rotations, side=side)
    np.testing.assert_allclose(found[:, ANGLE_JOINTS, ANGLE_AXES], angles, atol=2e-6)
    free = np.zeros((25, 3), bool)
    free[ANGLE_JOINTS, ANGLE_AXES] = True
    np.testing.assert_allclose(found[:, ~free], 0, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_angles_mean_what_their_names_say(side):
    hand = tiny_hand(side)
    tip, thumb = MESH_JOINTS.index("index-finger-tip"), hand.rest_positions[1, 0]

    def moved(joint, motion, degrees):
        _, positions, _ = posed(hand, rotations_of(only(joint, motion, degrees), UPRIGHT, side=side), SOMEWHERE)
        return (positions[0] - hand.rest_positions)[tip]

    knuckle = "index-finger-phalanx-proximal"
    assert moved(knuckle, "flexion", 30)[1] < -0.03  # to the palm
    assert moved(knuckle, "abduction", 15)[0] * np.sign(thumb) > 0.01  # to the thumb
    assert moved("index-finger-phalanx-distal", "flexion", -5)[1] > 0
    # Twist brings the thumb's side of a bone to the palm.
    turned = joint_rotations(jnp.asarray(only("thumb-metacarpal", "twist", 20)[0]), jnp.eye(3), side=side)[1]
    assert (turned @ np.array([np.sign(thumb), 0, 0]))[1] < 0


def test_the_same_angles_give_the_mirror_image_of_the_other_hand():
    angles, wrist = random_angles(1), random_rotations(np.random.default_rng(2), 3)
    _, right, right_vertices = posed(tiny_hand("right"), rotations_of(angles, wrist, side="right"), SOMEWHERE)
    other = np.asarray(mirrored(jnp.asarray(wrist)))
    _, left, left_vertices = posed(tiny_hand("left"), rotations_of(angles, other, side="left"), SOMEWHERE)
    np.testing.assert_allclose(left, right @ MIRROR, atol=1e-6)
    np.testing.assert_allclose(left_vertices, right_vertices @ MIRROR, atol=1e-6)


def test_orientations_give_the_rotations_back():
    hand, rotations = tiny_hand(), random_rotations(np.random.default_rng(3), 3, 25)
    orientations, _, _ = posed(hand, rotations, SOMEWHERE)
    np.testing.assert_allclose(rotations_from_orientations(hand, np.asarray(orientations)), rotations, atol=3e-6)


def test_other_numbers_of_angles_and_joints_are_refused():
    with pytest.raises(ValueError, match=r"angles must be \[..., 23\], those of JOINT_ANGLES, got \(25,\)"):
        joint_rotations(jnp.zeros(25), jnp.eye(3), side="right")
    with pytest.raises(ValueError, match=r"rotations must be \[..., 25, 3, 3\], one a joint, got \(21, 3, 3\)"):
        joint_angles(np.zeros((21, 3, 3)), side="right")
    with pytest.raises(ValueError, match=r"orientations must be \[..., 25, 3, 3\], one a joint, got \(21, 3, 3\)"):
        rotations_from_orientations(tiny_hand(), np.zeros((21, 3, 3)))
