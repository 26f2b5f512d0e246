"""Images of meshes that stand in camera coordinates."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, UInt8

from jaxkd.rendering.colour import linear_light, pixel_values
from jaxkd.rendering.layers import composite, exposure
from jaxkd.rendering.normals import vertex_normals
from jaxkd.rendering.pixel_means import corner_values, pixel_means
from jaxkd.rendering.rasterization import Culling, check_mesh, seen_faces
from jaxkd.rendering.records import Light, ObjectLayer, Rendering
from jaxkd.rendering.sensor_noise import SensorNoise, noisy
from jaxkd.rendering.shading import shade
from jaxkd.typing import Key

NEAR = 0.01
"""Depth in metres from which on objects are drawn."""


def draw(
    vertices: Float[Array, "v 3"],
    faces: Integer[Array, "f 3"],
    albedo: Float[Array, "v c"],
    *,
    project: Callable[[Float[Array, "v 3"]], Float[Array, "v 2"]],
    light: Light,
    height: int,
    width: int,
    normals: Float[Array, "v 3"] | None = None,
    samples: int = 2,
    near: float = NEAR,
    culling: Culling = "none",
) -> ObjectLayer:
    """Return the light of a mesh at the pixels of a camera.

    A pixel has samples x samples points, each of which has a nearest face.  Normal, position and albedo are
    interpolated at each point and averaged over those of the pixel that show the mesh; the pixel has the radiance that
    `shade` gives for these means, times the share of such points.  Where the back of a face is seen, its normal is
    reversed, so that both sides of an open mesh are lit.

    Args:
        vertices: in camera coordinates (x to the right, y down, z forward), in metres.
        faces: as `rasterize` has them: those that it leaves out are left out here.
        albedo: share of the light that is reflected at each vertex, in c channels: 3 for colours, 1 for grey.
        project: pixels of points in camera coordinates, with pixel centres at integers.  It is called once, with all
            vertices, those behind the camera replaced by points on its axis.  Edges are drawn straight between the
            projected vertices, also where a lens bends them.
        light: of one scene, with c channels.
        height: rows of the image.
        width: columns of the image.
        normals: of the vertices, in camera coordinates, pointing outside; None: `vertex_normals(vertices, faces)`.
        samples: points along each side of a pixel, 1, 2, 4 or 8; 1 leaves jagged edges.
        near: faces with a vertex whose z is not above it are left out, in metres.
        culling: as `rasterize` has it; "back" saves no time.

    Returns:
        Light, coverage and depth of [h, w] pixels, in float32 or wider, without gradients, which `rasterize` and
        `interpolate` have.

    Raises:
        ValueError: shapes that do not agree, another number of `samples`, a `near` that is not positive and finite, or
            what `rasterize` refuses.

    Source: inferred from the parts.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.rendering import Light
        >>> light = Light(direction=jnp.array([0.0, 0.0, -1.0]), colour=jnp.array([0.5]), ambient=jnp.array([0.5]),
        ...               specular=jnp.array(0.0), shininess=jnp.array(1.0))
        >>> square = jnp.array([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
        >>> faces = jnp.array([[0, 1, 2], [0, 2, 3]])
        >>> layer = draw(square, faces, jnp.full((4, 1), 0.5), light=light, height=1, width=2,
        ...              project=lambda points: points[:, :2] / points[:, 2:])
        >>> layer.coverage.tolist(), layer.radiance[..., 0].tolist()
        ([[0.25, 0.25]], [[0.125, 0.125]])
    """
    number = vertices.shape[0] if vertices.ndim else 0
    if vertices.shape != (number, 3) or albedo.ndim != 2 or albedo.shape[0] != number:
        raise ValueError(f"vertices and albedo must be [v, 3] and [v, c], got {vertices.shape} and {albedo.shape}.")
    if normals is not None and normals.shape != vertices.shape:
        raise ValueError(f"normals must have the shape of vertices, got {normals.shape} and {vertices.shape}.")
    if samples not in (1, 2, 4, 8):
        raise ValueError(f"samples must be 1, 2, 4 or 8, got {samples}: a pixel has samples x samples points.")
    if not 0 < near < math.inf:
        raise ValueError(f"near must be positive and finite, in metres, got {near}.")
    vertices = vertices.astype(jnp.promote_types(vertices.dtype, jnp.float32))
    normals = vertex_normals(vertices, faces) if normals is None else normals
    good = jnp.all(jnp.isfinite(vertices), axis=1) & (vertices[:, 2] > near)
    vertices = jnp.where(good[:, None], vertices, jnp.array([[0.0, 0.0, 1.0]], vertices.dtype))
    pixels = project(vertices)
    if pixels.shape != (number, 2):
        raise ValueError(f"project must return a pixel for each of {number} points, got the shape {pixels.shape}.")
    check_mesh(pixels, vertices[:, 2], faces, height=samples * height, width=samples * width, culling=culling)
    return _drawn(
        (pixels + 0.5) * samples - 0.5,
        jnp.where(good, vertices[:, 2], -1),  # left out
        faces,
        jnp.concatenate([normals, vertices, albedo.astype(vertices.dtype)], axis=1),
        light,
        height=height,
        width=width,
        samples=samples,
        culling=culling,
    )


def render(
    vertices: Float[Array, "*t v 3"],
    faces: Integer[Array, "f 3"],
    albedo: Float[Array, "v c"],
    *,
    project: Callable[[Float[Array, "v 3"]], Float[Array, "v 2"]],
    light: Light,
    background: UInt8[Array, "h w c"],
    normals: Float[Array, "*t v 3"] | None = None,
    samples: int = 2,
    near: float = NEAR,
    culling: Culling = "none",
    noise: SensorNoise | None = None,
    key: Key | None = None,
) -> Rendering:
    """Return the image of a mesh before a background, its mask and its depth.

    A function of the arrays of one view: compile it with `jax.jit`, and map it over views with `jax.lax.map` (on a
    processor) or `jax.vmap`.

    Args:
        vertices: in camera coordinates, in metres; with another axis in front, at t instants while the shutter is open,
            whose light is averaged: motion blur.
        faces: as `rasterize` has them: those that it leaves out are left out here.
        albedo: as `draw` has it.
        project: as `draw` has it.
        light: as `draw` has it.
        background: pixel values in sRGB, which has the size of the image; it does not move.
        normals: of the vertices, at as many instants; None: `vertex_normals`.
        samples: as `draw` has it.
        near: as `draw` has it.
        culling: as `draw` has it.
        noise: noise of object and background alike; None: none, and the background stays exactly as it is.
        key: key of the noise.

    Returns:
        uint8 image; mask and depth of the object, without noise.

    Raises:
        ValueError: shapes that do not agree, noise without a key or a key without noise, or what `draw` refuses.
        TypeError: a background that is not uint8.

    Source: inferred from the parts.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.rendering import Light
        >>> light = Light(direction=jnp.array([0.0, 0.0, -1.0]), colour=jnp.ones(1), ambient=jnp.zeros(1),
        ...               specular=jnp.array(0.0), shininess=jnp.array(1.0))
        >>> triangle, faces = jnp.array([[-1.0, -1.0, 1.0], [-1.0, 4.5, 1.0], [4.5, -1.0, 1.0]]), jnp.array([[0, 1, 2]])
        >>> seen = render(triangle, faces, jnp.full((3, 1), 0.5), light=light, samples=1,
        ...               background=jnp.full((2, 4, 1), 7, jnp.uint8), project=lambda points: points[:, :2])
        >>> seen.image[..., 0].tolist()
        [[188, 188, 188, 188], [188, 188, 188, 7]]
    """
    if vertices.ndim not in (2, 3) or (vertices.ndim == 3 and vertices.shape[0] == 0):
        raise ValueError(f"vertices must be [v, 3] or [t, v, 3], with an instant or more, got {vertices.shape}.")
    if background.ndim != 3 or background.shape[2:] != albedo.shape[1:]:
        raise ValueError(
            f"background must be [h, w, c] with the channels of albedo, got {background.shape} and {albedo.shape}. "
            "jaxkd.rendering.grey turns colours into grey."
        )
    if (noise is None) != (key is None):
        raise ValueError(
            "noise and key must be given together: the key is that of the noise, got one without the other."
        )
    height, width, _ = background.shape

    def instant(posed: tuple[Array, Array | None]) -> ObjectLayer:
        return draw(
            posed[0],
            faces,
            albedo,
            project=project,
            light=light,
            height=height,
            width=width,
            normals=posed[1],
            samples=samples,
            near=near,
            culling=culling,
        )

    posed = vertices, normals
    layer = instant(posed) if vertices.ndim == 2 else exposure(jax.lax.map(instant, posed))
    radiance = composite(layer, linear_light(background))
    if noise is not None and key is not None:
        radiance = noisy(radiance, noise, key=key)
    return Rendering(image=pixel_values(radiance), mask=layer.coverage, depth=layer.depth)


@functools.partial(jax.jit, static_argnames=("height", "width", "samples", "culling"))
def _drawn(
    pixels: Float[Array, "v 2"],
    depth: Float[Array, " v"],
    faces: Integer[Array, "f 3"],
    values: Float[Array, "v k"],
    light: Light,
    *,
    height: int,
    width: int,
    samples: int,
    culling: Culling,
) -> ObjectLayer:
    """ObjectLayer of vertices whose values are normal, position and albedo; pixels are those of the points."""
    if pixels.shape[0] == 0 or faces.shape[0] == 0:
        empty = jnp.zeros((height, width), values.dtype)
        return ObjectLayer(
            radiance=jnp.zeros((height, width, values.shape[1] - 6), values.dtype),
            coverage=empty,
            depth=jnp.full_like(empty, jnp.inf),
        )
    edges, front, tiles = seen_faces(
        pixels, depth, faces, height=samples * height, width=samples * width, culling=culling
    )
    corners = corner_values(values, faces, front, turned=3)
    seen = pixel_means(edges, tiles, corners, height=height, width=width, samples=samples)
    radiance = shade(seen.values[..., :3], seen.values[..., 3:6], seen.values[..., 6:], light=light)
    return ObjectLayer(radiance=radiance * seen.coverage[..., None], coverage=seen.coverage, depth=seen.depth)
