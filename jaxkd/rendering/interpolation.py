"""Values of vertices at the pixels of an image."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxkd.rendering.fragments import Fragments


def interpolate(
    fragments: Fragments, faces: Integer[Array, "f 3"], values: Float[Array, "v k"]
) -> Float[Array, "h w k"]:
    """Return the vertices' `values` at each pixel: the sum over three corners of weight * value.

    Args:
        fragments: triangles that are seen.
        faces: vertices of the triangles, as `rasterize` had them.
        values: any number of values for each vertex: colours, normals, positions.

    Returns:
        Per pixel, 0 where there is no face.  Gradients reach `values`, and the vertices' positions through the weights.

    Raises:
        ValueError: shapes that do not agree.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> pixels, faces = jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]), jnp.array([[0, 1, 2]])
        >>> seen = rasterize(pixels, jnp.ones(3), faces, height=2, width=3)
        >>> interpolate(seen, faces, pixels)[0].tolist()
        [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]
    """
    if faces.ndim != 2 or faces.shape[1] != 3 or values.ndim != 2:
        raise ValueError(f"faces and values must be [f, 3] and [v, k], got {faces.shape} and {values.shape}.")
    if faces.shape[0] == 0 or values.shape[0] == 0:
        return jnp.zeros((*fragments.face.shape, values.shape[1]), fragments.depth.dtype)
    corners, rows = values[jnp.clip(faces, 0, values.shape[0] - 1)], jnp.maximum(fragments.face, 0)
    return sum(fragments.barycentric[..., corner, None] * corners[:, corner][rows] for corner in range(3))
