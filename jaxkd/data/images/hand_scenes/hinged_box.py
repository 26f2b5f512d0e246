"""Box with a lid on a hinge: an articulated object whose geometry is exact at every angle."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

_WALL = 0.004
"""Thickness of walls and bottom, in metres."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HingedBox:
    """Open box with a lid that turns about an edge.

    Coordinates are metres: the origin is the middle of the hinge, x runs along the hinge to the right, y up, and z from
    the hinge to the front.  The closed lid lies on the box, with its underside at y = 0, and reaches beyond the front
    wall by `lip`.  The opening angle turns the lid about x and raises its front.
    """

    width: float = 0.18
    """Extent along the hinge."""
    depth: float = 0.12
    """Extent from the hinge to the outside of the front wall."""
    height: float = 0.14
    """Extent of the box below the lid."""
    lip: float = 0.03
    """Extent of the lid beyond the front wall."""
    thickness: float = 0.006
    """Thickness of the lid."""
    lid_spacing: float = 0.004
    """Largest distance of neighbouring vertices of the lid; where something touches it, a vertex is at most 0.71 times
    as far."""
    base_spacing: float = 0.02
    """Largest distance of neighbouring vertices of the box."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value <= 2:
                raise ValueError(f"{field.name} must be in (0, 2] metres, got {value}.")
        if min(self.width, self.depth, self.height) <= 3 * _WALL:
            raise ValueError(
                f"width, depth and height must be more than three walls of {_WALL} m, got {self.width}, {self.depth} "
                f"and {self.height}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BoxMesh:
    """Triangles of a `HingedBox` whose lid is closed."""

    vertices: Float[np.ndarray, "n 3"]
    """Positions in metres, in the frame of the box."""
    faces: Int[np.ndarray, "f 3"]
    """Vertices of each triangle, counter-clockwise from outside.  Each side has vertices of its own, so edges are
    sharp."""
    lid: Bool[np.ndarray, " n"]
    """Whether a vertex is part of the lid; the others are the bottom part."""


def box_mesh(box: HingedBox) -> BoxMesh:
    """Return the triangles of a box: a bottom and four walls, and a lid, each a solid cuboid.

    Args:
        box: measures of the box.

    Returns:
        Mesh with the lid closed.

    Source: definition.  Deviation: none.

    Example:
        >>> mesh = box_mesh(HingedBox(lid_spacing=0.05, base_spacing=0.1))
        >>> mesh.vertices.shape, int(mesh.lid.sum())
        ((286, 3), 76)
    """
    half, low = box.width / 2, -box.height
    base = [
        ((-half, low, 0), (half, low + _WALL, box.depth)),
        ((-half, low + _WALL, 0), (half, 0, _WALL)),
        ((-half, low + _WALL, box.depth - _WALL), (half, 0, box.depth)),
        ((-half, low + _WALL, _WALL), (-half + _WALL, 0, box.depth - _WALL)),
        ((half - _WALL, low + _WALL, _WALL), (half, 0, box.depth - _WALL)),
    ]
    parts = [_cuboid(np.array(first), np.array(last), box.base_spacing) for first, last in base]
    last = np.array((half, box.thickness, box.depth + box.lip))
    parts.append(_cuboid(np.array((-half, 0.0, 0.0)), last, box.lid_spacing))
    counts = [len(vertices) for vertices, _ in parts]
    starts = np.cumsum([0, *counts[:-1]])
    return BoxMesh(
        vertices=np.concatenate([vertices for vertices, _ in parts]).astype(np.float32),
        faces=np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=True)]).astype(np.int32),
        lid=np.arange(sum(counts)) >= starts[-1],
    )


def open_box(
    vertices: Float[Array, "n 3"], lid: Bool[Array, " n"], angle: Float[Array, "*b"]
) -> Float[Array, "*b n 3"]:
    """Return the vertices of a box whose lid is open by an angle: (x, c y + s z, c z - s y) of the lid's vertices.

    Args:
        vertices: vertices with the lid closed, in the frame of the box.
        lid: whether a vertex is part of the lid.
        angle: opening angles, in radians; c and s are their cosine and sine.

    Returns:
        Vertices in the frame of the box, for each angle.

    Raises:
        ValueError: vertices that are not [n, 3], or another number of marks.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> front = jnp.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
        >>> open_box(front, jnp.array([True, False]), jnp.pi / 2).round(3).tolist()
        [[0.0, 1.0, -0.0], [0.0, 0.0, 1.0]]
    """
    if vertices.ndim != 2 or vertices.shape[-1] != 3 or lid.shape != vertices.shape[:1]:
        raise ValueError(f"vertices and lid must be [n, 3] and [n], got {vertices.shape} and {lid.shape}.")
    angle = jnp.asarray(angle, jnp.result_type(vertices))
    x, y, z = (jnp.broadcast_to(vertices[:, axis], (*angle.shape, len(lid))) for axis in range(3))
    cos, sin = (jnp.broadcast_to(value[..., None], x.shape) for value in (jnp.cos(angle), jnp.sin(angle)))
    opened = jnp.stack([x, cos * y + sin * z, cos * z - sin * y], axis=-1)
    still = jnp.stack([x, y, z], axis=-1)
    return jnp.where(jnp.broadcast_to(lid[:, None], still.shape), opened, still)


def _cuboid(first: np.ndarray, last: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and outward triangles of a cuboid, with a grid on each of its six sides."""
    vertices, faces, count = [], [], 0
    for axis in range(3):
        across, up = (axis + 1) % 3, (axis + 2) % 3
        shares = [
            np.linspace(0, 1, max(1, int(np.ceil((last[other] - first[other]) / spacing - 1e-6))) + 1)
            for other in (across, up)
        ]
        rows, columns = map(len, shares)
        grid = np.stack(np.meshgrid(*shares, indexing="ij"), axis=-1)
        for outward in (False, True):
            points = np.empty((rows, columns, 3))
            points[..., axis] = last[axis] if outward else first[axis]
            for place, other in enumerate((across, up)):
                points[..., other] = first[other] + grid[..., place] * (last[other] - first[other])
            index = np.arange(rows * columns).reshape(rows, columns) + count
            corners = [index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]]
            a, b, c, d = (corner.ravel() for corner in (corners if outward else corners[::-1]))
            faces += [np.stack([a, b, c], 1), np.stack([a, c, d], 1)]
            vertices.append(points.reshape(-1, 3))
            count += rows * columns
    return np.concatenate(vertices), np.concatenate(faces)
