"""A hand of few vertices with the proportions of a real one, and the GLB file of it."""

import functools
import json
import struct

import jax
import numpy as np

from jaxkd.data.images.hand_scenes.articulation import joint_rotations
from jaxkd.data.images.hand_scenes.mesh import MESH_JOINTS, MESH_PARENTS, HandMesh
from jaxkd.data.images.hand_scenes.skinning import pose_joints, skin

FINGERS = {  # x of a right hand, and z of metacarpal, proximal, intermediate and distal joint and of the tip
    "index": (-0.022, -0.03, -0.09, -0.132, -0.157, -0.168),
    "middle": (0.0, -0.03, -0.092, -0.138, -0.165, -0.177),
    "ring": (0.02, -0.028, -0.085, -0.126, -0.152, -0.163),
    "pinky": (0.04, -0.034, -0.074, -0.107, -0.126, -0.138),
}
THUMB = ((-0.028, -0.019, -0.036), (-0.045, -0.034, -0.059), (-0.067, -0.044, -0.083), (-0.078, -0.049, -0.092))
POSITIONS = np.array([(0, 0, 0), *THUMB, *((x, -0.005, z) for x, *depths in FINGERS.values() for z in depths)])
MIRROR = np.diag([-1.0, 1.0, 1.0])


def frames():
    """Orientation of each joint of a right hand: -z along its bone, or along the bone before a tip."""
    rotations = []
    for joint, name in enumerate(MESH_JOINTS):
        if joint == 0:
            direction = np.array([0, 0, -1.0])
        elif name.endswith("tip"):
            direction = POSITIONS[joint] - POSITIONS[MESH_PARENTS[joint]]
        else:
            direction = POSITIONS[joint + 1] - POSITIONS[joint]
        z = -direction / np.linalg.norm(direction)
        x = np.cross([0, 1.0, 0.3 if name.startswith("thumb") else 0], z)
        x /= np.linalg.norm(x)
        rotations.append(np.stack([x, np.cross(z, x), z], axis=1))
    return np.stack(rotations)


def tetrahedra():
    """Vertices, faces and weights of a small tetrahedron around each joint; half of its weight is its parent's."""
    corners = 0.006 * np.array([(0, 1, 0), (0.9, -0.4, 0.5), (-0.9, -0.4, 0.5), (0, -0.4, -1.0)])
    vertices = (POSITIONS[:, None] + corners).reshape(-1, 3)
    faces = np.array([(0, 2, 1), (0, 3, 2), (0, 1, 3), (1, 2, 3)])
    weights = np.zeros((len(vertices), 25))
    for vertex in range(len(vertices)):
        joint = vertex // 4
        weights[vertex, joint] += 0.75
        weights[vertex, max(MESH_PARENTS[joint], 0)] += 0.25
    return vertices, (faces + 4 * np.arange(25)[:, None, None]).reshape(-1, 3), weights


@functools.cache
def tiny_hand(side="right"):
    """The hand as a record; a left one is the mirror image of a right one."""
    vertices, faces, weights = tetrahedra()
    normals = (vertices - np.repeat(POSITIONS, 4, axis=0)) / np.linalg.norm(vertices[0] - POSITIONS[0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    rotations, positions = frames(), POSITIONS
    if side == "left":
        vertices, normals, positions, faces = vertices @ MIRROR, normals @ MIRROR, positions @ MIRROR, faces[:, ::-1]
        rotations = MIRROR @ rotations @ MIRROR
    return HandMesh(
        vertices=vertices.astype(np.float32),
        normals=normals.astype(np.float32),
        faces=faces.astype(np.int32),
        weights=weights.astype(np.float32),
        rest_rotations=rotations.astype(np.float32),
        rest_positions=positions.astype(np.float32),
        side=side,
    )


def write_glb(path, hand, *, scale=1.0, names=MESH_JOINTS, **changes):
    """Write a hand to a GLB file, with its joints in reverse order and its wrist turned and away from the origin.

    `changes` replace parts of the description.
    """
    turn, shift = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]), np.array([0.1, 0.2, 0.3])
    order = np.arange(25)[::-1]
    binds = np.tile(np.eye(4), (25, 1, 1))
    binds[:, :3, :3] = turn @ np.asarray(hand.rest_rotations, np.float64)
    binds[:, :3, 3] = scale * (np.asarray(hand.rest_positions) @ turn.T) + shift
    most = np.argsort(-np.asarray(hand.weights), axis=1)[:, :4]
    arrays = {
        "POSITION": (5126, "VEC3", (scale * (np.asarray(hand.vertices) @ turn.T) + shift).astype("<f4")),
        "NORMAL": (5126, "VEC3", (np.asarray(hand.normals) @ turn.T).astype("<f4")),
        "JOINTS_0": (5121, "VEC4", (24 - most).astype("u1")),
        "WEIGHTS_0": (5126, "VEC4", np.take_along_axis(np.asarray(hand.weights), most, 1).astype("<f4")),
        "indices": (5123, "SCALAR", np.asarray(hand.faces).ravel().astype("<u2")),
        "binds": (5126, "MAT4", np.linalg.inv(binds)[order].swapaxes(1, 2).astype("<f4")),
    }
    blob, views, accessors = b"", [], []
    for component, kind, values in arrays.values():
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": values.nbytes})
        count = values.size if kind == "SCALAR" else len(values)
        accessors.append({"bufferView": len(views) - 1, "componentType": component, "type": kind, "count": count})
        blob += values.tobytes() + b"\0" * (-values.nbytes % 4)
    document = {
        "asset": {"version": "2.0"},
        "nodes": [{"name": names[joint]} for joint in order],
        "skins": [{"joints": list(range(25)), "inverseBindMatrices": 5}],
        "meshes": [
            {"primitives": [{"attributes": {name: i for i, name in enumerate(list(arrays)[:4])}, "indices": 4}]}
        ],
        "bufferViews": views,
        "accessors": accessors,
        **changes,
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(blob)
    header = struct.pack("<3I", 0x46546C67, 2, size)
    chunks = struct.pack("<2I", len(text), 0x4E4F534A) + text + struct.pack("<2I", len(blob), 0x004E4942) + blob
    path.write_bytes(header + chunks)
    return path


def posed(hand, rotations, translation):
    """Orientations, positions and vertices of a hand, in NumPy."""
    return tuple(map(np.asarray, _posed(hand, rotations, translation)))


@jax.jit
def _posed(hand, rotations, translation):
    # One program: its operations one by one take longer.
    orientations, positions = pose_joints(hand, rotations, translation)
    return orientations, positions, skin(hand, orientations, positions)


def rotations_of(angles, wrist, *, side):
    """Rotations of joints, in NumPy."""
    return np.asarray(_rotations(angles, wrist, side=side))


_rotations = jax.jit(joint_rotations, static_argnames="side")


def random_rotations(rng, *shape):
    """Rotation matrices, uniformly distributed."""
    quaternion = rng.normal(size=(*shape, 4))
    w, x, y, z = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2).astype(np.float32)
