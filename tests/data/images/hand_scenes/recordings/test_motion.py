import dataclasses
from typing import get_args

import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.articulation import JOINT_ANGLES, angle_limits
from jaxkd.data.images.hand_scenes.inverse_kinematics import FittedPoses
from jaxkd.data.images.hand_scenes.recordings import motion
from jaxkd.data.images.hand_scenes.recordings.fingerspelling import HandRecording, fingerspelling
from jaxkd.data.images.hand_scenes.recordings.motion import (
    LANGUAGES,
    fingerspelling_motion,
    fit_recordings,
    select_motion,
)
from jaxkd.data.images.hand_scenes.skinning import KEYPOINT_JOINTS
from jaxkd.typing import Split
from tests.data.images.hand_scenes.tiny_hand import random_rotations, tiny_hand

HANDS = {"left": tiny_hand("left"), "right": tiny_hand("right")}


def recording(name, count, *, factor=400.0, seed=0):
    """Frames of a hand at rest that turns; z is smaller than x and y by a factor."""
    language, _, side = name.split("/")
    keypoints = np.asarray(HANDS[side].rest_positions)[list(KEYPOINT_JOINTS)]
    turned = np.einsum("nij,kj->nki", random_rotations(np.random.default_rng(seed), count), keypoints)
    landmarks = (300 * turned * np.array([1, 1, 1 / factor])).astype(np.float32)
    frames = np.arange(count) * 2
    return HandRecording(name=name, language=language, side=side, rate=25.0, frames=frames, landmarks=landmarks)


def poses(count):
    return FittedPoses(
        angles=np.arange(count * 23, dtype=np.float32).reshape(count, 23),
        wrist=np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
        translation=np.zeros((count, 3), np.float32),
        scale=np.ones(count, np.float32),
        residual=np.full(count, 0.005, np.float32),
    )


def test_each_language_is_in_one_split():
    languages = [language for split in LANGUAGES.values() for language in split]
    assert len(languages) == len(set(languages)) == 19
    assert tuple(LANGUAGES) == get_args(Split)


def test_frames_that_do_not_fit_are_left_out_and_counted():
    recordings = [recording("ase/a/right", 3), recording("bzs/a/right", 2), recording("ase/b/left", 4)]
    fitted = poses(9)
    fitted.residual[[1, 3, 8]] = 0.013
    found = select_motion(recordings, fitted, languages=("ase",))
    assert (found.names, found.sides) == (("ase/a/right", "ase/b/left"), ("right", "left"))
    assert found.recording.tolist() == [0, 0, 1, 1, 1]
    assert found.frame.tolist() == [0, 4, 0, 2, 4]
    np.testing.assert_array_equal(found.angles[:, 0], np.array([0, 2, 5, 6, 7]) * 23)
    assert (found.left_out, found.rates) == (2, (25.0, 25.0))
    assert select_motion(recordings, fitted, languages=("ase",), largest_residual=0.02).left_out == 0


def test_recordings_are_fitted_by_their_side_with_their_depth(monkeypatch):
    """Fits are replaced by what they are given: the order, the sides and the depth are tested here."""
    seen = {}

    def fit(hand, landmarks, *, iterations):
        seen[hand.side] = landmarks
        found = poses(len(landmarks))
        return dataclasses.replace(found, scale=landmarks[:, 9, 2].astype(np.float32))

    monkeypatch.setattr(motion, "fit_poses", fit)
    names = ["ase/a/right", "ase/b/left", "ase/c/right", "tsm/a/right"]
    recordings = [recording(name, 4, factor=800 if "tsm" in name else 400, seed=i) for i, name in enumerate(names)]
    short = dataclasses.replace(recordings[0], landmarks=recordings[0].landmarks * np.array([1, 1, 0]))
    found = fit_recordings(HANDS, [*recordings, short])
    np.testing.assert_allclose(  # in float32
        np.concatenate([seen["right"][:4], seen["left"], seen["right"][4:]])[:, 9, 2], found.scale, rtol=1e-6
    )
    # Bones have their lengths again, in both video formats.
    for landmarks, side in ((seen["right"][:12], "right"), (seen["left"], "left")):
        keypoints = 300 * np.asarray(HANDS[side].rest_positions)[list(KEYPOINT_JOINTS)]
        lengths = np.linalg.norm(landmarks[:, 5] - landmarks[:, 6], axis=-1)
        np.testing.assert_allclose(lengths, np.linalg.norm(keypoints[5] - keypoints[6]), rtol=1e-4)
    with pytest.raises(ValueError, match="recordings must have a depth that can be scaled, got none in ase"):
        fit_recordings(HANDS, [short])


def test_a_fit_is_read_from_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path))
    recordings = (recording("ase/a/right", 2), recording("asq/a/left", 1))
    calls = []
    monkeypatch.setattr(motion, "fingerspelling", lambda: recordings)
    monkeypatch.setattr(motion, "load_hand", HANDS.get)
    monkeypatch.setattr(motion, "fit_recordings", lambda hands, recordings: calls.append(hands) or poses(3))
    for _ in range(2):
        motion._fitted.cache_clear()
        assert fingerspelling_motion("validation").angles.shape == (2, len(JOINT_ANGLES))
        assert fingerspelling_motion("train").names == ("asq/a/left",)
    motion._fitted.cache_clear()
    assert len(calls) == 1
    assert [path.suffix for path in (tmp_path / "hand_motion").iterdir()] == [".npz"]


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        fingerspelling_motion("dev")
    with pytest.raises(ValueError, match="largest_residual must be positive, in metres, got 0"):
        select_motion([], poses(0), languages=(), largest_residual=0)
    with pytest.raises(ValueError, match=r"fitted must have the 3 frames of the recordings, got 2"):
        select_motion([recording("ase/a/right", 3)], poses(2), languages=())


@pytest.mark.slow
def test_the_real_motion(hand_files, fingerspelling_wheel):
    """Figures that the documentation gives; they vary with rounding in the last digit."""
    found = {split: fingerspelling_motion(split) for split in get_args(Split)}
    counts = {split: (len(one.angles), one.left_out) for split, one in found.items()}
    assert sum(kept + left_out for kept, left_out in counts.values()) == 17_367
    assert sum(kept for kept, _ in counts.values()) == pytest.approx(15_246, abs=30)
    residuals = np.concatenate([one.residual for one in found.values()])
    assert np.median(residuals) == pytest.approx(6.4e-3, abs=2e-4)
    lowest, highest = angle_limits()
    for one in found.values():
        assert ((one.angles >= lowest) & (one.angles <= highest)).all()
        np.testing.assert_allclose(
            one.wrist @ one.wrist.swapaxes(-1, -2), np.tile(np.eye(3), (len(one.wrist), 1, 1)), atol=1e-4
        )
    assert {recording.name for recording in fingerspelling()} == {name for one in found.values() for name in one.names}
