"""A process on one core that renders a mesh of a hand's size on request."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.worker import serve
from jaxkd.rendering import Light, SensorNoise, rasterize, render, skin_albedo

SIDE = 224
RINGS, COLUMNS = 89, 13
"""2 * 89 * 13 = 2,314 faces and 1,159 vertices: a closed surface has as many faces and positions as the WebXR hand."""
FOCAL = 560.0
HALF_AXES = (0.045, 0.09, 0.03)
"""In metres, of an ellipsoid that covers about a quarter of the image, as a hand does."""


def mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the ellipsoid, half a metre before the camera, turned so that no axis is the image's."""
    polar = np.pi * np.arange(1, RINGS + 1) / (RINGS + 1)
    around = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    polar, around = (one.reshape(-1) for one in np.meshgrid(polar, around, indexing="ij"))
    between = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), -np.sin(polar) * np.sin(around)], axis=-1)
    vertices = np.concatenate([between, [[0, 1, 0], [0, -1, 0]]]) * HALF_AXES
    ring, column = (one.reshape(-1) for one in np.meshgrid(np.arange(RINGS - 1), np.arange(COLUMNS), indexing="ij"))
    following, last = (column + 1) % COLUMNS, np.arange(COLUMNS)
    one, two = ring * COLUMNS + column, (ring + 1) * COLUMNS + column
    three, four = (ring + 1) * COLUMNS + following, ring * COLUMNS + following
    after, lowest = (last + 1) % COLUMNS, (RINGS - 1) * COLUMNS
    poles = np.full(COLUMNS, RINGS * COLUMNS)
    faces = np.concatenate(
        [
            np.stack(corners, axis=-1)
            for corners in (
                (one, two, three),
                (one, three, four),
                (poles, last, after),
                (poles + 1, lowest + after, lowest + last),
            )
        ]
    )
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    return (vertices @ (turn.T * np.sign(np.linalg.det(turn))) + [0, 0, 0.5]).astype(np.float32), faces.astype(np.int32)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return milliseconds of processor and wall time of each repetition, and the share of covered pixels."""
    run = _prepared(request["case"])
    result = jax.block_until_ready(run())
    processor, wall = [], []
    for _ in range(request["repeats"]):
        start, used = time.perf_counter(), time.process_time()
        jax.block_until_ready(run())
        wall.append(1e3 * (time.perf_counter() - start))
        processor.append(1e3 * (time.process_time() - used))
    return {"processor": processor, "wall": wall, "covered": float(np.mean(np.asarray(result[1])))}


def _project(points: jax.Array) -> jax.Array:
    return FOCAL * points[:, :2] / points[:, 2:] + (SIDE - 1) / 2


@functools.cache
def _prepared(case: str) -> Callable[[], tuple[jax.Array, jax.Array]]:
    """A compiled case with its arguments, which returns an image and what it covers."""
    vertices, faces = mesh()
    if case in ("visibility", "large faces"):
        side = 2 * SIDE if case == "visibility" else SIDE
        scale = side / SIDE
        pixels, depth = scale * _project(jnp.asarray(vertices)), jnp.asarray(vertices[:, 2])
        if case == "large faces":
            rng = np.random.default_rng(1)
            pixels = jnp.tile(jnp.array([[-1.0, -1.0], [-1.0, 3.0 * SIDE], [3.0 * SIDE, -1.0]]), (len(faces), 1))
            depth = jnp.asarray(rng.uniform(1, 2, 3 * len(faces)), jnp.float32)
            faces = np.arange(3 * len(faces), dtype=np.int32).reshape(-1, 3)
        look = jax.jit(lambda pixels, depth: rasterize(pixels, depth, jnp.asarray(faces), height=side, width=side).face)
        return lambda: (face := look(pixels, depth), face >= 0)
    channels = 1 if case == "grey" else 3
    albedo = skin_albedo(jnp.asarray(vertices), tone=0.3, key=jax.random.key(0))[:, :channels]
    light = Light(
        direction=jnp.array([-1.0, -1.0, -1.0]),
        colour=jnp.full(channels, 0.8),
        ambient=jnp.full(channels, 0.2),
        specular=jnp.array(0.1),
        shininess=jnp.array(10.0),
    )
    background = jnp.asarray(np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, channels)), jnp.uint8)
    posed = jnp.asarray(vertices)
    if case == "motion":
        posed = jnp.stack([posed + jnp.array([[0.001 * step, 0, 0]]) for step in range(5)])
    key = jax.random.key(1) if case == "noise" else None

    @jax.jit
    def view(posed: jax.Array, albedo: jax.Array, light: Light, background: jax.Array) -> tuple[jax.Array, jax.Array]:
        seen = render(
            posed,
            jnp.asarray(faces),
            albedo,
            project=_project,
            light=light,
            background=background,
            samples=1 if case == "one point" else 2,
            noise=SensorNoise() if key is not None else None,
            key=key,
        )
        return seen.image, seen.mask

    return lambda: view(posed, albedo, light, background)


if __name__ == "__main__":
    serve(answer)
