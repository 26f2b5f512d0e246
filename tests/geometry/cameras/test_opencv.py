"""Camera models against OpenCV where they coincide: another library as the oracle."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.geometry.cameras.calibrations import CALIBRATIONS, calibration, points
from tests.losses.compiled import jitted

pytestmark = pytest.mark.slow

OPENCV_ORDER = {"Pinhole": [], "BrownConrady": [0, 1, 3, 4, 2], "Rational8": list(range(8))}
"""Places of OpenCV's k1, k2, p1, p2, k3, k4, k5, k6 in our vector."""
WIDEST = {"Pinhole": 1.2, "BrownConrady": 0.8, "Rational8": 1.1}


def projected(camera, xyz):
    with jax.enable_x64(True):
        return jitted(type(camera).project)(camera, xyz)


@pytest.mark.parametrize("name", OPENCV_ORDER)
def test_projections_equal_those_of_opencv(name):
    cv2 = pytest.importorskip("cv2")
    with jax.enable_x64(True):
        camera = calibration(name, np.float64)
    xyz = np.concatenate([points(500, seed=4, widest=WIDEST[name]), [[0.0, 0.0, 1.0]]])
    distortion = getattr(CALIBRATIONS[name], "distortion", np.zeros(0))[OPENCV_ORDER[name]]
    with jax.enable_x64(True):
        matrix = np.asarray(camera.matrix)
    expected, _ = cv2.projectPoints(xyz[:, None], np.zeros(3), np.zeros(3), matrix, distortion)
    np.testing.assert_allclose(projected(camera, xyz), expected[:, 0], rtol=0, atol=1e-9)


def test_the_fisheye_without_its_extra_terms_equals_that_of_opencv():
    cv2 = pytest.importorskip("cv2")
    xyz = np.concatenate([points(500, seed=5, widest=1.45), [[0.0, 0.0, 1.0]]])
    distortion = np.zeros(8)
    distortion[:4] = CALIBRATIONS["Fisheye62"].distortion[:4]
    with jax.enable_x64(True):
        camera = dataclasses.replace(calibration("Fisheye62", np.float64), distortion=distortion)
        matrix = np.asarray(camera.matrix)
    expected, _ = cv2.fisheye.projectPoints(xyz[:, None], np.zeros(3), np.zeros(3), matrix, distortion[:4])
    np.testing.assert_allclose(projected(camera, xyz), expected[:, 0], rtol=0, atol=1e-9)


def test_tangential_terms_of_the_fisheye_are_those_of_opencv_exchanged():
    """Without radial terms, OpenCV's five coefficients on (u, v, 1) are the tangential terms on (u, v)."""
    cv2 = pytest.importorskip("cv2")
    xyz = points(500, seed=6, widest=1.2)
    distortion = np.zeros(8)
    distortion[4:6] = p1, p2 = 0.01, -0.003
    with jax.enable_x64(True):
        camera = dataclasses.replace(calibration("Fisheye62", np.float64), distortion=distortion)
        matrix = np.asarray(camera.matrix)
    theta = np.arccos(xyz[:, 2] / np.linalg.norm(xyz, axis=-1))
    plane = np.ones_like(xyz)
    plane[:, :2] = (theta / np.hypot(xyz[:, 0], xyz[:, 1]))[:, None] * xyz[:, :2]
    found = projected(camera, xyz)
    for order, right in (((p2, p1), True), ((p1, p2), False)):
        expected, _ = cv2.projectPoints(plane[:, None], np.zeros(3), np.zeros(3), matrix, np.array([0, 0, *order]))
        assert bool(np.max(np.abs(found - expected[:, 0])) <= 1e-9) is right
