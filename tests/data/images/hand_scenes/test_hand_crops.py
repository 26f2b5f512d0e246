"""Crops around a hand: their cameras, angle and place."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.images.hand_scenes.hand_crops import BOX_SCALE, CropError, draw_crop_error, hand_crop
from jaxkd.data.images.hand_scenes.headset import draw_headset
from jaxkd.geometry.cameras import homography
from jaxkd.records.hands import MEDIAPIPE
from tests.tiny_hands import hands

CAMERA = draw_headset(np.random.default_rng(0)).cameras[0]
JOINTS = hands(1, 1, order=MEDIAPIPE, place=(0.15, -0.1, 0.4))[0].astype(np.float32)
EXACT = CropError(shift=np.zeros(2, np.float32), scale=np.float32(1), angle=np.float32(0))
RESOLUTION = 200

cropped = jax.jit(functools.partial(hand_crop, resolution=RESOLUTION), static_argnames=("kind", "mirror"))


def crop(joints=JOINTS, error=EXACT, *, kind="perspective", mirror=False):
    cut = cropped(joints, CAMERA, error, kind=kind, mirror=mirror)
    return cut, np.asarray(cut.pixels)


@pytest.mark.parametrize("kind", ["perspective", "plain"])
def test_the_hand_is_upright_and_within_the_crop(kind):
    cut, pixels = crop(kind=kind)
    right, down = pixels[9] - pixels[0]  # from the wrist to the base of the middle finger
    assert down < 0
    assert abs(right) < 1e-2 * abs(down)
    assert (pixels > 0).all()
    assert (pixels < RESOLUTION).all()
    np.testing.assert_allclose(np.linalg.det(cut.crop.rotation), 1, atol=1e-5)


def test_a_perspective_crop_shows_what_a_camera_turned_to_the_hand_sees():
    cut, pixels = crop()
    turned = JOINTS @ np.asarray(cut.crop.rotation).T
    focal, centre = np.asarray(cut.crop.camera.focal), np.asarray(cut.crop.camera.centre)
    np.testing.assert_allclose(pixels, turned[:, :2] / turned[:, 2:] * focal + centre, atol=1e-2)


def test_a_plain_crop_is_a_turned_and_scaled_square_of_the_image():
    cut, pixels = crop(kind="plain")
    image = np.asarray(CAMERA.project(jnp.asarray(JOINTS)))
    size = BOX_SCALE * np.ptp(image, axis=0).max()
    distances = [np.linalg.norm(one[1:] - one[:-1], axis=1) for one in (pixels, image)]
    np.testing.assert_allclose(distances[0], distances[1] * RESOLUTION / size, rtol=5e-3)  # fx and fy differ by 0.2 %
    middle = (image.min(0) + image.max(0)) / 2
    matrix = np.asarray(homography(cut.source, cut.crop))
    centre = matrix @ [*middle, 1]
    np.testing.assert_allclose(centre[:2] / centre[2], RESOLUTION / 2, atol=1e-2)


def test_a_mirrored_crop_is_the_mirror_image():
    plain, mirrored = crop()[1], crop(mirror=True)
    np.testing.assert_allclose(mirrored[1], plain * [-1, 1] + [RESOLUTION, 0], atol=1e-2)
    np.testing.assert_allclose(np.linalg.det(mirrored[0].crop.rotation), -1, atol=1e-5)


def test_errors_shift_scale_and_turn_the_crop():
    exact = crop(kind="plain")[1]
    shifted = crop(kind="plain", error=dataclasses.replace(EXACT, shift=np.array([0.1, 0], np.float32)))[1]
    np.testing.assert_allclose(np.linalg.norm(shifted - exact, axis=1), 0.1 * RESOLUTION, rtol=5e-3)
    larger = crop(kind="plain", error=dataclasses.replace(EXACT, scale=np.float32(1.25)))[1]
    np.testing.assert_allclose(larger - RESOLUTION / 2, (exact - RESOLUTION / 2) / 1.25, atol=1e-2)
    turned = crop(error=dataclasses.replace(EXACT, angle=np.float32(0.3)))[1]
    right, down = turned[9] - turned[0]
    np.testing.assert_allclose(np.arctan2(right, -down), 0.3, atol=2e-2)
    drawn = [draw_crop_error(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.03 < np.std([one.shift for one in drawn]) < 0.05
    assert 5 < np.degrees(np.std([one.angle for one in drawn])) < 11
