"""The four camera models: a pinhole, OpenCV's five and eight coefficients, and the fisheye of headset cameras."""

import abc
import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxkd.geometry.cameras.camera import Camera, Leaf
from jaxkd.geometry.cameras.inverse import determinant, inverse, value_and_columns
from jaxkd.geometry.cameras.planes import (
    equidistant_plane,
    equidistant_rays,
    perspective_plane,
    perspective_rays,
)

NODES = 1024
"""Angles from the axis at which a distortion is tabled, to find where it stops rising and where Newton starts."""

WIDEST_PERSPECTIVE, WIDEST_FISHEYE = math.radians(89), math.radians(179)
"""Angles from the axis beyond which no model is taken to see, whatever its coefficients."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Pinhole(Camera):
    """Perspective without distortion: pixel = f (x, y) / z + c.

    Source: definition.  Deviation: none.
    """

    def _plane(self, points: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        return perspective_plane(points)

    def _rays(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 3"]:
        return perspective_rays(plane)

    def _in_field(self, plane: Float[Array, "*b 2"]) -> Bool[Array, "*b"]:
        return jnp.ones(plane.shape[:-1], bool)

    def _distorted(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
        return plane

    def _undistorted(self, image: Float[Array, "*b 2"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        return image, jnp.ones(image.shape[:-1], bool)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistortedCamera(Camera):
    """A camera with a radial polynomial or quotient, and two tangential terms.

    It sees up to the radius at which the radial part stops rising, and where the Jacobian's determinant is positive:
    beyond that a polynomial folds back, and points far outside the image would land in it.
    """

    distortion: Leaf
    """Coefficients, [k], in the order of `coefficients`."""

    coefficients: ClassVar[tuple[str, ...]]
    """Names of the coefficients, in order."""
    radii: ClassVar[np.ndarray]
    """Radii on the plane of the model at which the radial part is tabled."""

    @property
    def field_rad(self) -> Float[Array, ""]:
        """Greatest angle from the axis, in radians, up to which the radial distortion rises."""
        _, _, limit = self._table(jnp.dtype(jnp.float32))
        return self._angle(limit)

    def _in_field(self, plane: Float[Array, "*b 2"]) -> Bool[Array, "*b"]:
        frozen, plane = jax.lax.stop_gradient((self, plane))
        _, _, limit = frozen._table(plane.dtype)
        _, columns = value_and_columns(frozen._distorted, plane)
        return _within(plane, limit) & (determinant(columns) > 0)

    def _undistorted(self, image: Float[Array, "*b 2"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        radii, images, limit = jax.lax.stop_gradient(self)._table(image.dtype)
        length = jnp.sqrt(jnp.sum(jax.lax.stop_gradient(image * image), axis=-1))
        ratio = jnp.interp(length, images, radii) / jnp.where(length > 0, length, 1)
        plane, found = inverse(self._distorted, image, start=image * ratio[..., None])
        return plane, found & _within(plane, limit)

    def _table(self, dtype: jnp.dtype) -> tuple[Float[Array, " n"], Float[Array, " n"], Float[Array, ""]]:
        """Return radii, their images by the radial part alone, and the last radius up to which these rise."""
        radii = jnp.asarray(self.radii, dtype)
        images = radii * self._factor(radii * radii)
        rises = (images[1:] > images[:-1]) & jnp.isfinite(images[1:])
        # Where the first step that does not rise begins, the maximum may already be passed: one node before it.
        last = jnp.where(jnp.all(rises), len(radii) - 1, jnp.maximum(jnp.argmin(rises) - 1, 0))
        at = jnp.minimum(jnp.arange(len(radii)), last)
        return radii[at], images[at], radii[last]

    @abc.abstractmethod
    def _factor(self, r2: Float[Array, "*b"]) -> Float[Array, "*b"]:
        """Return the factor of the radial part at a squared radius; 1 at 0."""

    @abc.abstractmethod
    def _angle(self, radius: Float[Array, ""]) -> Float[Array, ""]:
        """Return the angle from the axis at a radius of the plane."""


class _Perspective(DistortedCamera):
    """A distortion of x/z, with OpenCV's tangential terms of the plane before the radial factor."""

    radii: ClassVar[np.ndarray] = np.tan(np.linspace(0, WIDEST_PERSPECTIVE, NODES))

    def _plane(self, points: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        return perspective_plane(points)

    def _rays(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 3"]:
        return perspective_rays(plane)

    def _angle(self, radius: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.arctan(radius)

    def _distorted(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
        p1, p2 = self._tangential()
        r2 = jnp.sum(plane * plane, axis=-1)
        return plane * self._factor(r2)[..., None] + _tangential_shift(plane, r2, p1, p2)

    @abc.abstractmethod
    def _tangential(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return p1 and p2."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class BrownConrady(_Perspective):
    """OpenCV's five coefficients on (x, y) / z, in the order k1, k2, k3, p1, p2.

    x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2), and y' alike with p1 and p2 exchanged.
    OpenCV's own vector has another order, k1, k2, p1, p2, k3.

    Source: Brown (1966); opencv 5.0.0, `projectPoints`, which the tests compare with.  Deviation: the order; NaN
    outside the field.

    Example:
        >>> import jax.numpy as jnp
        >>> camera = BrownConrady(
        ...     focal=jnp.array([100.0, 100.0]), centre=jnp.zeros(2), distortion=jnp.array([-0.1, 0.0, 0.0, 0.0, 0.0])
        ... )
        >>> camera.project(jnp.array([0.5, 0.0, 1.0])).tolist()
        [48.75, 0.0]
    """

    coefficients: ClassVar[tuple[str, ...]] = ("k1", "k2", "k3", "p1", "p2")

    def _factor(self, r2: Float[Array, "*b"]) -> Float[Array, "*b"]:
        return _polynomial(r2, jnp.asarray(self.distortion[:3]))

    def _tangential(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return jnp.asarray(self.distortion[3]), jnp.asarray(self.distortion[4])


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Rational8(_Perspective):
    """OpenCV's rational model of eight coefficients on (x, y) / z, in its order k1, k2, p1, p2, k3, k4, k5, k6.

    The radial factor is (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6); tangential terms as
    `BrownConrady`.

    Source: opencv 5.0.0, `projectPoints`, which the tests compare with.  Deviation: NaN outside the field, which ends
    at a pole of the quotient too.

    Example:
        >>> import jax.numpy as jnp
        >>> camera = Rational8(
        ...     focal=jnp.array([100.0, 100.0]), centre=jnp.zeros(2), distortion=jnp.zeros(8).at[5].set(0.25)
        ... )
        >>> camera.project(jnp.array([1.0, 0.0, 1.0])).tolist()
        [80.0, 0.0]
    """

    coefficients: ClassVar[tuple[str, ...]] = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")

    def _factor(self, r2: Float[Array, "*b"]) -> Float[Array, "*b"]:
        k1, k2, _, _, k3, k4, k5, k6 = jnp.asarray(self.distortion)
        return _polynomial(r2, jnp.stack([k1, k2, k3])) / _polynomial(r2, jnp.stack([k4, k5, k6]))

    def _tangential(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return jnp.asarray(self.distortion[2]), jnp.asarray(self.distortion[3])


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Fisheye62(DistortedCamera):
    """The fisheye of headset cameras: six radial terms of the angle, two tangential.

    The order is k1, k2, k3, k4, p1, p2, k5, k6.

    With theta = atan2(r, z) and a = theta (x, y) / r: (u, v) = a (1 + k1 theta^2 + ... + k6 theta^12), R = u^2 + v^2,
    and u' = u + 2 p2 u v + p1 (R + 2 u^2), v' = v + 2 p1 u v + p2 (R + 2 v^2).  Two traps: p1 and p2 change places
    relative to OpenCV, and they stand between k4 and k5, as in the published tuples.  It sees behind z = 0 where its
    field goes there.

    Source: the model of AssemblyHands' and UmeTrack's calibrations; that both tangential terms take the (u, v) before
    their update is inferred.  With p1 = p2 = k5 = k6 = 0 it is OpenCV's fisheye model, which the tests compare with.
    Deviation: none in the field, NaN outside it.

    Example:
        >>> import jax.numpy as jnp
        >>> camera = Fisheye62(
        ...     focal=jnp.array([190.0, 190.0]), centre=jnp.array([318.0, 240.0]), distortion=jnp.zeros(8)
        ... )
        >>> camera.project(jnp.array([1.0, 0.0, 1.0])).round(2).tolist()  # 190 * pi / 4 to the right
        [467.22998046875, 240.0]
    """

    coefficients: ClassVar[tuple[str, ...]] = ("k1", "k2", "k3", "k4", "p1", "p2", "k5", "k6")
    radii: ClassVar[np.ndarray] = np.linspace(0, WIDEST_FISHEYE, NODES)

    def _plane(self, points: Float[Array, "*b 3"]) -> tuple[Float[Array, "*b 2"], Bool[Array, "*b"]]:
        return equidistant_plane(points)

    def _rays(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 3"]:
        return equidistant_rays(plane)

    def _angle(self, radius: Float[Array, ""]) -> Float[Array, ""]:
        return radius

    def _factor(self, r2: Float[Array, "*b"]) -> Float[Array, "*b"]:
        k1, k2, k3, k4, _, _, k5, k6 = jnp.asarray(self.distortion)
        return _polynomial(r2, jnp.stack([k1, k2, k3, k4, k5, k6]))

    def _distorted(self, plane: Float[Array, "*b 2"]) -> Float[Array, "*b 2"]:
        p1, p2 = jnp.asarray(self.distortion[4]), jnp.asarray(self.distortion[5])
        image = plane * self._factor(jnp.sum(plane * plane, axis=-1))[..., None]
        # Exchanged: this model's p1 is OpenCV's p2.
        return image + _tangential_shift(image, jnp.sum(image * image, axis=-1), p2, p1)


def _within(plane: Float[Array, "*b 2"], limit: Float[Array, ""]) -> Bool[Array, "*b"]:
    return jnp.sum(plane * plane, axis=-1) <= limit * limit


def _polynomial(r2: Float[Array, "*b"], coefficients: Float[Array, " k"]) -> Float[Array, "*b"]:
    """Return 1 + c1 r^2 + c2 r^4 + ..., by Horner's rule."""
    value = jnp.zeros_like(r2)
    for coefficient in reversed(coefficients.astype(r2.dtype)):
        value = (value + coefficient) * r2
    return 1 + value


def _tangential_shift(
    plane: Float[Array, "*b 2"], r2: Float[Array, "*b"], p1: Float[Array, ""], p2: Float[Array, ""]
) -> Float[Array, "*b 2"]:
    """Return OpenCV's tangential terms."""
    x, y = plane[..., 0], plane[..., 1]
    p1, p2 = p1.astype(plane.dtype), p2.astype(plane.dtype)
    return jnp.stack([2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=-1)
