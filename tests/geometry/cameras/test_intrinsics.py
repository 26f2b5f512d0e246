"""Intrinsics of resized and cut images, the encoding of crops, and calibrations that are refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.geometry.cameras import Fisheye62, Pinhole, check_camera, cropped_camera, kpe, scaled_camera
from tests.geometry.cameras.calibrations import HEIGHT, WIDTH, calibration
from tests.losses.compiled import compiled, jitted

PINHOLE = Pinhole(focal=jnp.array([100.0, 120.0]), centre=jnp.array([31.0, 22.0]))


def test_scaling_and_cropping_follow_a_point_through_the_pixels():
    """A pixel of a twice smaller image covers two by two, and so its centre is at their middle."""
    xyz = jnp.array([0.05, 0.02, 0.4])
    x, y = PINHOLE.project(xyz).tolist()
    half = scaled_camera(PINHOLE, scale=(0.5, 0.25)).project(xyz)
    np.testing.assert_allclose(half, [(x - 0.5) / 2, (y - 1.5) / 4], rtol=1e-6)
    np.testing.assert_allclose(scaled_camera(scaled_camera(PINHOLE, scale=3), scale=1 / 3).centre, [31, 22], rtol=1e-6)
    part = cropped_camera(PINHOLE, corner=jnp.array([10.0, -4.0])).project(xyz)
    np.testing.assert_allclose(part, [x - 10, y + 4], rtol=1e-6)


def test_other_models_keep_their_distortion():
    camera = calibration("Fisheye62")
    found = cropped_camera(scaled_camera(camera, scale=0.5), corner=jnp.array([3.0, 5.0]))
    assert isinstance(found, Fisheye62)
    np.testing.assert_array_equal(found.distortion, camera.distortion)
    np.testing.assert_allclose(found.focal, [95.5, 95])
    gradient = jax.grad(lambda one: jnp.sum(scaled_camera(one, scale=0.5).focal))(camera)
    assert gradient.focal.tolist() == [0.5, 0.5]
    gradient = jax.grad(lambda corner: jnp.sum(cropped_camera(camera, corner=corner).centre))(jnp.ones(2))
    assert gradient.tolist() == [-1, -1]


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
    found = jitted(kpe)(PINHOLE, centres, sizes)
    assert found.shape == (2, 80)
    for row, centre, size in zip(found, centres, sizes, strict=True):
        np.testing.assert_allclose(row, encoded(PINHOLE, centre, size), atol=1e-5)
        np.testing.assert_allclose(kpe(PINHOLE, jnp.asarray(centre), jnp.asarray(size)), row, atol=1e-6)
    assert found[1, :8].tolist() == [0, 1] * 4
    assert kpe(PINHOLE, jnp.asarray(centres[0]), jnp.asarray(20.0), frequencies=2).shape == (40,)
    _, gradients = compiled(kpe)(PINHOLE, centres, sizes)
    assert all(np.abs(leaf).max() > 1e-3 for leaf in gradients[1:])
    step = 1e-3
    moved = [encoded(PINHOLE, centres[0] + np.array([sign * step, 0]), 20.0).sum() for sign in (1, -1)]
    np.testing.assert_allclose(gradients[1][0, 0], (moved[0] - moved[1]) / (2 * step), rtol=1e-4)


def test_kpe_of_a_resized_image_is_the_same():
    centre, size = jnp.array([50.0, 3.0]), jnp.array(20.0)
    smaller = kpe(scaled_camera(PINHOLE, scale=0.5), (centre + 0.5) * 0.5 - 0.5, size / 2)
    np.testing.assert_allclose(kpe(PINHOLE, centre, size), smaller, atol=1e-6)


def test_right_calibrations_pass():
    check_camera(calibration("Fisheye62"), size=(WIDTH, HEIGHT))
    check_camera(PINHOLE, size=(64, 48))
    check_camera(PINHOLE)


def test_refuses_calibrations_that_are_none():
    fisheye = calibration("Fisheye62")
    for focal in ([0.0, 90.0], [-1.0, 90.0], [np.nan, 90.0]):
        with pytest.raises(ValueError, match=r"^left: focal must hold fx and fy in pixels, finite and > 0, got \["):
            check_camera(dataclasses.replace(PINHOLE, focal=jnp.array(focal)), name="left")
    with pytest.raises(ValueError, match=r"camera: centre must hold cx and cy in pixels, finite, got \[inf, 0"):
        check_camera(dataclasses.replace(PINHOLE, centre=jnp.array([jnp.inf, 0.0])))
    for wrong in (jnp.zeros(5), jnp.zeros(8).at[3].set(jnp.nan)):
        with pytest.raises(
            ValueError, match=r"distortion must hold the 8 coefficients k1, k2, k3, k4, p1, p2, k5, k6 in"
        ):
            check_camera(dataclasses.replace(fisheye, distortion=wrong))
    folded = dataclasses.replace(fisheye, distortion=fisheye.distortion.at[0].set(-0.9))
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
        cropped_camera(PINHOLE, corner=jnp.zeros(3))
    with pytest.raises(
        ValueError, match=r"centre and size must be \[\.\.\., 2\] and \[\.\.\.\], got \(2,\) and \(3,\)"
    ):
        kpe(PINHOLE, jnp.zeros(2), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"frequencies must be 1 or more, got 0"):
        kpe(PINHOLE, jnp.zeros(2), jnp.array(1.0), frequencies=0)
