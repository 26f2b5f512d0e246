"""Intrinsics of resized and cut images, the encoding of crops, and calibrations that are refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.geometry.cameras import Fisheye62, Pinhole, check_camera, cropped_camera, kpe, scaled_camera
from tests.geometry.cameras.calibrations import HEIGHT, WIDTH, calibration
from tests.losses.compiled import compiled, jitted

PINHOLE = Pinhole(focal=np.float32([100, 120]), centre=np.float32([31, 22]))


def test_scaling_and_cropping_follow_a_point_through_the_pixels():
    """A pixel of a twice smaller image covers two by two, and so its centre is at their middle."""

    def pixels(xyz):
        back = scaled_camera(scaled_camera(PINHOLE, scale=3), scale=1 / 3)
        cameras = (
            PINHOLE,
            scaled_camera(PINHOLE, scale=(0.5, 0.25)),
            cropped_camera(PINHOLE, corner=jnp.array([10.0, -4.0])),
        )
        return back.centre, *(camera.project(xyz) for camera in cameras)

    centre, (x, y), half, part = jitted(pixels)(np.float32([0.05, 0.02, 0.4]))
    np.testing.assert_allclose(half, [(x - 0.5) / 2, (y - 1.5) / 4], rtol=1e-6)
    np.testing.assert_allclose(centre, [31, 22], rtol=1e-6)
    np.testing.assert_allclose(part, [x - 10, y + 4], rtol=1e-6)


def test_other_models_keep_their_distortion():
    camera = calibration("Fisheye62")

    def total(camera, corner):
        found = cropped_camera(scaled_camera(camera, scale=0.5), corner=corner)
        return jnp.sum(found.focal) + jnp.sum(found.centre), found

    (of_camera, of_corner), found = jitted(jax.grad(total, argnums=(0, 1), has_aux=True))(camera, np.float32([3, 5]))
    assert isinstance(found, Fisheye62)
    np.testing.assert_array_equal(found.distortion, camera.distortion)
    np.testing.assert_allclose(found.focal, [95.5, 95])
    assert of_camera.focal.tolist() == [0.5, 0.5]
    assert of_corner.tolist() == [-1, -1]


def encoded(camera, centre, size, frequencies=4):
    """The encoding in float64, a channel at a time."""
    half, channels = size / 2, []
    for dx, dy in ((0, 0), (-half, -half), (half, -half), (half, half), (-half, half)):
        for place, shift in enumerate((dx, dy)):
            angle = np.arctan2(centre[place] + shift - float(camera.centre[place]), float(camera.focal[place]))
            channels += [wave(2**octave * angle) for octave in range(frequencies) for wave in (np.sin, np.cos)]
    return np.array(channels)


def test_kpe_has_80_channels_and_equals_a_loop():
    centres, sizes = np.float32([[50.0, 3.0], [31.0, 22.0]]), np.float32([20.0, 8.0])
    found, gradients = compiled(kpe)(PINHOLE, centres, sizes)
    assert found.shape == (2, 80)
    for row, centre, size in zip(found, centres, sizes, strict=True):
        np.testing.assert_allclose(row, encoded(PINHOLE, centre, size), atol=1e-5)
        np.testing.assert_allclose(jitted(kpe)(PINHOLE, centre, size), row, atol=1e-6)
    assert found[1, :8].tolist() == [0, 1] * 4
    fewer = functools.partial(kpe, frequencies=2)
    assert jax.eval_shape(fewer, PINHOLE, centres[0], sizes[0]).shape == (40,)
    assert all(np.abs(leaf).max() > 1e-3 for leaf in gradients[1:])
    step = 1e-3
    moved = [encoded(PINHOLE, centres[0] + np.array([sign * step, 0]), 20.0).sum() for sign in (1, -1)]
    np.testing.assert_allclose(gradients[1][0, 0], (moved[0] - moved[1]) / (2 * step), rtol=1e-4)


def test_kpe_of_a_resized_image_is_the_same():
    centre, size = np.float32([50, 3]), np.float32(20)
    smaller = jitted(kpe)(scaled_camera(PINHOLE, scale=0.5), (centre + 0.5) * 0.5 - 0.5, size / 2)
    np.testing.assert_allclose(jitted(kpe)(PINHOLE, centre, size), smaller, atol=1e-6)


def test_right_calibrations_pass():
    check_camera(calibration("Fisheye62"), size=(WIDTH, HEIGHT))
    check_camera(PINHOLE, size=(64, 48))
    check_camera(PINHOLE)


def test_refuses_calibrations_that_are_none():
    fisheye = calibration("Fisheye62")
    for focal in ([0.0, 90.0], [-1.0, 90.0], [np.nan, 90.0]):
        with pytest.raises(ValueError, match=r"^left: focal must hold fx and fy in pixels, finite and > 0, got \["):
            check_camera(dataclasses.replace(PINHOLE, focal=np.float32(focal)), name="left")
    with pytest.raises(ValueError, match=r"camera: centre must hold cx and cy in pixels, finite, got \[inf, 0"):
        check_camera(dataclasses.replace(PINHOLE, centre=np.float32([np.inf, 0])))
    for wrong in (np.zeros(5), np.where(np.arange(8) == 3, np.nan, 0)):
        with pytest.raises(
            ValueError, match=r"distortion must hold the 8 coefficients k1, k2, k3, k4, p1, p2, k5, k6 in"
        ):
            check_camera(dataclasses.replace(fisheye, distortion=wrong))
    folded = dataclasses.replace(fisheye, distortion=np.float32([-0.9, *fisheye.distortion[1:]]))
    message = (
        r"one to one over the image of 636 x 480 pixels, got a field that \d+ of the 2228 pixels of its border lie"
    )
    with pytest.raises(ValueError, match=message):
        check_camera(folded, size=(WIDTH, HEIGHT))
    with pytest.raises(ValueError, match=r"size must be the width and the height in pixels, 1 or more, got \(0, 4\)"):
        check_camera(fisheye, size=(0, 4))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_scales_and_shapes():
    for scale in (0, -1, float("nan"), (1, 0)):
        with pytest.raises(ValueError, match=r"scale must be finite and > 0, got .*: it is the new size of the image"):
            scaled_camera(PINHOLE, scale=scale)
    with pytest.raises(ValueError, match=r"corner must hold x and y of the first pixel, shape \[2\], got \(3,\)"):
        cropped_camera(PINHOLE, corner=np.zeros(3))
    with pytest.raises(
        ValueError, match=r"centre and size must be \[\.\.\., 2\] and \[\.\.\.\], got \(2,\) and \(3,\)"
    ):
        kpe(PINHOLE, np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match=r"frequencies must be 1 or more, got 0"):
        kpe(PINHOLE, np.zeros(2), np.array(1.0), frequencies=0)
