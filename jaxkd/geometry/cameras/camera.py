"""The contract of a camera, and what all of them share."""

import abc
import dataclasses
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Leaf: TypeAlias = Any
"""An array of JAX or NumPy; what else JAX rebuilds a pytree of, such as a shape or None, must pass too."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera(abc.ABC):
    """A camera model: between points in camera coordinates, in metres, and pixels.

    Camera coordinates have x to the right, y down and z forward; pixel centres are at integers, so that the first
    pixel's centre is (0, 0).  A camera is a pytree: its parameters are differentiable leaves.  Its methods take one
    camera; stack several of one kind with `jax.tree.map(lambda *leaves: jnp.stack(leaves), *cameras)` and use
    `jax.vmap`.

    What a camera cannot see is NaN, with a gradient of 0, so that a `jnp.where` over the result leaves gradients
    finite.
    """

    focal: Leaf
    """Focal lengths fx and fy, [2], in pixels, > 0."""
    centre: Leaf
    """Principal point cx and cy, [2], in pixels."""

    def project(self, points: Float[Array, "*b 3"]) -> Float[Array, "*b 2"]:
        """Return the pixel of each point.

        Args:
            points: in camera coordinates; any length of the vector, as long as all three coordinates share a unit.

        Returns:
            x and y in pixels, float32 (float64 if an input is); they may lie outside the image.  NaN where `visible` is
            False.  Differentiable in the points and the camera, on the axis too.

        Raises:
            ValueError: points that are not [..., 3].

        Example:
            >>> import jax.numpy as jnp
            >>> from jaxkd.geometry.cameras import Pinhole
            >>> camera = Pinhole(focal=jnp.array([100.0, 100.0]), centre=jnp.array([50.0, 40.0]))
            >>> camera.project(jnp.array([[0.1, 0.0, 2.0], [0.1, 0.0, -2.0]])).tolist()
            [[55.0, 40.0], [nan, nan]]
        """
        plane, visible = self._seen(points)
        pixels = self._distorted(plane) * _fitted(self.focal, plane) + _fitted(self.centre, plane)
        return jnp.where(visible[..., None], pixels, jnp.nan)

    def unproject(self, pixels: Float[Array, "*b 2"]) -> Float[Array, "*b 3"]:
        """Return the unit vector from the camera through each pixel.

        Args:
            pixels: x and y.

        Returns:
            Directions in camera coordinates, of length 1, float32 (float64 if an input is).  NaN for pixels beyond the
            field, which no ray reaches.  Derivatives are those of the implicit function, not of the solver's steps.

        Raises:
            ValueError: pixels that are not [..., 2].

        Example:
            >>> import jax.numpy as jnp
            >>> from jaxkd.geometry.cameras import Pinhole
            >>> camera = Pinhole(focal=jnp.array([100.0, 100.0]), centre=jnp.array([50.0, 40.0]))
            >>> camera.unproject(jnp.array([50.0, 40.0])).tolist()
            [0.0, 0.0, 1.0]
        """
        if pixels.shape[-1:] != (2,):
            raise ValueError(f"pixels must hold x and y on the last axis, shape [..., 2], got {pixels.shape}.")
        finite = jnp.all(jnp.isfinite(pixels), axis=-1)
        pixels = self._wide(jnp.where(finite[..., None], pixels, 0))
        plane, found = self._undistorted((pixels - _fitted(self.centre, pixels)) / _fitted(self.focal, pixels))
        return jnp.where((finite & found)[..., None], self._rays(plane), jnp.nan)

    def visible(self, points: Float[Array, "*b 3"]) -> Bool[Array, "*b"]:
        """Return whether each point is in front of the camera and within its field, wherever its image ends.

        Args:
            points: in camera coordinates.

        Raises:
            ValueError: points that are not [..., 3].

        Example:
            >>> import jax.numpy as jnp
            >>> from jaxkd.geometry.cameras import Pinhole
            >>> camera = Pinhole(focal=jnp.array([100.0, 100.0]), centre=jnp.array([50.0, 40.0]))
            >>> camera.visible(jnp.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])).tolist()
            [True, False]
        """
        return self._seen(points)[1]

    @property
    def matrix(self) -> Float[Array, "3 3"]:
        """K = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], the intrinsics without the distortion."""
        (fx, fy), (cx, cy) = jnp.asarray(self.focal), jnp.asarray(self.centre)
        zero, one = jnp.zeros_like(fx), jnp.ones_like(fx)
        return jnp.stack([jnp.stack(row) for row in ([fx, zero, cx], [zero, fy, cy], [zero, zero, one])])

    def _seen(self, points: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        """Return the points on the plane of the model, 0 where they are not visible, and whether they are."""
        if points.shape[-1:] != (3,):
            raise ValueError(f"points must hold x, y and z on the last axis, shape [..., 3], got {points.shape}.")
        plane, visible = self._plane(self._wide(points))
        visible = visible & self._in_field(plane)
        return jnp.where(visible[..., None], plane, 0), visible

    def _wide(self, values: Float[Array, "*b k"]) -> Float[Array, "*b k"]:
        """Return float32, or float64 where the values or the camera are: bfloat16 has no pixel beyond 256."""
        leaves = jax.tree.leaves(self)
        return values.astype(jnp.result_type(jnp.float32, values.dtype, *(leaf.dtype for leaf in leaves)))

    @abc.abstractmethod
    def _plane(self, points: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        """Return the points on the plane of the model, and whether they have a place there; 0 elsewhere."""

    @abc.abstractmethod
    def _rays(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 3"]:
        """Return unit vectors; undoes `_plane`."""

    @abc.abstractmethod
    def _in_field(self, plane: Float[Array, "*b 2"]) -> Bool[Array, "*b"]:
        """Return where the distortion is one to one."""

    @abc.abstractmethod
    def _distorted(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
        """Return the image on the plane at focal length 1."""

    @abc.abstractmethod
    def _undistorted(self, image: Float[Array, "*b 2"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        """Return the plane from the image, 0 where there is no solution, and whether there is one."""


def _fitted(parameter: Float[Array | np.ndarray, "2"], rows: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
    """Return a pair of parameters for each row."""
    return jnp.broadcast_to(jnp.asarray(parameter, rows.dtype), rows.shape)
