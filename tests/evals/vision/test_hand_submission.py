"""Scores of submissions: figures by sequence, what counts, and what is refused with file and frame."""

import copy
import json
import re

import numpy as np
import pytest

from jaxkd.evals.vision.hand_submission import HandSequence, score_hands, score_submission
from jaxkd.records.hands import ARCTIC, ASSEMBLY_HANDS, HandJoints, hands_of_42
from tests.data.images.hands.hand_files import assembly_pose

SIZES = {"a": 4, "b": 6}
ERROR = 5.0


def frame(number):
    return f"{3 * number:06d}"


def truth_file():
    return {
        "annotations": {
            name: {
                frame(number): {
                    "world_coord": assembly_pose(number, sequence=place).tolist(),
                    "joint_valid": [1] * 42,
                }
                for number in range(count)
            }
            for place, (name, count) in enumerate(SIZES.items())
        }
    }


def submission_file():
    """The truth, with noise, more of it in the second sequence."""
    content, rng = truth_file(), np.random.default_rng(0)
    for name, frames in content["annotations"].items():
        for entry in frames.values():
            noise = rng.normal(scale=ERROR if name == "a" else 2 * ERROR, size=(42, 3))
            entry["world_coord"] = (np.array(entry["world_coord"]) + noise).tolist()
            del entry["joint_valid"]
    return content


def scored(tmp_path, *, ours=lambda content: None, theirs=lambda content: None, **options):
    files = []
    for name, content, change in (("pred", submission_file(), ours), ("truth", truth_file(), theirs)):
        change(content)
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(content))
    return score_submission(*files, **options)


def arrays(content):
    """[frames, 2, 21, 3] by sequence, in millimetres."""
    return {
        name: hands_of_42(np.array([one["world_coord"] for one in frames.values()]))
        for name, frames in content["annotations"].items()
    }


def test_figures_are_those_of_plain_numpy(tmp_path):
    found = scored(tmp_path)
    ours, theirs = arrays(submission_file()), arrays(truth_file())
    assert [row.sequence for row in found.sequences] == ["a", "b"]
    everything = []
    for row in found.sequences:
        one, other = ours[row.sequence], theirs[row.sequence]
        errors = np.linalg.norm((one - one[:, :, 20:]) - (other - other[:, :, 20:]), axis=-1)
        everything.append(errors)
        between = np.linalg.norm((one[:, 1, 20] - one[:, 0, 20]) - (other[:, 1, 20] - other[:, 0, 20]), axis=-1)
        np.testing.assert_allclose(row.mpjpe_mm, errors.mean(), rtol=1e-5)
        np.testing.assert_allclose(row.mpjpe_joints_first_mm, errors.mean(axis=0).mean(), rtol=1e-5)
        np.testing.assert_allclose(row.mrrpe_mm, between.mean(), rtol=1e-5)
        np.testing.assert_allclose(
            row.wrist_mm, np.linalg.norm(one[:, :, 20] - other[:, :, 20], axis=-1).mean(), rtol=1e-5
        )
        assert 0 < row.pa_mpjpe_mm < row.mpjpe_mm
        assert (row.frames, row.hands, row.left_out) == (SIZES[row.sequence], 2 * SIZES[row.sequence], 0)
    np.testing.assert_allclose(found.total.mpjpe_mm, np.concatenate(everything).mean(), rtol=1e-5)
    assert found.total.hands == 20
    assert found.sequences[0].mpjpe_mm < found.total.mpjpe_mm < found.sequences[1].mpjpe_mm


def test_the_text_is_a_table(tmp_path):
    lines = str(scored(tmp_path)).splitlines()
    assert lines[0].split()[:3] == ["sequence", "frames", "hands"]
    assert [line.split()[0] for line in lines[1:]] == ["a", "b", "all", "errors"]
    assert lines[3].split()[1:4] == ["10", "20", "0"]
    assert len({len(line) for line in lines[:4]}) == 1


def blanked(content, *, fill=0.0):
    content["annotations"]["b"][frame(2)]["world_coord"][21:] = [[fill] * 3] * 21


def uncounted(content):
    content["annotations"]["b"][frame(2)]["joint_valid"][21:] = [0] * 21


@pytest.mark.parametrize("fill", [0.0, -1.0])
def test_blank_hands_are_fine_where_nothing_counts_and_rejected_or_counted_elsewhere(tmp_path, fill):
    found = scored(tmp_path, ours=lambda content: blanked(content, fill=fill), theirs=uncounted)
    assert (found.total.hands, found.total.frames, found.total.left_out) == (19, 10, 0)
    message = (
        f"pred.json: b: frame {frame(2)} must have a left hand, which the truth counts, got a blank one; so are 1 of 12"
    )
    with pytest.raises(ValueError, match=message):
        scored(tmp_path, ours=lambda content: blanked(content, fill=fill))
    left = scored(tmp_path, ours=lambda content: blanked(content, fill=fill), blank="leave_out")
    assert (left.sequences[1].hands, left.sequences[1].left_out) == (11, 1)
    np.testing.assert_allclose(left.total.mpjpe_mm, found.total.mpjpe_mm, rtol=1e-6)


def test_joints_that_do_not_count_weigh_nothing_and_joints_first_differs(tmp_path):
    def hidden(content):
        for number in range(1, 6):
            content["annotations"]["b"][frame(number)]["joint_valid"][3] = 0

    def garbage(content):
        for number in range(1, 6):
            content["annotations"]["b"][frame(number)]["world_coord"][3] = [1e4, 0, 0]

    plain, spoilt = (scored(tmp_path, theirs=hidden, ours=change) for change in (lambda content: None, garbage))
    assert plain.sequences[1].mpjpe_mm == spoilt.sequences[1].mpjpe_mm < 100
    assert plain.sequences[1].mpjpe_joints_first_mm != pytest.approx(plain.sequences[1].mpjpe_mm, rel=1e-4)


def test_the_order_of_frames_and_sequences_changes_nothing(tmp_path):
    def turned(content):
        content["annotations"] = {
            name: dict(reversed(frames.items())) for name, frames in reversed(content["annotations"].items())
        }

    assert scored(tmp_path, ours=turned) == scored(tmp_path)


def each(change):
    """A change of all poses of a file, as arrays [42 3]."""

    def run(content):
        for frames in content["annotations"].values():
            for entry in frames.values():
                entry["world_coord"] = change(np.array(entry["world_coord"])).tolist()

    return run


def wrist_first(pose):
    return np.concatenate([np.roll(pose[:21], 1, axis=0), np.roll(pose[21:], 1, axis=0)])


def nan_frame(content):
    content["annotations"]["a"][frame(1)]["world_coord"][25] = [float("nan")] * 3


def nan_sequence(content):
    for entry in content["annotations"]["b"].values():
        entry["world_coord"] = [[float("nan")] * 3] * 42


def nan_wrist(content):
    entry = content["annotations"]["a"][frame(1)]
    entry["world_coord"][41], entry["joint_valid"][41] = [float("nan")] * 3, 0


def nothing_counts(content):
    for entry in content["annotations"]["b"].values():
        entry["joint_valid"] = [0] * 42


ALL = f"frames {frame(0)} to {frame(3)}"
FAULTS = {
    f"pred.json: a, {ALL}: the right hand must be in millimetres, got a hand of 0.000": {
        "ours": each(lambda p: p / 1e3)
    },
    f"pred.json: a, {ALL}: the right hand must be in millimetres, got a hand of 1": {"ours": each(lambda p: p * 1e3)},
    f"truth.json: a, {ALL}: the right hand must be in millimetres, got a hand of 0.000": {
        "theirs": each(lambda p: p / 1e3)
    },
    "pred.json: a must have the right hand first, got wrists that are": {
        "ours": each(lambda p: np.concatenate([p[21:], p[:21]]))
    },
    f"truth.json: a, {ALL}: the right hand must be of the right hand, got fingers that bend": {
        "theirs": each(lambda p: np.concatenate([p[21:], p[:21]])),
        "ours": each(lambda p: np.concatenate([p[21:], p[:21]])),
    },
    f"pred.json: a, {ALL}: the right hand must be in the order of AssemblyHands, whose wrist is joint 20": {
        "ours": each(wrist_first)
    },
    f"pred.json: a: frame {frame(0)}: world_coord must be numbers of the shape [42, 3], got the shape (40, 3)": {
        "ours": each(lambda p: p[:40])
    },
    f"pred.json: a: frame {frame(1)} must have finite joints where the truth counts, got NaN, inf or none in the": {
        "ours": nan_frame
    },
    f"pred.json: b: frame {frame(0)} must have finite joints where the truth counts, got NaN, inf or none in the right "
    "hand; so have 12 hands of 12": {"ours": nan_sequence},
    f"truth.json: a: frame {frame(1)} must have finite joints where they count, and a finite wrist, got NaN or inf": {
        "theirs": nan_frame
    },
    f"truth.json: a: frame {frame(1)} must have finite joints where they count, and a finite wrist, got": {
        "theirs": nan_wrist
    },
    "truth.json: b must have a hand that counts, got none in 6 frames": {"theirs": nothing_counts},
    f"truth.json: a, got none named {frame(2)}; 1 of 4 are missing": {
        "ours": lambda content: content["annotations"]["a"].pop(frame(2))
    },
    "truth.json: a, got 999; 1 are not there": {
        "ours": lambda content: content["annotations"]["a"].update({"999": content["annotations"]["a"][frame(0)]})
    },
    "must have all sequences of": {"ours": lambda content: content["annotations"].pop("b")},
    "must have no other sequences than": {"theirs": lambda content: content["annotations"].pop("b")},
    "pred.json: b must have at least one frame, got dict without any": {
        "ours": lambda content: content["annotations"].update(b={})
    },
    f"pred.json: b: frame {frame(1)} must have a field world_coord of type list, got only nothing": {
        "ours": lambda content: content["annotations"]["b"].update({frame(1): {}})
    },
    "pred.json must have a field annotations of type dict, got only images": {
        "ours": lambda content: (content.pop("annotations"), content.update(images=[]))
    },
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_refused_with_file_and_frame(tmp_path, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        scored(tmp_path, **FAULTS[message])


def sequence(poses, order=ASSEMBLY_HANDS):
    joints = hands_of_42(np.stack(poses)) / 1000
    hands = HandJoints(joints=joints, valid=np.ones(joints.shape[:-1], bool), order=ASSEMBLY_HANDS).with_order(order)
    return HandSequence(frames=tuple(map(str, range(len(poses)))), hands=hands)


def test_arrays_alone_are_scored_in_any_order_that_both_share():
    poses = [assembly_pose(number) for number in range(4)]
    moved = [pose + np.where(np.arange(42) % 21 == 4, 6.0, 0)[:, None] * np.array([0, 0, 1]) for pose in poses]
    found = score_hands({"s": sequence(moved)}, {"s": sequence(poses)})
    np.testing.assert_allclose(found.total.mpjpe_mm, 6 / 21, rtol=1e-5)
    other = score_hands({"s": sequence(moved, ARCTIC)}, {"s": sequence(poses, ARCTIC)})
    np.testing.assert_allclose(other.total.mpjpe_mm, found.total.mpjpe_mm, rtol=1e-5)
    with pytest.raises(
        ValueError, match="predicted: s must have its joints in the order of the truth, AssemblyHands, got"
    ):
        score_hands({"s": sequence(moved, ARCTIC)}, {"s": sequence(poses)})
    both = {"s": sequence(poses), "t": sequence(poses, ARCTIC)}
    with pytest.raises(ValueError, match="truth must have one order of joints, got ARCTIC and AssemblyHands"):
        score_hands(both, both)


def test_options_and_names_that_cannot_be():
    with pytest.raises(ValueError, match="blank must be one of reject, leave_out, got 'zero'"):
        score_hands({}, {}, blank="zero")
    with pytest.raises(ValueError, match="truth must have at least one sequence, got none"):
        score_hands({}, {})
    one = sequence([assembly_pose(0), assembly_pose(1)])
    twice = HandSequence(frames=("0", "0"), hands=copy.copy(one.hands))
    with pytest.raises(ValueError, match="predicted: s must have each of its frames once, got 0 twice"):
        score_hands({"s": twice}, {"s": one})
