import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.hinged_box import HingedBox, box_mesh, open_box

BOX = HingedBox(lid_spacing=0.03, base_spacing=0.05)
MESH = box_mesh(BOX)


def volume(vertices, faces):
    corners = vertices[faces].astype(np.float64)
    return np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6


def test_solids_are_closed_and_face_outwards():
    lid = MESH.lid[MESH.faces].all(1)
    assert (MESH.lid[MESH.faces].any(1) == lid).all()
    assert volume(MESH.vertices, MESH.faces[lid]) == pytest.approx(0.18 * 0.15 * 0.006, rel=1e-5)
    hollow = 0.18 * 0.12 * 0.14 - (0.18 - 0.008) * (0.12 - 0.008) * (0.14 - 0.004)
    assert volume(MESH.vertices, MESH.faces[~lid]) == pytest.approx(hollow, rel=1e-5)
    # Each edge of a closed surface is in two triangles, once in each direction.
    _, merged = np.unique(MESH.vertices.round(6), axis=0, return_inverse=True)
    corners = merged.ravel()[MESH.faces[lid]]
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    assert sorted(map(tuple, edges)) == sorted(map(tuple, edges[:, ::-1]))


def test_a_vertex_of_the_lid_is_near_every_place_on_it():
    fine = box_mesh(HingedBox())
    places = np.random.default_rng(0).uniform((-0.09, 0, 0), (0.09, 0, 0.15), size=(200, 3))
    distances = np.linalg.norm(places[:, None] - fine.vertices[fine.lid], axis=-1).min(1)
    assert distances.max() <= 0.004 * np.sqrt(0.5) + 1e-6


def test_the_lid_turns_about_the_hinge_and_the_bottom_stays():
    angles = jnp.array([0.0, 0.5, jnp.pi / 2])
    opened = np.asarray(open_box(jnp.asarray(MESH.vertices), jnp.asarray(MESH.lid), angles))
    np.testing.assert_array_equal(opened[0], MESH.vertices)
    np.testing.assert_array_equal(opened[:, ~MESH.lid], np.tile(MESH.vertices[~MESH.lid], (3, 1, 1)))
    lid = MESH.vertices[MESH.lid]
    np.testing.assert_allclose(opened[2][MESH.lid], np.stack([lid[:, 0], lid[:, 2], -lid[:, 1]], 1), atol=1e-7)
    np.testing.assert_allclose(
        np.linalg.norm(opened[1][MESH.lid][:, 1:], axis=-1), np.linalg.norm(lid[:, 1:], axis=-1), atol=1e-7
    )


def test_impossible_boxes_are_refused():
    with pytest.raises(ValueError, match=r"lip must be in \(0, 2\] metres, got 30"):
        HingedBox(lip=30)
    with pytest.raises(
        ValueError, match="width, depth and height must be more than three walls of 0.004 m, got 0.18, 0.01 an"
    ):
        HingedBox(depth=0.01)
    with pytest.raises(ValueError, match=r"vertices and lid must be \[n, 3\] and \[n\], got \(4, 3\) and \(5,\)"):
        open_box(jnp.zeros((4, 3)), jnp.zeros(5, bool), jnp.zeros(()))
