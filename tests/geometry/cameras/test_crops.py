"""Crops as cameras: their homography, their centre, labels there and back, and the images that they see."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.geometry.cameras import (
    CropCamera,
    Pinhole,
    crop_camera_from_points,
    crop_image,
    homography,
    perspective_crop,
)
from tests.geometry.cameras import calibrations
from tests.geometry.cameras.calibrations import calibration
from tests.losses.compiled import jitted

RESOLUTION = 128
CENTRE = np.array([500.0, 90.0])


def pinhole_crop(camera, centre, angle, xyz):
    crop = perspective_crop(camera, centre, 120.0, resolution=RESOLUTION, angle=angle)
    back = crop.to_camera(crop.to_crop(xyz))
    return crop, homography(camera, crop), back, camera.project(xyz), crop.camera.project(crop.to_crop(xyz))


def cropped(angle):
    xyz = np.random.default_rng(0).uniform(-0.2, 0.2, (20, 3)) + np.array([0.1, -0.1, 0.8])
    with jax.enable_x64(True):
        return xyz, *jitted(pinhole_crop)(calibration("Pinhole", np.float64), CENTRE, np.float64(angle), xyz)


def mapped(matrix, pixels):
    values = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=-1) @ matrix.T
    return values[:, :2] / values[:, 2:]


def four_point_homography(source, target):
    """The map of four corners onto four others, by the linear equations of each."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(rows, right), 1).reshape(3, 3)


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_the_homography_is_k_r_k_and_the_centre_is_in_the_centre(angle):
    xyz, crop, matrix, back, pixels, crop_pixels = cropped(angle)
    (fx, fy), (cx, cy) = (np.float64(one) for one in (calibration("Pinhole").focal, [318.3, 239.1]))
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    inner = np.diag([*crop.camera.focal, 1.0])
    inner[:2, 2] = RESOLUTION / 2
    expected = inner @ crop.rotation @ np.linalg.inv(k)
    assert np.max(np.abs(matrix - expected)) <= 1e-12 * np.max(np.abs(expected))
    assert crop.camera.centre.tolist() == [RESOLUTION / 2, RESOLUTION / 2]
    np.testing.assert_allclose(mapped(matrix, CENTRE[None]), [[RESOLUTION / 2] * 2], atol=1e-11)
    np.testing.assert_allclose(mapped(matrix, pixels), crop_pixels, atol=1e-10)
    np.testing.assert_allclose(back, xyz, atol=1e-15)
    assert np.abs(crop_pixels - RESOLUTION / 2).max() > 20


def test_the_homography_equals_that_of_the_four_corners():
    _, crop, matrix, *_ = cropped(0.0)
    (fx, fy), (cx, cy) = (np.float64(one) for one in (calibration("Pinhole").focal, [318.3, 239.1]))
    corners = CENTRE + 60 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    rays = np.concatenate([(corners - [cx, cy]) / [fx, fy], np.ones((4, 1))], axis=-1) @ crop.rotation.T
    flat = rays[:, :2] / rays[:, 2:] * [fx, fy]
    extent = np.max(flat.max(axis=0) - flat.min(axis=0))
    np.testing.assert_allclose(crop.camera.focal, np.array([fx, fy]) * RESOLUTION / extent, rtol=1e-12)
    target = flat * RESOLUTION / extent + RESOLUTION / 2
    np.testing.assert_allclose(matrix / matrix[2, 2], four_point_homography(corners, target), rtol=1e-9, atol=1e-12)


def test_the_rotation_is_the_smallest_and_an_angle_turns_x_towards_y():
    _, straight, *_ = cropped(0.0)
    _, turned, *_ = cropped(0.4)
    ray = np.array([*(CENTRE - [318.3, 239.1]) / [305, 304], 1.0])
    ray /= np.linalg.norm(ray)
    np.testing.assert_allclose(straight.rotation @ ray, [0, 0, 1], atol=1e-15)
    assert np.trace(straight.rotation) == pytest.approx(1 + 2 * ray[2])  # the angle between the ray and the axis
    x, y, _ = turned.rotation @ straight.rotation.T @ [1, 0, 0]
    np.testing.assert_allclose([x, y], [np.cos(0.4), np.sin(0.4)], atol=1e-15)


def test_hand_values():
    camera = Pinhole(focal=np.float32([200, 200]), centre=np.float32([320, 240]))
    crop = jitted(perspective_crop, resolution=200)(camera, camera.centre, np.float32(100))
    matrix = jitted(homography)(camera, crop)
    np.testing.assert_allclose(matrix, [[2, 0, -540], [0, 2, -380], [0, 0, 1]], atol=1e-3)
    points = np.float32([[-0.1, 0, 1], [0.1, 0.05, 1], [np.nan, 0, 1]])
    crop = jitted(crop_camera_from_points, size=101)(points, mask=np.array([True, True, False]))
    # The box's centre is (0, 0.025, 1): of its width 0.1 / 1, up to the rotation.
    assert crop.camera.focal[0] == pytest.approx(0.95 * 50 / 0.1, rel=2e-3)
    assert crop.camera.centre.tolist() == [50, 50]


CORNERS = 40 * np.float32([[0, 0], [-1, -1], [1, -1], [1, 1], [-1, 1]])
"""Pixels of a crop 80 wide, relative to its centre, which comes first."""


def fisheye_crop(camera, corners, size):
    """A crop, with the gradient of its focal lengths to the centre, the first corner, and the rays of its corners."""

    def focal(centre):
        crop = perspective_crop(camera, centre, size, resolution=RESOLUTION)
        return jnp.sum(crop.camera.focal), crop

    gradient, crop = jax.grad(focal, has_aux=True)(corners[0])
    return crop, gradient, camera.unproject(corners)


def test_a_crop_of_a_fisheye_is_a_pinhole_that_holds_the_corners():
    camera, centre = calibration("Fisheye62"), np.float32([560, 400])
    crop, gradient, rays = jitted(fisheye_crop)(camera, centre + CORNERS, np.float32(80.0))
    rays = rays @ crop.rotation.T
    pixels = rays[:, :2] / rays[:, 2:] * crop.camera.focal + crop.camera.centre
    np.testing.assert_allclose(pixels[0], [RESOLUTION / 2] * 2, atol=1e-3)
    extents = np.ptp(pixels[1:], axis=0)
    assert extents.max() == pytest.approx(RESOLUTION, rel=1e-4)
    assert np.isfinite(gradient).all()


def test_corners_that_a_camera_does_not_see_mirror_those_opposite():
    camera = calibration("Fisheye62")
    camera = type(camera)(focal=camera.focal, centre=camera.centre, distortion=-0.3 * np.eye(8, dtype=np.float32)[0])
    centre = np.float32([318.3 + 110, 239.1])  # 0.58 of at most 0.70
    crop, *_ = jitted(fisheye_crop)(camera, centre + CORNERS, np.float32(80.0))
    assert np.isfinite(crop.camera.focal).all()
    assert np.isfinite(crop.rotation).all()
    lost, *_ = jitted(fisheye_crop)(camera, centre + CORNERS + 100, np.float32(80.0))
    assert np.isnan(lost.camera.focal).all()


def points_crop(points, *, mirror):
    crop = crop_camera_from_points(points, size=97, mirror=mirror)
    return crop, crop.camera.project(crop.to_crop(points))


@pytest.mark.parametrize("mirror", [False, True])
def test_points_fill_their_crop(mirror):
    xyz = np.random.default_rng(1).uniform(-0.1, 0.1, (21, 3)).astype(np.float32) + np.float32([0.2, 0.1, 0.5])
    crop, _ = jitted(points_crop, mirror=mirror)(xyz)
    turned = np.asarray(xyz) @ crop.rotation.T
    pixels = turned[:, :2] / turned[:, 2:] * crop.camera.focal + crop.camera.centre
    assert np.abs(pixels - 48).max() == pytest.approx(0.95 * 48, rel=1e-5)
    middle = crop.rotation @ (xyz.min(axis=0) + xyz.max(axis=0))
    np.testing.assert_allclose(middle[:2] / middle[2], 0, atol=1e-6)
    assert np.linalg.det(crop.rotation) == pytest.approx(-1 if mirror else 1, abs=1e-5)
    np.testing.assert_allclose(crop.rotation @ crop.rotation.T, np.eye(3), atol=1e-6)
    # Masked points may hold anything, and the order of the others does not matter.
    more = np.concatenate([xyz[::-1], np.float32([[np.nan] * 3, [9, 9, -9]])])
    run = jitted(crop_camera_from_points, size=97, mirror=mirror)
    padded = run(more, mask=np.arange(23) < 21)
    np.testing.assert_allclose(padded.camera.focal, crop.camera.focal, rtol=1e-6)
    np.testing.assert_allclose(padded.rotation, crop.rotation, atol=1e-7)
    assert np.isnan(run(more, mask=np.zeros(23, bool)).camera.focal).all()
    assert np.isnan(run(more, mask=np.ones(23, bool)).camera.focal).all()
    _, mirrored = jitted(points_crop, mirror=not mirror)(xyz)
    np.testing.assert_allclose(mirrored[:, 0] - 48, 48 - pixels[:, 0], atol=1e-3)


def test_an_image_seen_through_a_lens_is_that_of_the_pinhole():
    """An image whose colour is a smooth function of the pixel, and so of the direction."""

    def colour(pixels):
        return 100 * np.sin(pixels @ [[1 / 60, 0, 1 / 90], [0, 1 / 60, 1 / 90]])

    camera = calibration("Fisheye62")
    crop, *_ = jitted(fisheye_crop)(camera, np.float32([450, 300]) + CORNERS, np.float32(80.0))
    smaller = Pinhole(focal=crop.camera.focal / 4, centre=crop.camera.centre / 4)
    image = colour(np.stack(np.mgrid[:480, :636][::-1], axis=-1)).astype(np.float32)
    crop = dataclasses.replace(crop, camera=smaller)
    found, inside = jitted(crop_image, size=(40, 32))(image, camera=camera, crop=crop)
    assert inside.all()
    pixels = (np.stack(np.mgrid[:32, :40][::-1], axis=-1) - smaller.centre) / smaller.focal
    turned = np.concatenate([pixels, np.ones((32, 40, 1))], axis=-1) @ crop.rotation
    expected = colour(calibrations.project("Fisheye62", turned.reshape(-1, 3))).reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert np.ptp(expected) > 50


def test_pixels_are_interpolated_and_what_lies_outside_is_zero():
    image = np.float32([[0, 10], [20, 40]])[..., None]
    source = Pinhole(focal=np.ones(2, np.float32), centre=np.zeros(2, np.float32))
    inner = Pinhole(focal=np.full(2, 4, np.float32), centre=np.full(2, 2, np.float32))
    same = CropCamera(rotation=np.eye(3, dtype=np.float32), camera=inner)
    run = jitted(crop_image, size=(9, 8))
    found, inside = run(np.uint8(image), camera=source, crop=same)
    assert found.shape == (8, 9, 1)
    assert inside[2:7, 2:7].all()
    assert inside.sum() == 25
    np.testing.assert_allclose(found[2, 2:7, 0], [0, 2.5, 5, 7.5, 10], atol=1e-5)
    np.testing.assert_allclose(found[4, 4, 0], 70 / 4, atol=1e-5)
    np.testing.assert_array_equal(found[:, 7:], 0)
    total = jax.grad(lambda image: jnp.sum(crop_image(image, camera=source, crop=same, size=(9, 8))[0]))
    gradient = jitted(total)(image)
    np.testing.assert_allclose(gradient.sum(), 25, rtol=1e-6)
    line, inside = run(image[:1], camera=source, crop=same)
    np.testing.assert_allclose(line[2, 2:7, 0], [0, 2.5, 5, 7.5, 10], atol=1e-5)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_is_no_crop():
    camera, fisheye = calibration("Pinhole"), calibration("Fisheye62")
    with pytest.raises(
        ValueError, match=r"centre must hold x and y in pixels, shape \[2\], got \(3, 2\)\. Use jax\.vmap"
    ):
        perspective_crop(camera, np.zeros((3, 2)), 9.0, resolution=8)
    with pytest.raises(ValueError, match=r"resolution must be 1 pixel or more, got 0"):
        perspective_crop(camera, np.zeros(2), 9.0, resolution=0)
    crop = CropCamera(rotation=np.eye(3), camera=camera)
    with pytest.raises(
        TypeError, match=r"camera must be a Pinhole, got Fisheye62: an image with distortion has no hom"
    ):
        homography(fisheye, crop)
    with pytest.raises(ValueError, match=r"size must be 2 pixels or more, got 1"):
        crop_camera_from_points(np.ones((2, 3)), size=1)
    with pytest.raises(ValueError, match=r"points and mask must be \[n, 3\] and \[n\], got \(2, 3\) and \(3,\)"):
        crop_camera_from_points(np.ones((2, 3)), size=9, mask=np.ones(3, bool))
    with pytest.raises(ValueError, match=r"image must be \[height, width, channels\], got \(4, 4\)\. Use jax\.vmap"):
        crop_image(np.ones((4, 4)), camera=camera, crop=crop, size=(2, 2))
    with pytest.raises(ValueError, match=r"size must be 1 pixel or more, got 0"):
        crop_image(np.ones((4, 4, 1)), camera=camera, crop=crop, size=(0, 2))
