"""Camera models against their definitions: round trips, gradients with the axis, and what they cannot see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.geometry.cameras import BrownConrady, Fisheye62, Pinhole, Rational8
from tests.geometry.cameras import calibrations
from tests.geometry.cameras.calibrations import CALIBRATIONS, calibration, frame, points
from tests.losses.compiled import jitted

every_model = pytest.mark.parametrize("name", CALIBRATIONS)

ROWS = 12
AXIS = np.array([0.0, 0.0, 0.7])
CORNERS = {"Pinhole": 53, "BrownConrady": 47, "Rational8": 61, "Fisheye62": 83}
"""Angle from the axis in the corner of the frame, in degrees."""


def project(camera, points):
    return camera.project(points)


def unproject(camera, pixels):
    return camera.unproject(pixels)


def with_value(function):
    """Return `function` with its value beside it, as `has_aux` takes it: a Jacobian and its value from one trace."""

    def pair(camera, one):
        value = function(camera, one)
        return value, value

    return pair


def exact(camera, xyz, pixels):
    """In float64: what the models return, and their Jacobians; of rays in reverse mode."""
    forward, reverse = (
        jax.vmap(jacobian(with_value(function), argnums=(0, 1), has_aux=True), in_axes=(None, 0))
        for jacobian, function in ((jax.jacfwd, project), (jax.jacrev, unproject))
    )
    by_camera_and_pixel, rays = reverse(camera, pixels)
    by_camera_and_point, found = forward(camera, jnp.concatenate([xyz, 0.37 * rays]))
    first = [jax.tree.map(lambda leaf: leaf[:ROWS], one) for one in (by_camera_and_point, by_camera_and_pixel)]
    return found[:ROWS], rays[ROWS:], found[2 * ROWS :], *first


def points_of(name):
    """Points of which the first is on the axis and the second beside it."""
    widest = np.radians(0.95 * CORNERS[name])
    return np.concatenate([AXIS[None], AXIS[None] + [1e-5, -2e-6, 0], points(ROWS - 2, seed=2, widest=widest)])


def everything(name):
    """Points in front of a camera, and `exact` at them and at pixels of the frame."""
    xyz = points_of(name)
    pixels = np.concatenate([calibrations.project(name, xyz), frame(step=9)])
    with jax.enable_x64(True):
        return xyz, jitted(exact)(calibration(name, np.float64), xyz, pixels)


def total(arguments):
    """In float32: the sum of all that is no NaN, and what the models return."""
    camera, xyz, pixels = arguments
    rays = unproject(camera, pixels)
    both = jnp.concatenate([xyz, jax.lax.stop_gradient(rays)])
    found = project(camera, both)
    value = sum(jnp.sum(jnp.where(jnp.isnan(one), 0, one)) for one in (found[:ROWS], rays))
    return value, (found[:ROWS], camera.visible(both)[:ROWS], rays, found[ROWS:])


gradients_and_values = jitted(jax.grad(total, has_aux=True))


def guarded(camera, xyz, pixels):
    """Values and gradients of `total`, of as many rows as all tests have, so that a model is compiled once."""
    rows = [np.resize(np.float32(one), (ROWS, np.shape(one)[-1])) for one in (xyz, pixels)]
    gradients, values = gradients_and_values((camera, *rows))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    return [one[: len(xyz)] for one in values[:2]], [one[: len(pixels)] for one in values[2:]], gradients


# Slow: the code is that of the other perspective model, whose Jacobians are compiled on the fast level.
exact_models = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "BrownConrady")) for name in CALIBRATIONS]
)


@exact_models
def test_round_trip_over_the_frame_to_rounding(name):
    xyz, (found, rays, back, _, _) = everything(name)
    np.testing.assert_allclose(found, calibrations.project(name, xyz), atol=1e-10)
    assert np.max(np.abs(back - frame(step=9))) <= (5e-13 if name == "Fisheye62" else 1e-6)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1, rtol=1e-15)
    assert np.degrees(np.arccos(rays[:, 2].min())) == pytest.approx(CORNERS[name], abs=1)


@every_model
def test_projections_equal_float64_numpy(name):
    xyz, pixels = points_of(name), frame(step=160)[:: 20 // ROWS + 1][:ROWS]
    (found, visible), (rays, back), _ = guarded(calibration(name), xyz, pixels)
    np.testing.assert_allclose(found, calibrations.project(name, xyz), atol=1e-3)
    assert visible.all()
    assert found.dtype == rays.dtype == back.dtype == np.float32
    assert np.max(np.abs(back - pixels)) <= 1e-3  # of 636; their own rounding is 3e-5


def test_hand_values():
    focal, centre = np.float32([100, 200]), np.float32([10, 20])
    point, pixel = np.array([[1.0, 2.0, 2.0]]), np.array([[10.0, 20.0]])  # x/z = 0.5, y/z = 1, r^2 = 1.25
    theta = np.pi / 4
    fisheye = np.array([[2.0, 0.0, 2.0]])
    cases = [
        (Pinhole(focal=focal, centre=centre), point, [60, 220]),
        (BrownConrady(focal=focal, centre=centre, distortion=np.float32([0.08, 0, 0, 0.1, 0])), point, [75, 305]),
        (
            Rational8(focal=focal, centre=centre, distortion=np.float32([0, 0, 0, 0.1, 0, -0.16, 0, 0])),
            point,
            [10 + 62.5 + 17.5, 20 + 250 + 20],
        ),
        (
            Fisheye62(focal=focal, centre=centre, distortion=np.float32([0.5, 0, 0, 0, 0, 0, 0, 0])),
            fisheye,
            [10 + 100 * (theta + 0.5 * theta**3), 20],
        ),
    ]
    for camera, xyz, expected in cases:
        (found, _), (rays, _), _ = guarded(camera, xyz, pixel)
        np.testing.assert_allclose(found[0], expected, rtol=1e-6)
        np.testing.assert_allclose(rays[0], [0, 0, 1], atol=1e-7)
    np.testing.assert_array_equal(cases[0][0].matrix, [[100, 0, 10], [0, 200, 20], [0, 0, 1]])


def test_tangential_terms_of_the_fisheye_change_places_relative_to_opencv():
    xyz = points(ROWS, seed=1)
    distortion = np.zeros(8, np.float32)
    distortion[4:6] = p1, p2 = 0.01, -0.003
    camera = Fisheye62(focal=np.ones(2, np.float32), centre=np.zeros(2, np.float32), distortion=distortion)
    (found, _), _, _ = guarded(camera, xyz, np.zeros((1, 2)))
    theta = np.arccos(xyz[:, 2] / np.linalg.norm(xyz, axis=-1))
    u, v = theta / np.hypot(xyz[:, 0], xyz[:, 1]) * xyz[:, :2].T
    swapped = np.stack(calibrations.opencv_tangential(u, v, p2, p1)) + np.stack([u, v])
    np.testing.assert_allclose(found, swapped.T, atol=1e-6)
    as_opencv = np.stack(calibrations.opencv_tangential(u, v, p1, p2)) + np.stack([u, v])
    assert np.max(np.abs(found - as_opencv.T)) > 1e-2


@exact_models
def test_derivatives_equal_finite_differences_on_the_axis_too(name):
    xyz, (_, _, _, (by_camera, by_point), (rays_by_camera, rays_by_pixel)) = everything(name)
    step = 1e-5
    for axis, moved in enumerate(np.eye(3) * step):
        above, below = calibrations.project(name, xyz + moved), calibrations.project(name, xyz - moved)
        # Central differences of values of hundreds of pixels: 1e-13 * 300 / 1e-5 and step^2 times the third derivative.
        np.testing.assert_allclose(by_point[..., axis], (above - below) / (2 * step), rtol=1e-6, atol=1e-5)
    if name != "Pinhole":
        for place, moved in enumerate(np.eye(by_camera.distortion.shape[-1]) * step):
            distortion = CALIBRATIONS[name].distortion
            above, below = (calibrations.project(name, xyz, distortion + sign * moved) for sign in (1, -1))
            expected = (above - below) / (2 * step)
            np.testing.assert_allclose(by_camera.distortion[..., place], expected, rtol=1e-6, atol=1e-5)
    # The inverse: along a ray nothing changes, and a pixel that follows a point leaves the ray on it.
    lengths = np.linalg.norm(xyz, axis=-1)[:, None, None]
    rays = xyz[:, :, None] / lengths
    expected = (np.eye(3) - rays @ rays.mT) / lengths
    np.testing.assert_allclose(rays_by_pixel @ by_point, expected, atol=1e-9)
    for leaf, other in zip(jax.tree.leaves(rays_by_camera), jax.tree.leaves(by_camera), strict=True):
        np.testing.assert_allclose(leaf, -rays_by_pixel @ other, atol=1e-9)


def second_derivatives(camera, pixels):
    jacobian = with_value(jax.jacrev(unproject, argnums=1))
    return jax.vmap(jax.jacfwd(jacobian, argnums=1, has_aux=True), in_axes=(None, 0))(camera, pixels)


def test_second_derivatives_of_rays_equal_finite_differences():
    step = 1e-3
    moves = np.array([[0, 0], [step, 0], [-step, 0], [0, step], [0, -step]])
    with jax.enable_x64(True):
        camera = calibration("Fisheye62", np.float64)
        (found, *_), (_, *sides) = jitted(second_derivatives)(camera, moves + np.array([400.0, 300.0]))
    expected = np.stack([(sides[0] - sides[1]) / (2 * step), (sides[2] - sides[3]) / (2 * step)], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    assert np.max(np.abs(expected)) > 1e-6


@every_model
def test_points_that_are_not_visible_are_nan_and_leave_gradients_finite(name):
    behind = np.array([[0.1, 0.2, -1.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [np.nan, 0.0, 1.0], [0.1, 0.1, 1.0]])
    if name == "Fisheye62":
        behind[0] = [1e-3, 0, -1.0]  # beyond 179 degrees; this model sees behind z = 0
    (pixels, visible), (rays, _), (_, gradient, _) = guarded(calibration(name), behind, [[1, 1], [np.nan, 1]])
    assert np.isnan(rays).tolist() == [[False] * 3, [True] * 3]
    assert visible.tolist() == [False] * 4 + [True]
    np.testing.assert_array_equal(np.isnan(pixels).all(axis=-1), ~visible)
    np.testing.assert_array_equal(gradient[:4], 0)
    assert np.abs(gradient[4]).min() > 1


def folding(model, place, value):
    distortion = np.zeros(len(model.coefficients), np.float32)
    distortion[place] = value
    return model(focal=np.full(2, 100, np.float32), centre=np.zeros(2, np.float32), distortion=distortion)


def field_rad(camera):
    return camera.field_rad


CUBIC = np.sqrt(1 / 0.9)
FOLDS = {
    "BrownConrady": (folding(BrownConrady, 0, -0.3), CUBIC, 2 / 3 * CUBIC),  # r - 0.3 r^3
    "Rational8": (folding(Rational8, 5, 0.25), 2.0, 1.0),  # r / (1 + r^2 / 4)
    "Rational8 with a pole": (folding(Rational8, 5, -0.25), 2.0, np.inf),  # r / (1 - r^2 / 4)
    "Fisheye62": (folding(Fisheye62, 0, -0.3), CUBIC, 2 / 3 * CUBIC),
}
"""Cameras, the radius on their plane at which the radial part turns, and its greatest value."""


@pytest.mark.parametrize(("camera", "turn", "greatest"), FOLDS.values(), ids=FOLDS)
def test_a_distortion_ends_where_it_folds_back(camera, turn, greatest):
    fisheye = isinstance(camera, Fisheye62)
    assert jitted(field_rad)(camera) == pytest.approx(turn if fisheye else np.arctan(turn), abs=0.01)
    shares = np.array([0.5, 0.95, 1.03, 1.5, 1.7])
    angles = shares * turn if fisheye else np.arctan(shares * turn)
    xyz = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=-1)
    pixels = np.outer(100 * min(greatest, 9) * np.array([0.5, 0.99, 1.01, 2, -3]), [0.6, 0.8])
    (_, visible), (rays, back), (_, _, gradient) = guarded(camera, xyz, pixels)
    assert visible.tolist() == (shares < 1).tolist()
    if greatest < np.inf:
        assert np.isnan(rays).all(axis=-1).tolist() == [False, False, True, True, True]
        np.testing.assert_allclose(back[:2], pixels[:2], atol=1e-3)
        np.testing.assert_array_equal(gradient[2:5], 0)
        assert np.abs(gradient[:2]).max(axis=-1).min() > 1e-4


def test_bfloat16_is_computed_in_float32_and_one_float64_is_enough():
    camera, xyz = calibration("Pinhole"), np.float32([[0.25, -0.5, 1.0]])
    found = jitted(project)(camera, xyz.astype(jnp.bfloat16))
    np.testing.assert_array_equal(found, jitted(project)(camera, xyz))
    half = np.asarray(found).astype(jnp.bfloat16)
    assert jax.eval_shape(unproject, camera, half).dtype == found.dtype == np.float32
    with jax.enable_x64(True):
        assert jax.eval_shape(project, calibration("Pinhole", np.float64), xyz).dtype == np.float64


def test_a_camera_of_numpy_arrays_is_the_same_and_stacks_under_vmap():
    xyz = np.resize(points(ROWS, seed=3), (2, ROWS, 3)).astype(np.float32)
    cameras = [calibration("Fisheye62"), FOLDS["Fisheye62"][0]]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *cameras)
    found = jitted(jax.vmap(project))(stacked, xyz)
    for camera, one, expected in zip(cameras, xyz, found, strict=True):
        np.testing.assert_allclose(guarded(camera, one, [[0, 0]])[0][0], expected, rtol=1e-5, atol=1e-4)
    one = guarded(jax.tree.map(jnp.asarray, cameras[0]), xyz[0], [[0, 0]])[0][0]
    np.testing.assert_allclose(one, found[0], rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes():
    camera = calibration("Pinhole")
    with pytest.raises(ValueError, match=r"points must hold x, y and z on the last axis, shape .*, got \(4, 2\)"):
        camera.project(np.ones((4, 2), np.float32))
    with pytest.raises(ValueError, match=r"pixels must hold x and y on the last axis, shape .*, got \(4, 3\)"):
        camera.unproject(np.ones((4, 3), np.float32))
