"""Camera models against themselves and OpenCV, and crops against their definition, in float64."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.row import Bar, Row
from jaxkd.geometry.cameras import (
    BrownConrady,
    Camera,
    CropCamera,
    Fisheye62,
    Pinhole,
    Rational8,
    homography,
    kpe,
    perspective_crop,
)

WIDTH, HEIGHT = 636, 480
CENTRE = np.array([318.3, 239.1])
HEADSET = np.array([0.26, 0.13, -0.38, 0.31, 1e-3, -7e-4, -0.12, 0.02])
"""Coefficients of a headset's fisheye."""
STEP = 1e-5
RESOLUTION = 224

CAMERAS: dict[str, Camera] = {
    "Pinhole": Pinhole(focal=np.array([305.0, 304.0]), centre=CENTRE),
    "BrownConrady": BrownConrady(
        focal=np.array([480.0, 477.0]), centre=CENTRE, distortion=np.array([-0.28, 0.09, -0.01, 1e-3, -2e-3])
    ),
    "Rational8": Rational8(
        focal=np.array([300.0, 302.0]),
        centre=CENTRE,
        distortion=np.array([0.5, 0.2, 1e-3, -5e-4, 0.01, 0.8, 0.25, 0.02]),
    ),
    "Fisheye62": Fisheye62(focal=np.array([191.0, 190.0]), centre=CENTRE, distortion=HEADSET),
}
"""One camera of each model; every pixel of the image lies in its field."""


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows; quick: every fifth pixel of the frame."""
    with jax.enable_x64(True):
        for name, camera in CAMERAS.items():
            yield _round_trip(name, camera, step=5 if quick else 1)
            yield _gradient(name, camera)
        yield from _opencv()
        yield from _crop()


def _frame(step: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT:step, :WIDTH:step]
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float64)


def _points(count: int, widest: float) -> np.ndarray:
    """Return points up to an angle from the axis, in radians; the first is on the axis."""
    rng = np.random.default_rng(0)
    theta, phi = rng.uniform(0, widest, count), rng.uniform(0, 2 * np.pi, count)
    theta[0] = 0
    rays = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    return rays * rng.uniform(0.2, 1.5, (count, 1))


def _round_trip(name: str, camera: Camera, step: int) -> Row:
    pixels = _frame(step)
    back = jax.jit(lambda camera, pixels: camera.project(0.37 * camera.unproject(pixels)))(camera, pixels)
    return Row(
        figure=f"{name}: round trip of {len(pixels):,} pixels of {WIDTH} x {HEIGHT}, largest error",
        value=float(np.max(np.abs(np.asarray(back) - pixels))),
        unit="px",
        bar=Bar(relation="<=", limit=5e-13 if name == "Fisheye62" else 1e-6),
    )


def _gradient(name: str, camera: Camera) -> Row:
    points = _points(200, 0.7)
    project = jax.jit(lambda points: camera.project(points))
    jacobian = jax.jit(jax.vmap(jax.jacrev(camera.project)))(points)
    differences = [(project(points + move) - project(points - move)) / (2 * STEP) for move in STEP * np.eye(3)]
    scale = float(np.max(np.abs(jacobian)))
    return Row(
        figure=f"{name}: Jacobian at 200 points, on the axis too, against differences, over its largest entry",
        value=float(np.max(np.abs(jacobian - np.stack(differences, axis=-1)))) / scale,
        unit="",
        bar=Bar(relation="<=", limit=1e-7),
    )


def _opencv() -> Iterator[Row]:
    """Compare with OpenCV, which the extra `oracle` brings."""
    import cv2

    still = np.zeros(3)
    orders = {"Pinhole": [], "BrownConrady": [0, 1, 3, 4, 2], "Rational8": list(range(8))}
    for name, order in orders.items():
        camera, points = CAMERAS[name], _points(2000, 0.8)
        distortion = getattr(camera, "distortion", np.zeros(0))[order]
        expected, _ = cv2.projectPoints(points[:, None], still, still, np.asarray(camera.matrix), distortion)
        yield _difference(f"{name}: projection - OpenCV's projectPoints", camera, points, expected[:, 0])
    points = _points(2000, 1.45)
    plain = np.where(np.arange(8) < 4, HEADSET, 0)
    camera = dataclasses.replace(CAMERAS["Fisheye62"], distortion=plain)
    expected, _ = cv2.fisheye.projectPoints(points[:, None], still, still, np.asarray(camera.matrix), plain[:4])
    yield _difference("Fisheye62 with k1 to k4: projection - OpenCV's fisheye", camera, points, expected[:, 0])
    tangential = np.where(np.isin(np.arange(8), [4, 5]), HEADSET, 0)
    camera = dataclasses.replace(CAMERAS["Fisheye62"], distortion=tangential)
    radii = np.hypot(points[:, 0], points[:, 1])
    theta = np.arctan2(radii, points[:, 2])
    plane = np.ones_like(points)
    plane[:, :2] = (theta / np.where(radii > 0, radii, 1))[:, None] * points[:, :2]
    swapped = np.array([0, 0, *HEADSET[[5, 4]]])
    expected, _ = cv2.projectPoints(plane[:, None], still, still, np.asarray(camera.matrix), swapped)
    yield _difference("Fisheye62 with p1 and p2: projection - OpenCV's, exchanged", camera, points, expected[:, 0])


def _difference(figure: str, camera: Camera, points: np.ndarray, expected: np.ndarray) -> Row:
    found = jax.jit(lambda camera, points: camera.project(points))(camera, points)
    return Row(
        figure=figure,
        value=float(np.max(np.abs(np.asarray(found) - expected))),
        unit="px",
        bar=Bar(relation="<=", limit=1e-9),
    )


def _crop() -> Iterator[Row]:
    camera, points = CAMERAS["Pinhole"], _points(200, 0.7)
    pinhole = Pinhole(focal=jnp.asarray(camera.focal), centre=jnp.asarray(camera.centre))
    run = jax.jit(lambda centre, size, angle: _cropped(pinhole, centre, size, angle))
    homographies, centres, labels = [], [], []
    rng = np.random.default_rng(1)
    for _ in range(20):
        centre, size = rng.uniform([0, 0], [WIDTH, HEIGHT]), rng.uniform(40, 200)
        crop, matrix = run(centre, size, rng.uniform(-1, 1))
        inner = np.array(
            [[crop.camera.focal[0], 0, RESOLUTION / 2], [0, crop.camera.focal[1], RESOLUTION / 2], [0, 0, 1]]
        )
        expected = inner @ np.asarray(crop.rotation) @ np.linalg.inv(np.asarray(camera.matrix))
        homographies.append(np.max(np.abs(np.asarray(matrix) - expected)) / np.max(np.abs(expected)))
        image = np.asarray(matrix) @ [*centre, 1]
        centres.append(np.max(np.abs(image[:2] / image[2] - RESOLUTION / 2)))
        labels.append(np.max(np.abs(np.asarray(crop.to_camera(crop.to_crop(jnp.asarray(points)))) - points)))
    yield Row(
        figure="perspective crop: H - K' R K^-1 of 20 crops, over the largest entry",
        value=float(max(homographies)),
        unit="",
        bar=Bar(relation="<=", limit=1e-12),
    )
    yield Row(
        figure="perspective crop: centre of the crop - (res / 2, res / 2)",
        value=float(max(centres)),
        unit="px",
        bar=Bar(relation="<=", limit=1e-10),
    )
    yield Row(
        figure="perspective crop: labels there and back",
        value=float(max(labels)),
        unit="m",
        bar=Bar(relation="<=", limit=1e-14),
    )
    channels = kpe(pinhole, jnp.asarray(CENTRE), jnp.asarray(100.0)).shape[-1]
    yield Row(figure="kpe: channels - 80", value=abs(channels - 80), unit="", bar=Bar(relation="<=", limit=0))


def _cropped(camera: Pinhole, centre: jax.Array, size: jax.Array, angle: jax.Array) -> tuple[CropCamera, jax.Array]:
    crop = perspective_crop(camera, centre, size, resolution=RESOLUTION, angle=angle)
    return crop, homography(camera, crop)
