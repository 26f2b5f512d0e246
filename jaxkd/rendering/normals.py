"""Normals of the vertices of a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer


def vertex_normals(
    vertices: Float[Array, "v 3"], faces: Integer[Array, "f 3"], *, shared: Integer[Array, " v"] | None = None
) -> Float[Array, "v 3"]:
    """Return unit normals: the sum over a vertex's faces of (b - a) x (c - a), which weighs each by its area.

    Args:
        vertices: positions, in any unit.
        faces: vertices of the triangles, counter-clockwise seen from outside; those with an index outside [0, v) or
            with a vertex that is not finite do not count.
        shared: for each vertex the index that stands for all vertices at its position, as `first_at_position` gives it.
            Meshes with textures have several vertices along their seams, which would be seen as creases.

    Returns:
        Of length 1, pointing outside; 0 for a vertex without a face that has an area.

    Raises:
        ValueError: shapes that do not agree.

    Source: definition; weights as in Foley et al., Computer Graphics (1990).  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> vertices = jnp.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [1.0, 1.0, 1.0]])
        >>> vertex_normals(vertices, jnp.array([[0, 1, 2]])).tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    number = vertices.shape[0] if vertices.ndim else 0
    if vertices.shape != (number, 3) or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"vertices and faces must be [v, 3] and [f, 3], got {vertices.shape} and {faces.shape}.")
    if shared is not None and shared.shape != (number,):
        raise ValueError(f"shared must have an index for each of {number} vertices, got the shape {shared.shape}.")
    vertices = vertices.astype(jnp.promote_types(vertices.dtype, jnp.float32))
    if number == 0 or faces.shape[0] == 0:
        return jnp.zeros_like(vertices)
    good = jnp.all((faces >= 0) & (faces < number), axis=1)
    corners = vertices[jnp.where(good[:, None], faces, 0)]
    good &= jnp.all(jnp.isfinite(corners), axis=(1, 2))
    corners = jnp.where(good[:, None, None], corners, 0)
    normals = jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    rows = faces if shared is None else shared[jnp.clip(faces, 0, number - 1)]
    rows = jnp.where(good[:, None], rows, number)
    summed = jax.ops.segment_sum(jnp.repeat(normals, 3, axis=0), rows.reshape(-1), number)
    return unit(summed if shared is None else summed[shared])


def first_at_position(vertices: Float[np.ndarray, "v 3"]) -> Int[np.ndarray, " v"]:
    """Return for each vertex the index of the first one at exactly the same position, on the host.

    Args:
        vertices: positions of the mesh at rest: seams stay together however it is posed.

    Returns:
        Per vertex, an index at most its own.

    Raises:
        ValueError: vertices that are not [v, 3].

    Source: definition.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> first_at_position(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
        [0, 1, 0]
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices must be [v, 3], got {vertices.shape}.")
    _, first, inverse = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int32)


def unit(vectors: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """Return vectors of length 1 with the same direction; 0, with a gradient of 0, for those without one.

    Args:
        vectors: any length that float32 can square.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> unit(jnp.array([[0.0, 0.0, 4.0], [0.0, 0.0, 0.0]])).tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    squared = jnp.sum(vectors * vectors, axis=-1, keepdims=True)
    return jnp.where(squared > 0, vectors * jax.lax.rsqrt(jnp.where(squared > 0, squared, 1)), 0)
