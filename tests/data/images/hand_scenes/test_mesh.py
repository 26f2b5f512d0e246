import dataclasses
import struct

import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.mesh import HAND_FILES, MESH_JOINTS, MESH_PARENTS, load_hand, read_hand
from tests.data.images.hand_scenes.tiny_hand import tiny_hand, write_glb


def test_joints_are_those_of_webxr():
    assert len(MESH_JOINTS) == 25
    assert MESH_JOINTS[:6] == (
        "wrist",
        "thumb-metacarpal",
        "thumb-phalanx-proximal",
        "thumb-phalanx-distal",
        "thumb-tip",
        "index-finger-metacarpal",
    )
    assert MESH_PARENTS[:7] == (-1, 0, 1, 2, 3, 0, 5)
    # Each finger hangs on the wrist, and its tip is last.
    assert [MESH_JOINTS[j] for j, parent in enumerate(MESH_PARENTS) if parent == 0] == [
        name for name in MESH_JOINTS if name.endswith("metacarpal")
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_is_read_in_the_frame_of_its_wrist(tmp_path, side):
    hand = tiny_hand(side)
    found = read_hand(write_glb(tmp_path / "hand.glb", hand), side)
    for field in dataclasses.fields(hand):
        expected, got = getattr(hand, field.name), getattr(found, field.name)
        if field.name == "side":
            assert got == side
        else:
            np.testing.assert_allclose(got, expected, atol=2e-7)
            assert got.dtype == expected.dtype
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(found.rest_rotations[0], np.eye(3))


def test_the_other_hand_is_refused(tmp_path):
    path = write_glb(tmp_path / "left.glb", tiny_hand("left"))
    with pytest.raises(ValueError, match=r"left\.glb must hold a right hand, got a left one\. Give the other file"):
        read_hand(path, "right")
    with pytest.raises(ValueError, match="side must be one of right, left, got 'Left'"):
        load_hand("Left")


def test_millimetres_are_refused(tmp_path):
    path = write_glb(tmp_path / "hand.glb", tiny_hand(), scale=1000.0)
    with pytest.raises(
        ValueError, match=r"hand\.glb must have a hand in metres, got 177\.\d+ from the wrist to the tip of"
    ):
        read_hand(path, "right")


def test_other_joints_are_refused(tmp_path):
    path = write_glb(tmp_path / "hand.glb", tiny_hand(), names=("forearm", *MESH_JOINTS[1:]))
    message = "hand.glb must have the 25 joints of a WebXR hand, got 25: without wrist, and with forearm others"
    with pytest.raises(ValueError, match=message):
        read_hand(path, "right")


def test_a_damaged_file_is_refused(tmp_path):
    path = write_glb(tmp_path / "hand.glb", tiny_hand())
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    message = rf"hand\.glb must have the {len(content)} bytes and the two chunks that its header announces, got "
    with pytest.raises(ValueError, match=message):
        read_hand(path, "right")
    path.write_bytes(b"\x89PNG" + content[4:])
    with pytest.raises(ValueError, match="must be a GLB file of version 2, got a file of .* bytes that is none"):
        read_hand(path, "right")
    path.write_bytes(content.replace(b'{"asset"', b'["asset"'))
    with pytest.raises(ValueError, match="must have JSON as its first chunk, got a damaged one: "):
        read_hand(path, "right")


def test_a_description_that_does_not_fit_is_refused(tmp_path):
    path, hand = tmp_path / "hand.glb", tiny_hand()
    with pytest.raises(ValueError, match="must describe one skinned mesh of glTF 2.0, got a description without "):
        read_hand(write_glb(path, hand, skins=[]), "right")
    views = [{"buffer": 0, "byteOffset": 10**6, "byteLength": 1200}] * 6
    with pytest.raises(
        ValueError, match=r"must hold accessor 0 in one piece, got \d+ bytes for values up to byte 10012"
    ):
        read_hand(write_glb(path, hand, bufferViews=views), "right")
    fewer = dataclasses.replace(hand, vertices=hand.vertices[:50])
    with pytest.raises(ValueError, match="must have as many weights as vertices, and faces of these vertices"):
        read_hand(write_glb(path, fewer), "right")
    skins = [{"joints": list(range(25)), "inverseBindMatrices": 3}]
    with pytest.raises(ValueError, match="must have values of type MAT4 in accessor 3, got VEC4"):
        read_hand(write_glb(path, hand, skins=skins), "right")
    scaled = dataclasses.replace(hand, rest_rotations=hand.rest_rotations * np.float32(1.1))
    with pytest.raises(ValueError, match="must have bind matrices that rotate and shift, got others"):
        read_hand(write_glb(path, scaled), "right")


def test_a_file_of_fewer_matrices_is_refused(tmp_path):
    path = write_glb(tmp_path / "hand.glb", tiny_hand())
    content = path.read_bytes().replace(b'"MAT4", "count": 25', b'"MAT4", "count": 24')
    assert struct.unpack_from("<I", content, 8) == (len(content),)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must have a bind matrix for each of its 25 joints, got 24"):
        read_hand(path, "right")


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_real_hands(hand_files, side):
    hand = load_hand(side)
    assert HAND_FILES[side].requirement == "@webxr-input-profiles/assets@1.0.20"
    assert (hand.vertices.shape, hand.faces.shape, hand.weights.shape) == ((1360, 3), (2314, 3), (1360, 25))
    np.testing.assert_allclose(hand.weights.sum(1), 1, atol=1e-6)
    assert np.linalg.norm(hand.rest_positions[14]) == pytest.approx(0.1778, abs=1e-4)
    # Faces look outwards: the hand has a volume of 343 ml, and normals are on the side of the faces.
    corners = np.asarray(hand.vertices, np.float64)[hand.faces]
    assert np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6 == pytest.approx(
        3.43e-4, rel=0.02
    )
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fi,fi->f", across, np.asarray(hand.normals)[hand.faces].mean(1)) > 0).mean() > 0.99
    # The back of the hand is up, the thumb on its side, and -z of a joint points along its bone.
    assert (hand.rest_positions[1, 0] < 0) == (side == "right")
    for joint in range(6, 9):
        bone = hand.rest_rotations[joint].T @ (hand.rest_positions[joint + 1] - hand.rest_positions[joint])
        assert -bone[2] > 0.999 * np.linalg.norm(bone)
