"""Rotations between directions, poses, and alignments against SciPy's and against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import transform

from jaxkd.geometry.rotations import (
    check_rotation,
    fit_rigid,
    fit_similarity,
    minimal_rotation,
    rigid_alignment,
    rotation_error,
    similarity_alignment,
    to_camera,
    to_world,
)
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

ROWS, JOINTS = 6, 8
FITS = {"similarity": (similarity_alignment, fit_similarity), "rigid": (rigid_alignment, fit_rigid)}
every_fit = pytest.mark.parametrize(("alignment", "fit"), FITS.values(), ids=FITS)
seeds = st.integers(0, 10_000)


def rotations(seed, count=ROWS):
    return transform.Rotation.random(count, rng=np.random.default_rng(seed)).as_matrix()


def directions(seed):
    return np.random.default_rng(seed).normal(size=(2, ROWS, 3))


def clouds(seed, noise=0.1):
    """Points, and others that are a similar, noisy set."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(ROWS, JOINTS, 3))
    target = 1.7 * np.einsum("bij,bnj->bni", rotations(seed), points) + rng.normal(size=(ROWS, 1, 3))
    return points.astype(np.float32), (target + noise * rng.normal(size=target.shape)).astype(np.float32)


MASK = np.arange(JOINTS) < np.array([[8], [5], [4], [3], [8], [6]])


def test_hand_values():
    x, y = np.float32([3, 0, 0]), np.float32([0, 0.5, 0])
    quarter = jitted(minimal_rotation)(x, y)
    np.testing.assert_allclose(quarter, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-7)
    pose = {"rotation": quarter, "translation": np.float32([0, 0, 5])}
    np.testing.assert_allclose(jitted(to_world)(np.float32([[1, 2, 3]]), **pose), [[-2, 1, 8]], atol=1e-6)
    np.testing.assert_allclose(jitted(to_camera)(np.float32([[-2, 1, 8]]), **pose), [[1, 2, 3]], atol=1e-6)
    matrices = np.stack([quarter, np.diag([1, 1, 1.5]), -np.eye(3), np.full((3, 3), np.nan)])
    right, *wrong = jitted(rotation_error)(np.float32(np.resize(matrices, (ROWS, 3, 3))))[:4]
    assert right < 1e-6
    assert wrong == [1.25, np.inf, np.inf]
    points = np.zeros((ROWS, JOINTS, 3), np.float32)
    points[0, 1:4] = np.eye(3)
    target = 2 * points[..., [1, 2, 0]] + 1  # a rotation about the diagonal
    mask = np.arange(JOINTS) < np.full((ROWS, 1), 4)
    assert jitted(fit_similarity)(points, target, mask=mask).scale[0] == pytest.approx(2, rel=1e-5)
    aligned = jitted(similarity_alignment)(points, target, mask=mask)
    np.testing.assert_allclose(aligned[0, :4], target[0, :4], atol=1e-5)
    rotation = jitted(fit_rigid)(points, target, mask=mask).rotation
    np.testing.assert_allclose(rotation[0, :, 0], [0, 0, 1], atol=1e-6)
    aligned = jitted(rigid_alignment)(points, points + 3, mask=mask)
    np.testing.assert_allclose(aligned[0, :4], points[0, :4] + 3, atol=1e-5)


def test_the_minimal_rotation_equals_that_of_scipy():
    start, end = directions(0)
    cross = np.cross(start, end)
    cosine = np.sum(start * end, axis=-1) / np.linalg.norm(start, axis=-1) / np.linalg.norm(end, axis=-1)
    vectors = cross / np.linalg.norm(cross, axis=-1, keepdims=True) * np.arccos(cosine)[:, None]
    expected = transform.Rotation.from_rotvec(vectors).as_matrix()
    with jax.enable_x64(True):
        np.testing.assert_allclose(compiled(minimal_rotation)(start, end)[0], expected, atol=1e-14)
        assert_equals_finite_differences(compiled(minimal_rotation), start, end, at=0, rtol=1e-6, atol=1e-8, eps=1e-6)
    found, _ = compiled(minimal_rotation)(*map(np.float32, (start, end)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_equal_opposite_and_missing_directions_have_a_rotation_and_a_finite_gradient():
    start = np.float32([[0, 0, 1], [0, 0, 2], [1, 2, 3], [0, 0, 0], [1, 0, 0], [1e-3, 0, -1]])
    end = np.float32([[0, 0, 1], [0, 0, -1], [-2, -4, -6], [0, 0, 1], [0, 0, 0], [0, 0, 1]])
    found, gradients = compiled(minimal_rotation)(start, end)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert (jitted(rotation_error)(found) < 1e-5).all()
    np.testing.assert_allclose(np.einsum("bij,bj->bi", found, start)[:3] * [[1], [0.5], [2]], end[:3], atol=1e-5)
    np.testing.assert_allclose(found[[0, 3, 4]], np.eye(3)[None].repeat(3, 0), atol=1e-6)
    with jax.enable_x64(True):
        found, _ = compiled(minimal_rotation)(np.float64(start), np.float64(end))
        assert found.dtype == np.float64


def test_poses_undo_each_other_and_their_gradients_are_rotations():
    rotation, translation = rotations(1).astype(np.float32), np.float32(directions(2)[0])
    points = clouds(3)[0]
    pose = {"rotation": rotation, "translation": translation}
    world, (gradient,) = compiled(to_world)(points, **pose)
    expected = np.einsum("bij,bnj->bni", rotation, points) + translation[:, None]
    np.testing.assert_allclose(world, expected, atol=1e-5)
    np.testing.assert_allclose(gradient[:, 0], rotation.sum(axis=1), atol=1e-5)
    back, (gradient,) = compiled(to_camera)(world, **pose)
    np.testing.assert_allclose(back, points, atol=1e-5)
    np.testing.assert_allclose(gradient[:, 0], rotation.sum(axis=2), atol=1e-5)
    for row in range(2):
        one = {name: value[row] for name, value in pose.items()}
        np.testing.assert_allclose(jitted(to_world)(points[row, :1], **one), world[row, :1], atol=1e-5)
        np.testing.assert_allclose(jitted(to_camera)(world[row, :1], **one), points[row, :1], atol=1e-5)


def umeyama(points, target, *, scaled):
    """The alignment in float64, through SciPy's rotation between sets of vectors."""
    middle, target_middle = points.mean(axis=0), target.mean(axis=0)
    points, target = np.float64(points) - middle, np.float64(target) - target_middle
    rotation, _ = transform.Rotation.align_vectors(target, points)
    turned = rotation.apply(points)
    scale = np.sum(turned * target) / np.sum(points**2) if scaled else 1.0
    return scale * turned + target_middle


@every_fit
def test_alignments_equal_those_through_scipy_and_masked_points_do_not_matter(alignment, fit):
    points, target = clouds(4)
    noise = np.where(MASK[..., None], 0, np.nan).astype(np.float32)
    found = jitted(alignment)(points + noise, target + noise, mask=MASK)
    assert np.isfinite(found).all()
    transformed = jitted(fit)(points, target, mask=MASK)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(transformed))
    for row, kept in enumerate(MASK):
        expected = umeyama(points[row, kept], target[row, kept], scaled=alignment is similarity_alignment)
        np.testing.assert_allclose(found[row, kept], expected, atol=2e-5)
        np.testing.assert_array_equal(found[row, ~kept], 0)
    # Where masked points are finite, they are moved along.
    moved = jitted(alignment)(points, target, mask=MASK)
    np.testing.assert_allclose(np.where(MASK[..., None], moved, 0), found, atol=1e-5)
    expected = transformed.scale[1] * points[1, 6] @ transformed.rotation[1].T + transformed.translation[1]
    np.testing.assert_allclose(moved[1, 6], expected, atol=1e-5)


@every_fit
def test_sets_without_extent_and_mirrored_ones_have_a_proper_rotation(alignment, fit):
    points, target = clouds(5)
    points[0], target[1] = points[0, :1], target[1, :1]
    points[2, :, 1:] = 0  # a line
    target[3] = points[3] * [-1, 1, 1]
    mask = np.ones((ROWS, JOINTS), bool)
    mask[4] = False
    transformed = jitted(fit)(points, target, mask=mask)
    assert (jitted(rotation_error)(transformed.rotation) < 1e-5).all()
    assert np.isfinite(jitted(alignment)(points, target, mask=mask)).all()
    np.testing.assert_array_equal(transformed.rotation[4], np.eye(3))
    assert transformed.scale[[0, 4]].tolist() == [1, 1]
    np.testing.assert_allclose(
        jitted(alignment)(points, target, mask=mask)[0], np.broadcast_to(target[0].mean(axis=0), (JOINTS, 3)), atol=1e-5
    )


@settings(max_examples=15, deadline=None)
@given(seed=seeds, order=st.permutations(range(JOINTS)))
def test_alignment_undoes_any_similarity_in_any_order_of_points(seed, order):
    points, target = clouds(seed, noise=0)
    everything = np.ones((ROWS, JOINTS), bool)
    np.testing.assert_allclose(jitted(similarity_alignment)(points, target, mask=everything), target, atol=1e-4)
    noisy = clouds(seed)[1]
    expected = jitted(rigid_alignment)(points, noisy, mask=everything)
    found = jitted(rigid_alignment)(points[:, order], noisy[:, order], mask=everything)
    np.testing.assert_allclose(found, expected[:, order], atol=1e-4)


def test_alignments_of_float64_and_of_one_set():
    points, target = clouds(6)
    with jax.enable_x64(True):
        one = jitted(similarity_alignment)(np.float64(points[0]), np.float64(target[0]), mask=np.ones(8, bool))
        assert one.dtype == np.float64
    np.testing.assert_allclose(one, umeyama(points[0], target[0], scaled=True), atol=1e-6)


def test_rotations_are_checked():
    check_rotation(jnp.asarray(rotations(7), jnp.float32))
    assert (jitted(rotation_error)(np.float32(rotations(7))) < 1e-6).all()
    for wrong in (2 * np.eye(3), np.full((3, 3), np.nan), np.eye(3) + 1e-3):
        with pytest.raises(
            ValueError, match=r"camera 1 must be a rotation, got a matrix whose R\^T R differs from the id"
        ):
            check_rotation(jnp.asarray(np.stack([np.eye(3), wrong])), name="camera 1")
    with pytest.raises(
        ValueError, match=r"rotation must be a rotation, got a matrix with the determinant -1: it mirrors"
    ):
        check_rotation(jnp.asarray(np.diag([1.0, -1.0, 1.0])))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes():
    three = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"start and end must both be \[\.\.\., 3\], got \(2, 3\) and \(3,\)"):
        minimal_rotation(three, np.ones(3))
    for function in (rotation_error, check_rotation):
        with pytest.raises(ValueError, match=r"rotation must hold matrices, shape \[\.\.\., 3, 3\], got \(2, 3\)"):
            function(three)
    for function in (to_world, to_camera):
        with pytest.raises(
            ValueError, match=r"points, rotation and translation must be .*, got \(2, 3\), \(3, 3\) and \(2,"
        ):
            function(three, rotation=np.eye(3), translation=np.ones(2))
    for function in (fit_rigid, fit_similarity):
        with pytest.raises(ValueError, match=r"points, target and mask must be .*, got \(2, 3\), \(2, 3\) and \(3,\)"):
            function(three, three, mask=np.ones(3, bool))
