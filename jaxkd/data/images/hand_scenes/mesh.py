"""Skinned mesh of a hand, read from a GLB file: vertices, faces, skin weights, and the joints at rest."""

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd.records.hands import Side
from jaxkd.runtime.registries.npm import NpmFile, fetch_npm

_FINGERS = ("index-finger", "middle-finger", "ring-finger", "pinky-finger")
_BONES = ("metacarpal", "phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")

MESH_JOINTS: tuple[str, ...] = (
    "wrist",
    *(f"thumb-{bone}" for bone in _BONES if bone != "phalanx-intermediate"),
    *(f"{finger}-{bone}" for finger in _FINGERS for bone in _BONES),
)
"""Names of the 25 joints, in the order of the WebXR Hand Input specification."""

MESH_PARENTS: tuple[int, ...] = (
    -1,
    *(0 if name.endswith("metacarpal") else index for index, name in enumerate(MESH_JOINTS[1:])),
)
"""Parent of each joint; -1 for the wrist."""

_HAND = NpmFile(
    package="@webxr-input-profiles/assets",
    version="1.0.20",
    archive_sha256="30df2a2268220fc0d0e034bed1550aabdd7a2500573c5216f64fc70d59c3d91e",
    archive_size=93_577_565,
    member="dist/profiles/generic-hand/left.glb",
    sha256="bc67783144944ea1cda54d9247885825ea5fb9d4651469fe7d00be517a5c2b87",
)
HAND_FILES: dict[Side, NpmFile] = {
    "left": _HAND,
    "right": dataclasses.replace(
        _HAND,
        member="dist/profiles/generic-hand/right.glb",
        sha256="291790c14f7f88a7f9bd35330c47392ed8e8d395ae6728f4bb7089f1bc1f2b96",
    ),
}
"""Generic hands of the WebXR input profiles (MIT, Amazon): 1,360 vertices, 2,314 faces, 25 joints, 94 kB each."""

_MAGIC, _JSON, _BINARY = 0x46546C67, 0x4E4F534A, 0x004E4942
_TYPES = {5121: np.dtype("u1"), 5123: np.dtype("<u2"), 5125: np.dtype("<u4"), 5126: np.dtype("<f4")}
"""Component types of glTF 2.0 that a skinned mesh needs."""
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_ROUNDING = 1e-4


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class HandMesh:
    """Mesh of a hand at rest, and the joints that move it.

    Coordinates are metres in the frame of the wrist, as WebXR has it: -z towards the fingers, y out of the back of the
    hand, and x to the right of someone who looks along the fingers onto the back of the hand.  The thumb is at x < 0 of
    a right hand and at x > 0 of a left one.  Each joint has such a frame, whose -z points along the bone that begins
    there.
    """

    vertices: Float[Array, "v 3"]
    """Positions at rest.  Vertices on a seam of the texture are there twice."""
    normals: Float[Array, "v 3"]
    """Outward unit normals at rest, the same for both copies of a vertex on a seam."""
    faces: Int[Array, "f 3"]
    """Vertices of each triangle, counter-clockwise from outside."""
    weights: Float[Array, "v 25"]
    """Share of each joint in the motion of each vertex; rows sum to 1."""
    rest_rotations: Float[Array, "25 3 3"]
    """Orientation of each joint at rest; the wrist's is the identity."""
    rest_positions: Float[Array, "25 3"]
    """Position of each joint at rest; the wrist's is the origin."""
    side: Side = dataclasses.field(metadata={"static": True})
    """Which hand it is."""


def load_hand(side: Side) -> HandMesh:
    """Return the generic hand of a side, fetched once.

    Args:
        side: "left" or "right".

    Returns:
        Mesh of 1,360 vertices and 2,314 faces; 178 mm from the wrist to the tip of the middle finger.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the registry.
        ValueError: another side.

    Source: inferred; the conventions of joints are those of the WebXR Hand Input Module (W3C).  Deviation: none.
    """
    if side not in get_args(Side):
        raise ValueError(f"side must be one of {', '.join(get_args(Side))}, got {side!r}.")
    left, right = fetch_npm(list(HAND_FILES.values()))
    return read_hand(left if side == "left" else right, side)


def read_hand(path: Path | str, side: Side) -> HandMesh:
    """Read a skinned hand from a GLB file (glTF 2.0, binary).

    Args:
        path: file with one mesh of one primitive, and one skin with the 25 joints by their WebXR names, in any order.
        side: hand that the file holds; it is checked by where the thumb is.

    Returns:
        Mesh in the frame of its wrist, in float32.

    Raises:
        ValueError: a damaged file, other joints, or the other hand; the message names the file.

    Source: glTF 2.0 specification (Khronos), sections 3.6, 3.7.3 and 4.4.  Deviation: only what this mesh needs is
    read, which is no sparse accessors, no interleaved views and no further files.
    """
    path = Path(path)
    document, binary = _chunks(path)
    try:
        return _read(document, binary, path, side)
    except (KeyError, IndexError, TypeError, struct.error) as error:
        raise ValueError(
            f"{path} must describe one skinned mesh of glTF 2.0, got a description without {error}. Use a file of "
            f"{HAND_FILES[side].requirement}."
        ) from error


def _chunks(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the description and the arrays of a GLB file."""
    content = path.read_bytes()
    if len(content) < 20 or struct.unpack_from("<2I", content) != (_MAGIC, 2):
        raise ValueError(f"{path} must be a GLB file of version 2, got a file of {len(content)} bytes that is none.")
    chunks, offset = {}, 12
    while offset + 8 <= len(content):
        size, kind = struct.unpack_from("<2I", content, offset)
        chunks[kind] = content[offset + 8 : offset + 8 + size]
        offset += 8 + size
    (length,) = struct.unpack_from("<I", content, 8)
    if length != len(content) or offset != len(content) or not {_JSON, _BINARY} <= chunks.keys():
        raise ValueError(
            f"{path} must have the {length} bytes and the two chunks that its header announces, got {len(content)} "
            f"bytes and {len(chunks)} chunks. The file is damaged: delete it and fetch it again."
        )
    try:
        return json.loads(chunks[_JSON]), chunks[_BINARY]
    except ValueError as error:
        raise ValueError(
            f"{path} must have JSON as its first chunk, got a damaged one: {error}. Fetch it again."
        ) from error


def _read(document: dict[str, Any], binary: bytes, path: Path, side: Side) -> HandMesh:
    names = [document["nodes"][node].get("name", "") for node in document["skins"][0]["joints"]]
    if sorted(names) != sorted(MESH_JOINTS):
        missing, other = sorted(set(MESH_JOINTS) - set(names)), sorted(set(names) - set(MESH_JOINTS))
        raise ValueError(
            f"{path} must have the {len(MESH_JOINTS)} joints of a WebXR hand, got {len(names)}: without "
            f"{', '.join(missing) or 'none of them'}, and with {', '.join(other) or 'no'} others. Use another file."
        )
    primitive = document["meshes"][0]["primitives"][0]
    attributes = primitive["attributes"]

    def array(accessor: int, kind: str) -> np.ndarray:
        return _array(document, binary, accessor, kind, path)

    positions, normals = array(attributes["POSITION"], "VEC3"), array(attributes["NORMAL"], "VEC3")
    faces = array(primitive["indices"], "SCALAR").reshape(-1, 3).astype(np.int32)
    skin, weights = array(attributes["JOINTS_0"], "VEC4").astype(int), array(attributes["WEIGHTS_0"], "VEC4")
    binds = array(document["skins"][0]["inverseBindMatrices"], "MAT4").reshape(-1, 4, 4).transpose(0, 2, 1)
    if not (len(positions) == len(normals) == len(skin) == len(weights)) or faces.max() >= len(positions):
        raise ValueError(f"{path} must have as many weights as vertices, and faces of these vertices. Fetch it again.")
    if len(binds) != len(names) or skin.max() >= len(names):
        raise ValueError(f"{path} must have a bind matrix for each of its {len(names)} joints, got {len(binds)}.")

    order = [names.index(name) for name in MESH_JOINTS]
    dense = np.zeros((len(positions), len(names)))
    np.add.at(dense, (np.arange(len(positions))[:, None], skin), weights)
    inverse_rotations = _orthonormal(binds[order][:, :3, :3], path)
    rotations = inverse_rotations.swapaxes(1, 2)
    centres = -(rotations @ binds[order][:, :3, 3:])[..., 0]
    wrist, origin = rotations[0], centres[0]
    # NumPy arrays, which JAX takes as its own.
    arrays: dict[str, Any] = {
        "vertices": ((positions - origin) @ wrist).astype(np.float32),
        "normals": _unit(normals @ wrist).astype(np.float32),
        "faces": faces,
        "weights": (dense / dense.sum(1, keepdims=True))[:, order].astype(np.float32),
        "rest_rotations": (wrist.T @ rotations).astype(np.float32),
        "rest_positions": ((centres - origin) @ wrist).astype(np.float32),
    }
    mesh = HandMesh(**arrays, side=side)
    _require_hand(mesh, path)
    return mesh


def _array(document: dict[str, Any], binary: bytes, accessor: int, expected: str, path: Path) -> np.ndarray:
    """Return the values of an accessor, [count width], in float64 or as integers."""
    described = document["accessors"][accessor]
    view = document["bufferViews"][described["bufferView"]]
    kind, width = _TYPES[described["componentType"]], _WIDTHS[described["type"]]
    if described["type"] != expected:
        raise ValueError(f"{path} must have values of type {expected} in accessor {accessor}, got {described['type']}.")
    first, count = view.get("byteOffset", 0) + described.get("byteOffset", 0), described["count"] * width
    if view.get("byteStride", kind.itemsize * width) != kind.itemsize * width or first + count * kind.itemsize > len(
        binary
    ):
        raise ValueError(
            f"{path} must hold accessor {accessor} in one piece, got {len(binary)} bytes for values up to byte "
            f"{first + count * kind.itemsize}. The file is damaged: delete it and fetch it again."
        )
    values = np.frombuffer(binary, kind, count, first).reshape(-1, width)
    return values.astype(np.float64) if kind.kind == "f" else values


def _orthonormal(matrices: np.ndarray, path: Path) -> np.ndarray:
    """Return the nearest rotations: float32 leaves 5e-7, which the composition along a finger would add up."""
    left, _, right = np.linalg.svd(matrices)
    rotations = left @ right
    if not (np.abs(rotations - matrices) < _ROUNDING).all() or (np.linalg.det(rotations) < 0).any():
        raise ValueError(
            f"{path} must have bind matrices that rotate and shift, got others. Use a file without scales."
        )
    return rotations


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _require_hand(mesh: HandMesh, path: Path) -> None:
    length = float(np.linalg.norm(mesh.rest_positions[MESH_JOINTS.index("middle-finger-tip")]))
    if not 0.08 < length < 0.3:
        raise ValueError(
            f"{path} must have a hand in metres, got {length:g} from the wrist to the tip of the middle finger."
        )
    thumb, pinky = (
        mesh.rest_positions[MESH_JOINTS.index(f"{name}-metacarpal"), 0] for name in ("thumb", "pinky-finger")
    )
    found: Side = "right" if thumb < pinky else "left"
    if found != mesh.side:
        raise ValueError(
            f"{path} must hold a {mesh.side} hand, got a {found} one. Give the other file or the other side."
        )
