"""A process on one core that poses and renders a hand on request."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.worker import serve
from jaxkd.data.images.hand_scenes.mesh import HandMesh, load_hand
from jaxkd.data.images.hand_scenes.recordings.recorded_poses import pose_rotations, recorded_poses
from jaxkd.data.images.hand_scenes.skinning import pose_joints, skin, skin_normals
from jaxkd.rendering import Light, SensorNoise, rasterize, render, skin_albedo

SIDE = 224
FOCAL, DEPTH = 560.0, 0.5
"""In pixels and metres: 0.2 m fill the image, a little more than an open hand is long."""
TURNS = (0, 70, 180)
"""Degrees about the hand's length: its back, its edge and its palm face the camera."""
INSTANTS = 5


def views(hand: HandMesh) -> tuple[np.ndarray, np.ndarray]:
    """Return rotations of joints and places of the wrist of each recorded pose from three sides, fingers upwards.

    Args:
        hand: mesh of either side.

    Returns:
        [21, 25, 3, 3] and [21, 3], the box around each hand's joints in the middle of the image.
    """
    upright = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # the wrist's -z is the image's -y
    rotations, places = [], []
    for pose in recorded_poses(hand.side).values():
        for turn in TURNS:
            turned = Rotation.from_euler("yx", [turn, 15], degrees=True).as_matrix() @ upright
            posed = pose_rotations(hand, pose)
            posed[0] = turned @ posed[0]
            joints = np.asarray(pose_joints(hand, jnp.asarray(posed), jnp.zeros(3))[1])
            rotations.append(posed)
            places.append(np.array([0, 0, DEPTH]) - (joints.min(0) + joints.max(0)) / 2)
    return np.stack(rotations), np.stack(places).astype(np.float32)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return milliseconds of processor and wall time of each view, and the share of its pixels that are covered."""
    run = _prepared(request["case"])
    processor, wall, covered = [], [], []
    rotations, places = views(_hand())
    jax.block_until_ready(run(rotations[0], places[0]))
    for view in range(request["repeats"]):
        given = rotations[view % len(places)], places[view % len(places)]
        start, used = time.perf_counter(), time.process_time()
        result = jax.block_until_ready(run(*given))
        wall.append(1e3 * (time.perf_counter() - start))
        processor.append(1e3 * (time.process_time() - used))
        covered.append(float(np.mean(np.asarray(result[1]))))
    return {"processor": processor, "wall": wall, "covered": covered}


@functools.cache
def _hand() -> HandMesh:
    return jax.tree.map(jnp.asarray, load_hand("right"))


def _project(points: jax.Array) -> jax.Array:
    return FOCAL * points[:, :2] / points[:, 2:] + (SIDE - 1) / 2


@functools.cache
def _prepared(case: str) -> Callable[[np.ndarray, np.ndarray], tuple[jax.Array, jax.Array]]:
    """A compiled function of a pose, which returns an image, or vertices, and what it covers."""
    hand = _hand()
    faces = jnp.asarray(hand.faces)
    if case == "large faces":
        corners = jnp.tile(jnp.array([[-1.0, -1.0], [-1.0, 3.0 * SIDE], [3.0 * SIDE, -1.0]]), (len(faces), 1))
        depth = jnp.asarray(np.random.default_rng(1).uniform(1, 2, len(corners)), jnp.float32)
        apart = jnp.arange(len(corners), dtype=jnp.int32).reshape(-1, 3)
        look = jax.jit(lambda pixels, depth: rasterize(pixels, depth, apart, height=SIDE, width=SIDE).face)
        return lambda *_: (face := look(corners, depth), face >= 0)

    def posed(rotations: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array]:
        orientations, joints = pose_joints(hand, rotations, place)
        return skin(hand, orientations, joints), skin_normals(hand, orientations)

    if case == "pose":
        return jax.jit(lambda *given: ((found := posed(*given))[0], jnp.zeros_like(found[1])))
    if case == "visibility":

        @jax.jit
        def nearest(rotations: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array]:
            vertices, _ = posed(rotations, place)
            found = rasterize(2 * _project(vertices), vertices[:, 2], faces, height=2 * SIDE, width=2 * SIDE).face
            return found, found >= 0

        return nearest
    channels = 1 if case == "grey" else 3
    albedo = skin_albedo(jnp.asarray(hand.vertices), tone=0.3, key=jax.random.key(0))[:, :channels]
    light = Light(
        direction=jnp.array([-1.0, -1.0, -1.0]),
        colour=jnp.full(channels, 0.8),
        ambient=jnp.full(channels, 0.2),
        specular=jnp.array(0.1),
        shininess=jnp.array(10.0),
    )
    background = jnp.asarray(np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, channels)), jnp.uint8)

    def view(
        rotations: jax.Array, place: jax.Array, albedo: jax.Array, light: Light, background: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        vertices, normals = posed(rotations, place)
        if case == "motion":
            shifts = jnp.arange(INSTANTS)[:, None, None] * jnp.array([[[0.001, 0, 0]]])
            vertices, normals = vertices[None] + shifts, jnp.broadcast_to(normals, (INSTANTS, *normals.shape))
        seen = render(
            vertices,
            faces,
            albedo,
            project=_project,
            light=light,
            background=background,
            normals=normals,
            samples=1 if case == "one point" else 2,
            noise=SensorNoise() if case == "noise" else None,
            key=jax.random.key(1) if case == "noise" else None,
        )
        return seen.image, seen.mask

    compiled = jax.jit(view)
    return lambda rotations, place: compiled(rotations, place, albedo, light, background)


if __name__ == "__main__":
    serve(answer)
