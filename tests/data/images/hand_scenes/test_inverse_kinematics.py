import jax
import numpy as np
import pytest

from jaxkd.data.images.hand_scenes import inverse_kinematics
from jaxkd.data.images.hand_scenes.articulation import JOINT_ANGLES, angle_limits
from jaxkd.data.images.hand_scenes.inverse_kinematics import fit_poses
from jaxkd.data.images.hand_scenes.skinning import KEYPOINT_JOINTS
from tests.data.images.hand_scenes.tiny_hand import posed, random_rotations, rotations_of, tiny_hand

HAND = tiny_hand()
LOWEST, HIGHEST = angle_limits()
KEYPOINTS = list(KEYPOINT_JOINTS)
BATCH = 6


def fit(landmarks):
    """All tests share one program."""
    return fit_poses(HAND, landmarks, iterations=15, batch=BATCH)


def poses(seed, *, beyond=0.0):
    """Angles and keypoints, in pixels, of six hands at random in a camera's frame."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(BATCH, len(JOINT_ANGLES)))
    angles = (LOWEST + share * (HIGHEST - LOWEST) - beyond).astype(np.float32)
    rotations = rotations_of(angles, random_rotations(rng, BATCH), side="right")
    _, positions, _ = posed(HAND, rotations, np.zeros((BATCH, 3), np.float32))
    scale = rng.uniform(100, 1000, size=(BATCH, 1, 1))
    return angles, scale, scale * np.asarray(positions)[:, KEYPOINTS] + rng.uniform(0, 2000, size=(BATCH, 1, 3))


def test_a_posed_hand_is_recovered():
    angles, scale, landmarks = poses(0)
    found = fit(landmarks)
    assert found.residual.max() < 1e-6  # metres: the bar is a millimetre
    np.testing.assert_allclose(found.scale, scale[:, 0, 0], rtol=1e-4)
    np.testing.assert_allclose(found.angles, angles, atol=1e-2)
    # The pose is the one that the residual is of.
    _, positions, _ = posed(
        HAND, rotations_of(found.angles, found.wrist, side="right"), np.zeros((BATCH, 3), np.float32)
    )
    fitted = found.scale[:, None, None] * np.asarray(positions)[:, KEYPOINTS] + found.translation[:, None]
    assert np.abs(fitted - landmarks).max() / scale.min() < 1e-5


def test_limits_hold_for_hands_that_no_hand_can_be():
    _, _, landmarks = poses(1, beyond=0.5)
    found = fit(landmarks)
    assert (found.angles >= LOWEST).all()
    assert (found.angles <= HIGHEST).all()
    assert (found.residual > 1e-4).any()
    mirror_image = fit(landmarks * np.array([-1, 1, 1]))
    assert np.median(mirror_image.residual) > 2 * np.median(found.residual)


def test_a_frame_does_not_depend_on_the_others():
    _, _, landmarks = poses(2)
    whole, part = fit(landmarks), fit(landmarks[3:5])
    for name, leaf in vars(part).items():
        np.testing.assert_array_equal(leaf, vars(whole)[name][3:5])


def test_slopes_are_those_of_finite_differences():
    angles = poses(3)[0][0]
    points, slopes = jax.jit(inverse_kinematics._keypoints_and_slopes)(HAND, angles)
    step = 1e-2
    moved = angles + step * np.concatenate([np.eye(len(angles)), -np.eye(len(angles))]).astype(np.float32)
    upright = np.tile(np.eye(3, dtype=np.float32), (len(moved), 1, 1))
    _, positions, _ = posed(HAND, rotations_of(moved, upright, side="right"), np.zeros((len(moved), 3), np.float32))
    later, earlier = np.split(np.asarray(positions)[:, KEYPOINTS], 2)
    # Differences are wrong by step^2 / 6 of an arm of 0.2 m, and by the rounding of float32 over the step.
    np.testing.assert_allclose(slopes, (later - earlier) / (2 * step), atol=1e-5)
    assert points.shape == (21, 3)


def test_damaged_landmarks_are_refused():
    landmarks = poses(4)[2]
    landmarks[2, 5, 1] = np.nan
    with pytest.raises(
        ValueError, match="landmarks must be finite, got NaN or infinite ones in 1 of 6 frames, the first is 2"
    ):
        fit(landmarks)
    with pytest.raises(ValueError, match="iterations and batch must be at least 1, got 0 and 6"):
        fit_poses(HAND, landmarks[:2], iterations=0, batch=6)
    landmarks[2] = 3.0
    with pytest.raises(ValueError, match="landmarks must span a hand, got 21 equal points in frame 2"):
        fit(landmarks)
    for other in (landmarks[:, :20], landmarks[0], landmarks[:0]):
        with pytest.raises(ValueError, match=r"landmarks must be \[frames, 21, 3\] with at least one frame, got"):
            fit(other)
