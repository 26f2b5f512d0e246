"""Normals of a sphere, of seams and of broken meshes."""

import numpy as np
import pytest

from jaxkd.rendering import first_at_position, vertex_normals
from jaxkd.rendering.normals import unit
from tests.losses.compiled import jitted
from tests.rendering.meshes import sphere


def test_normals_of_a_sphere_point_outside():
    vertices, faces = sphere(12, 24)
    normals = jitted(vertex_normals)(vertices, faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-6)
    # Faces are 15 degrees wide; at a vertex their mean misses the radius by less than that squared.
    assert (np.sum(normals * vertices, axis=1) > 1 - np.radians(15) ** 2 / 2).all()


def test_vertices_of_a_seam_share_their_normal():
    vertices, faces = sphere(6, 8)
    expected = jitted(vertex_normals)(vertices, faces)
    split = faces.copy()
    column = 9
    split[20:][split[20:] == column] = len(vertices)
    doubled = np.concatenate([vertices, vertices[[column]]])
    shared = first_at_position(doubled)
    assert shared.tolist() == [*range(len(vertices)), column]
    creased = jitted(vertex_normals)(doubled, split)
    assert np.abs(creased[column] - creased[-1]).max() > 0.1
    smooth = jitted(vertex_normals)(doubled, split, shared=shared)
    np.testing.assert_allclose(smooth[:-1], expected, atol=1e-6)
    np.testing.assert_array_equal(smooth[-1], smooth[column])


def test_broken_vertices_and_padded_faces_do_not_count():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, np.nan], [5, 5, 5]])
    faces = np.int32([[0, 1, 2], [0, 1, 3], [0, 1, -1], [0, 5, 2], [0, 0, 4]])
    normals = jitted(vertex_normals)(vertices, faces)
    assert normals.tolist() == [[0, 0, 1]] * 3 + [[0, 0, 0]] * 2
    assert not jitted(vertex_normals)(vertices, faces[:0]).any()


def test_unit_vectors_have_the_same_direction_and_nothing_stays_nothing():
    vectors = np.float32([[3, 0, -4], [1e-12, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(jitted(unit)(vectors), [[0.6, 0, -0.8], [1, 0, 0], [0, 0, 0]], rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    vertices, faces = np.zeros((4, 3), np.float32), np.int32([[0, 1, 2]])
    with pytest.raises(
        ValueError, match=r"vertices and faces must be \[v, 3\] and \[f, 3\], got \(4, 2\) and \(1, 3\)"
    ):
        vertex_normals(vertices[:, :2], faces)
    with pytest.raises(ValueError, match=r"shared must have an index for each of 4 vertices, got the shape \(3,\)"):
        vertex_normals(vertices, faces, shared=np.arange(3))
    with pytest.raises(ValueError, match=r"vertices must be \[v, 3\], got \(4,\)"):
        first_at_position(np.zeros(4))
