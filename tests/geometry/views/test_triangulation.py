"""Points from rays: exact where rays meet, the least squares where they do not, and NaN where there is no answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial import transform

from jaxkd.geometry.views import triangulate, view_rays
from tests.geometry.cameras.calibrations import calibration, project
from tests.losses.compiled import assert_equals_finite_differences, compiled, jitted

VIEWS, POINTS = 4, 6


def rig(seed, noise=0.01):
    """Poses on a headset, points before it, and noisy rays to them in the coordinates of the cameras."""
    rng = np.random.default_rng(seed)
    rotations = transform.Rotation.from_rotvec(rng.normal(size=(VIEWS, 3)) * 0.2).as_matrix()
    translations = rng.uniform(-0.1, 0.1, (VIEWS, 3))
    world = rng.uniform(-0.2, 0.2, (POINTS, 3)) + np.array([0, 0, 0.5])
    seen = np.einsum("vji,vnj->vni", rotations, world - translations[:, None])
    rays = seen / np.linalg.norm(seen, axis=-1, keepdims=True) + noise * rng.normal(size=seen.shape)
    confidences = rng.uniform(0.2, 1, (VIEWS, POINTS))
    confidences[0, 0] = 0
    return world, rays, {"rotations": rotations, "translations": translations, "confidences": confidences}


def float32(arrays):
    return {name: np.float32(array) for name, array in arrays.items()}


def test_hand_values():
    rays = np.full((VIEWS, POINTS, 3), np.nan, np.float32)
    rays[:2, 0] = [[0, 0, 3], [-1, 0, 1]]
    arrays = float32(
        {
            "rotations": [np.eye(3)] * VIEWS,
            "translations": [[0, 0, 0], [1, 0.2, 0], [0, 0, 0], [0, 0, 0]],
            "confidences": np.outer([2, 1, 0, 0], np.ones(POINTS)),
        }
    )
    # The rays pass each other at a distance of 0.2 in y; the squares 4 and 1 of the weights divide it.
    np.testing.assert_allclose(jitted(triangulate)(rays, **arrays)[:1], [[0, 0.04, 1]], atol=1e-6)
    cameras = [calibration("Pinhole")] * 2
    pixels = np.full((2, 1, 2), cameras[0].centre)
    np.testing.assert_allclose(jitted(view_rays)(cameras, pixels), [[[0, 0, 1]]] * 2, atol=1e-7)


def test_exact_rays_meet_in_their_point():
    world, rays, arrays = rig(0, noise=0)
    np.testing.assert_allclose(jitted(triangulate)(np.float32(rays), **float32(arrays)), world, atol=1e-5)
    far = arrays | {"translations": arrays["translations"] + [100, -50, 30]}
    found = jitted(triangulate)(np.float32(rays), **float32(far))
    np.testing.assert_allclose(found, world + np.array([100, -50, 30]), atol=1e-4)  # float32 rounds the origins to 4e-6
    with jax.enable_x64(True):
        found, _ = compiled(triangulate)(rays, **arrays)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, world, atol=1e-13)


def test_noisy_rays_equal_the_least_squares_of_scipy_and_its_gradient():
    _, rays, arrays = rig(1)
    directions = np.einsum("vij,vnj->vni", arrays["rotations"], rays / np.linalg.norm(rays, axis=-1, keepdims=True))

    def residuals(point, index):
        across = np.cross(directions[:, index], point - arrays["translations"])
        return (arrays["confidences"][:, index, None] * across).ravel()

    expected = [least_squares(residuals, np.zeros(3), args=(index,), xtol=1e-14).x for index in range(POINTS)]
    with jax.enable_x64(True):
        run = compiled(triangulate)
        np.testing.assert_allclose(run(rays, **arrays)[0], expected, atol=1e-8)
        assert_equals_finite_differences(lambda rays: run(rays, **arrays), rays, rtol=1e-5, atol=1e-8, eps=1e-6)


def test_rays_that_do_not_count_and_points_without_two_rays():
    _, rays, arrays = rig(2)
    rays, arrays = np.float32(rays), float32(arrays)
    expected = jitted(triangulate)(rays, **arrays)
    rays[0, 0] = np.nan  # its confidence is 0
    rays[1, 1] = np.nan  # beyond the field of its camera
    rays[1:, 2] = np.nan
    arrays["confidences"][:, 3] = 0
    rays[:, 4] = np.einsum("vji,j->vi", arrays["rotations"], [0, 0.6, 0.8])  # parallel

    def total(rays, **arrays):
        points = triangulate(rays, **arrays)
        return jnp.where(jnp.isnan(points), 0, points)

    found = jitted(triangulate)(rays, **arrays)
    assert np.isnan(found).all(axis=-1).tolist() == [False, False, True, True, True, False]
    np.testing.assert_allclose(found[[0, 5]], expected[[0, 5]], atol=1e-6)
    without = {name: np.delete(value, 1, axis=0) for name, value in arrays.items()}
    np.testing.assert_allclose(found[1], jitted(triangulate)(np.delete(rays, 1, axis=0), **without)[1], atol=1e-5)
    _, (gradient,) = compiled(total)(rays, **arrays)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[:, 2:5], 0)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    order=st.permutations(range(VIEWS)),
    power=st.integers(-60, 60),
    scale=st.floats(0.1, 9),
)
def test_the_order_of_views_and_the_scale_of_rays_and_weights_change_nothing(seed, order, power, scale):
    _, rays, arrays = rig(seed)
    shuffled = {name: array[order] for name, array in arrays.items()}
    shuffled["confidences"] *= 2.0**power
    with jax.enable_x64(True):
        expected, _ = compiled(triangulate)(rays, **arrays)
        found, _ = compiled(triangulate)(rays[order] * scale, **shuffled)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    # In float32 rounding is up to 1e7 of that, where rays are almost parallel; powers of two are not rounded.
    rays, arrays = np.float32(rays), float32(arrays)
    expected = jitted(triangulate)(rays, **arrays)
    arrays["confidences"] *= np.float32(2.0**power)
    np.testing.assert_array_equal(jitted(triangulate)(4 * rays, **arrays), expected)


def test_pixels_of_several_models_meet_in_their_point():
    world, _, arrays = rig(3)
    names = ("Fisheye62", "Pinhole", "Fisheye62")
    cameras = [calibration(name) for name in names]
    arrays = {name: np.float32(array[:3]) for name, array in arrays.items()}
    seen = np.einsum("vji,vnj->vni", arrays["rotations"], world - arrays["translations"][:, None])
    pixels = np.float32([project(name, points) for name, points in zip(names, seen, strict=True)])

    def run(cameras, pixels, **arrays):
        return triangulate(view_rays(cameras, pixels), **arrays)

    np.testing.assert_allclose(jitted(run)(cameras, pixels, **arrays), world, atol=1e-4)
    with pytest.raises(ValueError, match=r"cameras must hold one camera for each of the 3 views, got 2"):
        view_rays(cameras[:2], jnp.asarray(pixels))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes():
    _, rays, arrays = rig(4)
    arrays = {name: np.asarray(array) for name, array in arrays.items()} | {"confidences": np.ones((VIEWS, 2))}
    with pytest.raises(ValueError, match=r"rays, rotations, translations and confidences must be .* and \(4, 2\)"):
        triangulate(np.asarray(rays), **arrays)
    with pytest.raises(ValueError, match=r"rays, rotations, translations and confidences must be .* got \(3,\)"):
        triangulate(np.ones(3), **arrays)
