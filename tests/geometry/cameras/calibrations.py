"""Cameras of each model for images of 636 x 480 pixels, and their projections a second time, in float64 NumPy."""

import jax
import numpy as np

from benchmarks.hands.cameras import CAMERAS as CALIBRATIONS
from benchmarks.hands.cameras import HEIGHT, WIDTH


def calibration(name, dtype=np.float32):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), CALIBRATIONS[name])


def frame(step=1):
    """Pixels of the frame, [n, 2] in float64, with its four corners."""
    x = np.unique(np.append(np.arange(0, WIDTH, step), WIDTH - 1))
    y = np.unique(np.append(np.arange(0, HEIGHT, step), HEIGHT - 1))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float64)


def points(count, seed=0, widest=1.0):
    """Points in front of a camera, [n, 3] in float64, up to an angle from the axis in radians."""
    rng = np.random.default_rng(seed)
    theta, phi = rng.uniform(0, widest, count), rng.uniform(0, 2 * np.pi, count)
    rays = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    return rays * rng.uniform(0.2, 1.5, (count, 1))


def opencv_tangential(x, y, p1, p2):
    r2 = x * x + y * y
    return 2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y


def project(name, xyz, distortion=None):
    """The definition of each model, a point at a time."""
    camera = CALIBRATIONS[name]
    distortion = getattr(camera, "distortion", None) if distortion is None else distortion
    pixels = []
    for x, y, z in np.float64(xyz):
        if name == "Fisheye62":
            k1, k2, k3, k4, p1, p2, k5, k6 = distortion
            r, theta = np.hypot(x, y), np.arctan2(np.hypot(x, y), z)
            length = theta + sum(k * theta ** (2 * i + 3) for i, k in enumerate((k1, k2, k3, k4, k5, k6)))
            u, v = (length * x / r, length * y / r) if r else (0.0, 0.0)
            square = u * u + v * v
            du = 2 * p2 * u * v + p1 * (square + 2 * u * u)
            dv = 2 * p1 * u * v + p2 * (square + 2 * v * v)
        else:
            x, y = x / z, y / z
            r2, factor, p1, p2 = x * x + y * y, 1.0, 0.0, 0.0
            if name == "BrownConrady":
                k1, k2, k3, p1, p2 = distortion
                factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
            if name == "Rational8":
                k1, k2, p1, p2, k3, k4, k5, k6 = distortion
                factor = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
            u, v = x * factor, y * factor
            du, dv = opencv_tangential(x, y, p1, p2)
        pixels.append(np.array([u + du, v + dv]) * camera.focal + camera.centre)
    return np.stack(pixels)
