"""ARCTIC's protocols, cameras and sequences: what is read, what is left out, and what is refused."""

import copy
import json
import pickle
import re

import numpy as np
import pytest

from jaxkd.data.images.hands import arctic_frames, read_arctic_protocol, read_arctic_sequences, read_arctic_subjects
from jaxkd.records.hands import ARCTIC
from tests.data.images.hands.hand_files import FRAMES, OFFSET, arctic_sequence, arctic_subject, write_split

NAME = "s05/box_use_01"


def test_protocols_have_their_subjects(tmp_path):
    path = tmp_path / "protocol_p1.json"
    path.write_text(json.dumps({"train": ["s01/box_grab_01"], "val": [NAME], "test": ["s03/box_use_02"]}))
    assert read_arctic_protocol(path) == {
        "train": ("s01/box_grab_01",),
        "validation": (NAME,),
        "test": ("s03/box_use_02",),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": ["s01/b"]}, "protocol.json: val must have sequences of s05 alone, got s01/b"),
        ({"test": [NAME], "val": []}, "protocol.json: test must have sequences of s03 alone, got s05/box_use_01"),
        ({"train": ["s03/a"]}, "train must have sequences of other subjects than s03 and s05 alone, got s03/a"),
        ({"val": [NAME, NAME]}, "s05/box_use_01 must be in one split once, got it in val and in val"),
        ({"train": ["box"]}, "train must list names such as s01/box_grab_01, got 'box'"),
        ({"test": None}, "protocol.json must have a field test of type list, got only train, val, test"),
    ],
)
def test_protocols_that_cannot_be_right_are_refused(tmp_path, change, message):
    path = tmp_path / "protocol.json"
    path.write_text(json.dumps({"train": ["s01/a"], "val": [NAME], "test": ["s03/b"]} | change))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_arctic_protocol(path)


def subjects(tmp_path, **change):
    path = tmp_path / "misc.json"
    path.write_text(json.dumps({"s05": arctic_subject() | change}))
    return read_arctic_subjects(path)


def test_subjects_have_eight_fixed_cameras_and_sizes_of_nine(tmp_path):
    found = subjects(tmp_path)["s05"]
    assert (found.sizes[0], found.sizes[1], found.first_image) == ((2000, 2800), (2800, 2000), OFFSET)
    assert (found.intrinsics.shape, found.world_to_camera.shape) == ((8, 3, 3), (8, 4, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ioi_offset": "3"}, "misc.json: s05 must have a field ioi_offset of type int, got '3'"),
        ({"world2cam": None}, "misc.json: s05: world2cam must be numbers of the shape [8, 4, 4], got the shape ()"),
        (
            {"intris_mat": [[1]]},
            "misc.json: s05: intris_mat must be numbers of the shape [8, 3, 3], got the shape (1, 1)",
        ),
        (
            {"image_size": [[2800, 2000]]},
            "misc.json: s05: image_size must be numbers of the shape [9, 2], got the shape",
        ),
    ],
)
def test_subjects_that_cannot_be_right_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        subjects(tmp_path, **change)


def frames_of(tmp_path, *, views, change=lambda content: None):
    content, world = arctic_sequence()
    change(content)
    path = write_split(tmp_path / "p1_val.npy", {NAME: content})
    sequence = read_arctic_sequences(path)[NAME]
    return arctic_frames(
        sequence, subjects(tmp_path)["s05"], views=views, images=tmp_path / "images", source=path
    ), world


def test_frames_are_those_between_the_ends_with_the_same_world_in_every_view(tmp_path):
    frames, world = frames_of(tmp_path, views=(0, 1, 8))
    # Images 10 to 15 of 26 are left, and the first annotated frame is image 3.
    assert [frame.frame for frame in frames[::3]] == [number - OFFSET for number in range(10, FRAMES - 10)]
    one = frames[1]
    assert (one.key, one.camera.name, one.size) == (f"{NAME}/1/00010", "1", (2800, 2000))
    assert one.image == tmp_path / "images/s05/box_use_01/1/00010.jpg"
    for frame in frames:
        np.testing.assert_allclose(frame.hands.joints, world[frame.frame], atol=2e-6)
        assert frame.hands.order is ARCTIC
    np.testing.assert_array_equal(one.boxes, [[700, 700, 1300, 1300]] * 2)
    np.testing.assert_array_equal(frames[0].camera.distortion, np.arange(1, 9))
    assert one.camera.distortion is None
    assert one.camera.intrinsics[0, 0] == 8000
    assert frames[0].camera.intrinsics[0, 0] == 1600
    content, _ = arctic_sequence()
    np.testing.assert_allclose(one.camera_joints()[0], content["cam_coord"]["joints.right"][7, 1], atol=2e-6)


def test_a_hand_that_is_not_seen_has_no_valid_joint(tmp_path):
    def hidden(content):
        content["cam_coord"]["left_valid"][8] = 0
        content["cam_coord"]["is_valid"][9] = 0

    frames, _ = frames_of(tmp_path, views=(2,), change=hidden)
    seen = {frame.frame: frame.hands.valid.any(axis=-1).tolist() for frame in frames}
    assert (seen[7], seen[8], seen[9]) == ([True, True], [True, False], [False, False])


def scaled(content):
    for name in ("joints.right", "joints.left"):
        content["cam_coord"][name] *= 1000


def mirrored(content):
    coordinates = content["cam_coord"]
    coordinates["joints.right"], coordinates["joints.left"] = coordinates["joints.left"], coordinates["joints.right"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["cam_coord"].pop("joints.left"), "cam_coord: joints.left must be there, got no such field"),
        (lambda c: c.pop("params"), "params: obj_arti must be there, got no such field"),
        (
            lambda c: c["params"].update(dist=np.zeros(5)),
            f"dist must be numbers of the shape ({FRAMES}, 8), got float64",
        ),
        (
            lambda c: c["cam_coord"].update({"joints.left": np.zeros((FRAMES, 10, 20, 3))}),
            f"joints.left must be numbers of the shape ({FRAMES}, 9, 21, 3), got float64 of ({FRAMES}, 9, 20, 3)",
        ),
        (lambda c: c["cam_coord"]["joints.right"].fill(np.nan), "must have finite joints where they are valid"),
        (scaled, f"the right hand of {NAME} must be in metres, got a hand of 1"),
        (mirrored, f"the right hand of {NAME} must be of the right hand, got fingers"),
        (
            lambda c: c["params"]["world2ego"][8, :3, :3].fill(0.5),
            "the camera 0 of s05/box_use_01/0/00011 must have a rotation",
        ),
    ],
)
def test_sequences_that_cannot_be_right_are_refused_with_file_and_field(tmp_path, change, message):
    with pytest.raises(ValueError, match=rf"p1_val\.npy: .*{re.escape(message)}"):
        frames_of(tmp_path, views=(0,), change=change)


def test_views_and_lengths_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match=re.escape("views must be of 0 to 8, at least one, got [9]")):
        frames_of(tmp_path, views=[9])
    content, _ = arctic_sequence()
    short = copy.deepcopy(content)
    short["cam_coord"] = {name: one[:20] for name, one in content["cam_coord"].items()}
    short["bbox"] = content["bbox"][:20]
    short["params"] = {name: one[:20] if len(one) == FRAMES else one for name, one in content["params"].items()}
    sequence = read_arctic_sequences(write_split(tmp_path / "a.npy", {NAME: short}))[NAME]
    with pytest.raises(
        ValueError, match="s05/box_use_01 must have more than 20 frames, of which the ends are left out"
    ):
        arctic_frames(sequence, subjects(tmp_path)["s05"], views=[0], images=tmp_path, source=tmp_path)


class Harmful:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return print, ("harm",)


def test_files_that_are_no_plain_dicts_of_arrays_are_refused_before_anything_runs(tmp_path, capsys):
    path = tmp_path / "a.npy"
    np.save(path, {"data_dict": {"s": Harmful()}}, allow_pickle=True)
    with pytest.raises(
        ValueError, match="a.npy must hold arrays, numbers and texts alone, got builtins.print, which could"
    ):
        read_arctic_sequences(path)
    assert capsys.readouterr().out == ""
    np.save(path, np.zeros(3))
    with pytest.raises(ValueError, match="a.npy must hold a dict of arrays, got an array of float64"):
        read_arctic_sequences(path)
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match="a.npy must be a file of np.save, got"):
        read_arctic_sequences(path)
    write_split(path, {NAME: arctic_sequence()[0]})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="a.npy must be a complete file of np.save, got"):
        read_arctic_sequences(path)
    np.save(path, {"cam_coord": 1}, allow_pickle=True)
    with pytest.raises(ValueError, match="a.npy must hold a dict data_dict of sequences, got cam_coord"):
        read_arctic_sequences(path)


def test_files_of_the_first_numpy_are_read_too(tmp_path):
    """Their pickles name `numpy.core`, which is `numpy._core` now."""
    path = write_split(tmp_path / "a.npy", {NAME: arctic_sequence()[0]})
    renamed = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    # The length of a text stands before it in the pickle.
    path.write_bytes(renamed.replace(b"\x8c\x16numpy.core.multiarray", b"\x8c\x15numpy.core.multiarray"))
    assert len(read_arctic_sequences(path)[NAME]) == FRAMES
