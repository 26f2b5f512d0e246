"""AssemblyHands' three files: what is read, in which unit, and what is refused with file and entry."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

from jaxkd.data.images.hands import read_assembly_hands
from jaxkd.records.hands import ASSEMBLY_HANDS
from tests.data.images.hands.hand_files import (
    CAMERA,
    SEQUENCE,
    assembly_files,
    assembly_pose,
    rotation,
    write_assembly,
)


def read(tmp_path, contents):
    return read_assembly_hands(write_assembly(tmp_path / "annotations", contents), split="val")


def test_frames_have_metres_cameras_boxes_and_paths(tmp_path):
    frames = read(tmp_path, assembly_files())
    assert len(frames) == 3
    one = frames[1]
    assert one.key == f"{SEQUENCE}/{CAMERA}/000014"
    assert (one.sequence, one.frame, one.size, one.camera.name) == (SEQUENCE, 14, (480, 636), CAMERA)
    assert one.image == tmp_path / "images/ego_images_rectified/val" / SEQUENCE / CAMERA / "000014.jpg"
    np.testing.assert_array_equal(one.boxes, [[10, 20, 110, 140], [np.nan] * 4])
    np.testing.assert_allclose(np.concatenate(one.hands.joints), assembly_pose(1) / 1000, rtol=1e-12)
    assert one.hands.order is ASSEMBLY_HANDS
    assert one.hands.valid.all()
    assert one.camera.distortion is None
    # The file's K [R | t] and ours put the joints at the same pixels.
    matrix = np.column_stack([rotation(1), [10.0, -20.0, 301.0]])
    theirs = assembly_pose(1) @ matrix[:, :3].T + matrix[:, 3]
    np.testing.assert_allclose(np.concatenate(one.camera_joints()), theirs / 1000, atol=1e-12)
    np.testing.assert_allclose(one.camera.to_world(one.camera_joints()), one.hands.joints, atol=1e-12)
    assert [frame.frame for frame in frames[1:]] == [frame.frame for frame in frames][1:] == [14, 24]
    assert frames[-1].key == frames[2].key


def test_a_joint_counts_where_both_files_say_so_and_flags_may_be_absent(tmp_path):
    contents = assembly_files()
    contents["ego_data"]["annotations"][0]["joint_valid"][20] = 0
    contents["joint_3d"]["annotations"][SEQUENCE]["000004"]["joint_valid"][41] = [0]
    del contents["ego_data"]["annotations"][2]["joint_valid"]
    del contents["joint_3d"]["annotations"][SEQUENCE]["000024"]["joint_valid"]
    frames = read(tmp_path, contents)
    assert not frames[0].hands.valid[:, 20].any()
    assert frames[0].hands.valid.sum() == 40
    assert frames[2].hands.valid.all()


def edited(change):
    contents = copy.deepcopy(assembly_files())
    change(contents)
    return contents


def image(contents, place=0):
    return contents["ego_data"]["images"][place]


def annotation(contents, place=0):
    return contents["ego_data"]["annotations"][place]


def pose(contents, frame="000014"):
    return contents["joint_3d"]["annotations"][SEQUENCE][frame]


def camera(contents):
    return contents["ego_calib"]["calibration"][SEQUENCE]


def scaled(contents, factor):
    for one in contents["joint_3d"]["annotations"][SEQUENCE].values():
        one["world_coord"] = (np.array(one["world_coord"]) * factor).tolist()


def exchanged(contents):
    for one in contents["joint_3d"]["annotations"][SEQUENCE].values():
        one["world_coord"] = one["world_coord"][21:] + one["world_coord"][:21]


def wrist_first(contents):
    for one in contents["joint_3d"]["annotations"][SEQUENCE].values():
        right, left = one["world_coord"][:21], one["world_coord"][21:]
        one["world_coord"] = [right[20], *right[:20], left[20], *left[:20]]


NAME = f"{CAMERA}_mono10bit"
FAULTS = {
    "ego_data_v1-1.json: annotation 901 must be of a listed image, got image_id 7": lambda c: annotation(c, 1).update(
        image_id=7
    ),
    "an image must have one annotation for both hands, got 900 and 901 for image 50": lambda c: annotation(c, 1).update(
        image_id=50
    ),
    "every image must have an id of its own, got 50 twice": lambda c: image(c, 1).update(id=50),
    "image number 0 must have a field id of type int, got only file_name": lambda c: image(c).pop("id"),
    "image 50 must have a field camera of type str, got": lambda c: image(c).update(camera=3),
    "image 50 must have a field frame_idx of type int, got only": lambda c: image(c).pop("frame_idx"),
    "annotation 900 must have a field bbox of type dict, got '[1, 2, 3, 4]'": lambda c: annotation(c).update(
        bbox=[1, 2, 3, 4]
    ),
    "annotation 900: bbox must have an entry left, a box or null, got only right": lambda c: annotation(c)["bbox"].pop(
        "left"
    ),
    "annotation 900: bbox of the right hand must be numbers of the shape [4], got the shape (3,)": lambda c: annotation(
        c
    )["bbox"].update(right=[1, 2, 3]),
    "annotation 900: joint_valid must hold 0 and 1, got 2": lambda c: annotation(c)["joint_valid"].__setitem__(3, 2),
    "annotation 900: joint_valid must be numbers of the shape [42], got the shape (40,)": lambda c: annotation(
        c
    ).update(joint_valid=[1] * 40),
    "must have at least one annotation, got none": lambda c: c["ego_data"].update(annotations=[]),
    f"the box of the right hand of {SEQUENCE}/{CAMERA}/000004 must have left < right and top": lambda c: annotation(c)[
        "bbox"
    ].update(right=[300, 200, 100, 140]),
    "must have some part within the image of 480 x 636 pixels (height x width), got": lambda c: annotation(c)[
        "bbox"
    ].update(right=[700, 200, 800, 240]),
    "ego_calib_v1-1.json: calibration must have a field": lambda c: c["ego_calib"]["calibration"].pop(SEQUENCE),
    f"intrinsics must have a field {NAME} of type list, got only HMC_1": lambda c: camera(c).update(
        intrinsics={"HMC_1": 3}
    ),
    "extrinsics must have a field 000014 of type dict, got only 000004, 000024": lambda c: camera(c)["extrinsics"].pop(
        "000014"
    ),
    f"intrinsics of {NAME} must be numbers of the shape [3, 3], got the shape (2, 3)": lambda c: camera(c)[
        "intrinsics"
    ].update({NAME: [[1, 2, 3]] * 2}),
    f"extrinsics of frame 000014, {NAME} must be numbers of the shape [3, 4], got \"['a']\"": lambda c: camera(c)[
        "extrinsics"
    ]["000014"].update({NAME: ["a"]}),
    "must have a rotation, got a matrix with R R^T - I up to 0.0": lambda c: camera(c)["extrinsics"]["000014"].update(
        {NAME: np.column_stack([1.01 * rotation(1), [0, 0, 0]]).tolist()}
    ),
    "must have positive focal lengths, got [-190.0, 191.0]": lambda c: camera(c)["intrinsics"][NAME][0].__setitem__(
        0, -190
    ),
    f"joint_3d_v1-1.json: {SEQUENCE} must have a field 000014 of type dict": lambda c: c["joint_3d"]["annotations"][
        SEQUENCE
    ].pop("000014"),
    "frame 000014: world_coord must be numbers of the shape [42, 3], got the shape (40, 3)": lambda c: pose(c).update(
        world_coord=pose(c)["world_coord"][:40]
    ),
    f"{SEQUENCE}/{CAMERA}/000014 must have finite joints where they are valid, got NaN or inf": lambda c: pose(c)[
        "world_coord"
    ].__setitem__(5, [float("nan")] * 3),
    f"the right hand of {SEQUENCE} must be in millimetres, got a hand of 0.000": lambda c: scaled(c, 1e-3),
    "must be in millimetres, got a hand of 1": lambda c: scaled(c, 1e3),
    f"the right hand of {SEQUENCE} must be of the right hand, got fingers that bend as those of the left": exchanged,
    f"the right hand of {SEQUENCE} must be in the order of AssemblyHands, whose wrist is joint 20": wrist_first,
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_refused_with_file_and_entry(tmp_path, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(tmp_path, edited(FAULTS[message]))
    assert str(caught.value).startswith(str(tmp_path / "annotations/val/assemblyhands_val_"))


def test_files_that_are_missing_or_no_json_and_unknown_splits(tmp_path):
    with pytest.raises(FileNotFoundError, match="assemblyhands_val_ego_data_v1-1.json"):
        read_assembly_hands(tmp_path, split="val")
    with pytest.raises(ValueError, match="split must be one of train, val, test, got 'validation'"):
        read_assembly_hands(tmp_path, split="validation")
    folder = write_assembly(tmp_path, assembly_files())
    path = Path(folder / "val/assemblyhands_val_ego_data_v1-1.json")
    path.write_text("{")
    with pytest.raises(ValueError, match=r"ego_data_v1-1.json must be JSON, got"):
        read_assembly_hands(folder, split="val")
    path.write_text("[]")
    with pytest.raises(ValueError, match="ego_data_v1-1.json must hold an object at its root, got list"):
        read_assembly_hands(folder, split="val")
