import dataclasses

import numpy as np
import pytest
from scipy.spatial import KDTree

from jaxkd.data.images.hand_scenes import box_opening
from jaxkd.data.images.hand_scenes.box_opening import CONTACT_DISTANCE, STAGES, draw_opening
from jaxkd.data.images.hand_scenes.hinged_box import HingedBox, box_mesh
from jaxkd.data.images.hand_scenes.mesh import load_hand
from tests.data.images.hand_scenes.tiny_hand import posed, tiny_hand

BOX = HingedBox(base_spacing=0.05)
MESH = box_mesh(BOX)
COUNTS = {"approach": 8, "contact": 3, "opening": 6, "release": 7}


def opened(opening):
    """Vertices of the box in each frame, as NumPy computes them."""
    vertices = np.tile(MESH.vertices, (len(opening.hinge), 1, 1))
    cos, sin = np.cos(opening.hinge)[:, None], np.sin(opening.hinge)[:, None]
    y, z = vertices[:, MESH.lid, 1].copy(), vertices[:, MESH.lid, 2].copy()
    vertices[:, MESH.lid, 1], vertices[:, MESH.lid, 2] = cos * y + sin * z, cos * z - sin * y
    return vertices


def check(opening, hand):
    """The laws of an opening."""
    _, _, hand_vertices = posed(hand, opening.rotations, opening.translation)
    box_vertices = opened(opening)
    # Pairs keep their distances: the truth has no contact deviation that changes, and no motion deviation.
    pairs = hand_vertices[:, opening.hand_vertices] - box_vertices[:, opening.box_vertices]
    np.testing.assert_allclose(
        np.linalg.norm(pairs[opening.contact], axis=-1),
        np.tile(opening.distances, (opening.contact.sum(), 1)),
        atol=1e-6,
    )
    assert opening.distances.max() <= CONTACT_DISTANCE

    # What touches is what is near, by the definition of ARCTIC; away from the box nothing is.
    def distances(frame):
        return KDTree(box_vertices[frame]).query(hand_vertices[frame])[0]

    for frame in (8, 16):
        near = np.flatnonzero(distances(frame) <= CONTACT_DISTANCE + 1e-6)
        assert near.tolist() == opening.hand_vertices.tolist()
    assert distances(0).min() > 0.02
    assert distances(-1).min() > 0.02
    # In the frame of the lid, nothing of the hand is above its underside.
    cos, sin = np.cos(opening.hinge)[:, None], np.sin(opening.hinge)[:, None]
    height = cos * hand_vertices[..., 1] - sin * hand_vertices[..., 2]
    depth = cos * hand_vertices[..., 2] + sin * hand_vertices[..., 1]
    under = (depth > 0) & (depth < BOX.depth + BOX.lip) & (np.abs(hand_vertices[..., 0]) < BOX.width / 2)
    assert np.where(under & (height < BOX.thickness), height, -1).max() < 2e-5
    inside = (hand_vertices[..., 2] < BOX.depth) & (hand_vertices[..., 2] > 0) & (hand_vertices[..., 1] < 0)
    assert not (inside & (hand_vertices[..., 1] > -BOX.height) & (np.abs(hand_vertices[..., 0]) < BOX.width / 2)).any()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_opens_the_box(side):
    hand = tiny_hand(side)
    opening = draw_opening(np.random.default_rng(3), hand, BOX, **COUNTS)
    assert [np.sum(opening.stage == index) for index in range(len(STAGES))] == list(COUNTS.values())
    assert (opening.contact == np.isin(opening.stage, (1, 2))).all()
    assert (opening.hinge[:11] == 0).all()
    assert (np.diff(opening.hinge[10:17]) > 0).all()
    assert (opening.hinge[16:] == opening.hinge[16]).all()
    assert np.radians(40) <= opening.hinge[16] <= np.radians(75)
    check(opening, hand)


def test_openings_differ_by_their_random_numbers_alone():
    first, again, other = (draw_opening(np.random.default_rng(seed), tiny_hand(), BOX, **COUNTS) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.rotations, again.rotations)
    np.testing.assert_array_equal(first.translation, again.translation)
    assert np.abs(first.translation - other.translation).max() > 0.01


def test_a_movement_starts_and_ends_at_rest():
    way = box_opening._eased(np.array([0, 0.01, 0.5, 0.99, 1]))
    np.testing.assert_allclose(way, [0, 0, 0.5, 1, 1], atol=1e-5)


def test_what_cannot_be_opened_is_refused():
    with pytest.raises(ValueError, match="opening must be at least 1 frame, got 0"):
        draw_opening(np.random.default_rng(0), tiny_hand(), BOX, opening=0)
    with pytest.raises(
        ValueError, match="box must have a lip that three fingers of the right hand can take, got a lip of 0.0"
    ):
        draw_opening(np.random.default_rng(0), tiny_hand(), dataclasses.replace(BOX, lip=0.005), **COUNTS)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_real_hand_opens_the_box(hand_files, side):
    hand = load_hand(side)
    for seed in range(3):
        opening = draw_opening(np.random.default_rng(seed), hand, BOX, **COUNTS)
        assert len(opening.hand_vertices) >= 10
        check(opening, hand)
