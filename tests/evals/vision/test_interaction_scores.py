"""Scores of hands and objects: equal to plain loops for each sequence, padded to one program, faults named."""

import dataclasses
import functools
import itertools
import re

import numpy as np
import pytest

from benchmarks.hands.metric_loops import looped, nan_mean
from benchmarks.hands.random_sequences import BOTTOM, DIAMETER, SURFACE_MASK, random_sequences
from jaxkd.evals.vision import interaction_scores
from jaxkd.evals.vision.interaction_scores import Interaction, TrueInteraction, score_interactions
from jaxkd.records.hands import ARCTIC
from tests.tiny_hands import hands


@functools.cache
def drawn():
    """Three sequences, the joints of which are those of hands."""
    found = random_sequences(3, seed=4)
    shape = found.joints.shape[:2]
    joints = np.stack(
        [
            hands(9 + hand, shape[0] * shape[1], order=ARCTIC, side=side).reshape(*shape, 21, 3)
            for hand, side in enumerate(("right", "left"))
        ],
        axis=2,
    )
    noise = np.random.default_rng(1).normal(scale=0.004, size=joints.shape)
    mask = np.broadcast_to(found.hands_valid[..., None], joints.shape[:-1])
    guessed = np.random.default_rng(2).normal(scale=0.004, size=found.hands.shape) + np.nan_to_num(
        found.truth_hands, nan=9.0
    )
    return dataclasses.replace(found, truth_joints=joints, joints=joints + noise, joint_mask=mask, hands=guessed)


def pairs(*, frames=(20, 20, 20), change=lambda body: body):
    """Predictions and truths by name; the object has no padding."""
    ours, theirs = {}, {}
    for place, one in enumerate(drawn().rows()):
        take = slice(frames[place])
        ours[f"s05/{place}"] = change(
            Interaction(
                joints=one.joints[take],
                hands=one.hands[take],
                object=one.object[take][:, SURFACE_MASK],
                angle_rad=one.angles[take],
            )
        )
        theirs[f"s05/{place}"] = TrueInteraction(
            truth=Interaction(
                joints=one.truth_joints[take],
                hands=one.truth_hands[take],
                object=one.truth_object[take][:, SURFACE_MASK],
                angle_rad=one.truth_angles[take],
            ),
            valid=one.frames_valid[take],
            hands_valid=one.hands_valid[take],
            bottom=BOTTOM[SURFACE_MASK],
            diameter=DIAMETER,
        )
    return ours, theirs


@functools.cache
def scored():
    return score_interactions(*pairs())


def test_rows_are_means_of_plain_loops_and_the_total_is_that_of_all_frames():
    loops = [looped(one) for one in drawn().rows()]
    names = {
        "cdev": "cdev_mm",
        "mrrpe_rl": "mrrpe_rl_mm",
        "mrrpe_ro": "mrrpe_ro_mm",
        "mpjpe": "mpjpe_mm",
        "acceleration": "acc_hand",
        "acceleration_object": "acc_object",
        "success": "success_percent",
        "aae": "aae_deg",
    }
    for loop, field in names.items():
        values = []
        for one in loops:
            by_frame = one[loop]
            if by_frame.ndim == 2:
                by_frame = np.array([nan_mean(both) for both in by_frame.T])
            values.append(by_frame)
        factor = 1000 if field.endswith("_mm") else 1
        for row, expected in zip(scored().sequences, values, strict=True):
            np.testing.assert_allclose(getattr(row, field), factor * nan_mean(expected), rtol=1e-4, err_msg=field)
        everything = factor * nan_mean(np.concatenate(values))
        np.testing.assert_allclose(getattr(scored().total, field), everything, rtol=1e-4, err_msg=field)
    motions = [[value for hand in one["mdev"] for value in hand] for one in loops]
    for row, expected in zip(scored().sequences, motions, strict=True):
        np.testing.assert_allclose(row.mdev_mm, 1000 * nan_mean(expected), rtol=1e-4)
        assert row.contacts == len(expected)
    np.testing.assert_allclose(scored().total.mdev_mm, 1000 * nan_mean(list(itertools.chain(*motions))), rtol=1e-4)
    assert scored().total.frames == drawn().frames_valid.sum()


def test_shorter_sequences_are_padded_and_change_no_other_row():
    found = score_interactions(*pairs(frames=(20, 9, 20)))
    for place in (0, 2):
        one, other = (dataclasses.asdict(scores.sequences[place]) for scores in (found, scored()))
        assert one.pop("sequence") == other.pop("sequence")
        np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=1e-6)
    assert found.sequences[1].contacts == 0
    assert np.isnan(found.sequences[1].mdev_mm)
    assert found.sequences[1].frames == drawn().frames_valid[1, :9].sum()


def test_contacts_are_found_where_the_object_is_unknown_in_the_first_frame():
    ours, theirs = pairs()
    first = theirs["s05/0"]
    valid = first.valid & (np.arange(20) > 0)
    unknown = first.truth.object.copy()
    unknown[0] = np.nan
    hidden, known = (
        dataclasses.replace(first, valid=valid, truth=dataclasses.replace(first.truth, object=surface))
        for surface in (unknown, first.truth.object)
    )
    found, other = (score_interactions(ours, theirs | {"s05/0": one}).sequences[0] for one in (hidden, known))
    assert found.contacts > 0
    np.testing.assert_allclose(found.cdev_mm, other.cdev_mm, rtol=1e-6)


def test_the_text_is_a_table():
    lines = str(scored()).splitlines()
    assert [line.split()[0] for line in lines] == ["sequence", "s05/0", "s05/1", "s05/2", "all", "mm;"]
    assert len({len(line) for line in lines[:5]}) == 1


def with_nan(body):
    angles = body.angle_rad.copy()
    angles[np.flatnonzero(drawn().frames_valid[0])[1]] = np.nan
    return dataclasses.replace(body, angle_rad=angles)


FAULTS = {
    "s05/0: the right hand of the prediction must be in metres, got a hand of 1": lambda body: dataclasses.replace(
        body, joints=1000 * body.joints
    ),
    "s05/0: joints of the prediction must have the shape (20, 2, 21, 3), got (20, 2, 20, 3)": lambda body: (
        dataclasses.replace(body, joints=body.joints[:, :, 1:])
    ),
    "s05/0: angle_rad of the prediction must be finite where the frame counts, got NaN or inf in frame": with_nan,
    "of the prediction must be finite where the frame counts, got NaN or inf in frame 0; so are": lambda body: (
        dataclasses.replace(body, object=np.full_like(body.object, np.nan))
    ),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_refused_with_sequence_and_frame(message):
    ours, theirs = pairs(change=FAULTS[message])
    with pytest.raises(ValueError, match=re.escape(message)):
        score_interactions(ours, theirs)


def test_left_for_right_missing_sequences_and_frames_that_do_not_count():
    ours, theirs = pairs()
    first = theirs["s05/0"]
    turned = dataclasses.replace(first.truth, joints=first.truth.joints[:, ::-1])
    with pytest.raises(ValueError, match="s05/0: the right hand of the truth must be of the right hand, got fingers"):
        score_interactions(ours, theirs | {"s05/0": dataclasses.replace(first, truth=turned)})
    none = dataclasses.replace(first, valid=np.zeros(20, bool))
    with pytest.raises(ValueError, match="s05/0: at least one frame must count, got none of 20"):
        score_interactions(ours, theirs | {"s05/0": none})
    short = dataclasses.replace(first, hands_valid=first.hands_valid[:5])
    with pytest.raises(ValueError, match=re.escape("s05/0: hands_valid must have the shape (20, 2), got (5, 2)")):
        score_interactions(ours, theirs | {"s05/0": short})
    del ours["s05/1"]
    with pytest.raises(ValueError, match="must have the same sequences, got s05/1 in one alone, and so 1 of 3"):
        score_interactions(ours, theirs)
    with pytest.raises(ValueError, match="truth must have at least one sequence, got none"):
        score_interactions({}, {})


def test_the_wrist_is_that_of_arctic():
    assert interaction_scores.ARCTIC.wrist == 0
