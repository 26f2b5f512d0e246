"""Crops as cameras of their own: rotated so that they look at what they show."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.geometry.cameras.camera import Camera, Leaf
from jaxkd.geometry.cameras.models import Pinhole
from jaxkd.geometry.rotations import minimal_rotation

POINTS_MARGIN = 0.95
"""Share of the half side of a crop that the points reach."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class CropCamera:
    """A pinhole camera at the place of another one, turned relative to it: x_crop = R x_camera."""

    rotation: Leaf
    """R, [3, 3], from the coordinates of the original camera to those of the crop; determinant -1 where the crop is
    mirrored."""
    camera: Pinhole
    """Intrinsics of the crop."""

    def to_crop(self, points: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
        """Return R x: labels in the coordinates of the crop."""
        return jnp.einsum("ij,...j->...i", self.rotation, points)

    def to_camera(self, points: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
        """Return R^T x: predictions in the coordinates of the original camera; undoes `to_crop`."""
        return jnp.einsum("ji,...j->...i", self.rotation, points)

    def turned(self, angle: Float[Array, ""] | float) -> "CropCamera":
        """Return the crop turned in its plane, in radians; positive turns x towards y, clockwise on the screen."""
        rotation = _in_plane(jnp.asarray(angle, self.rotation.dtype)) @ self.rotation
        return CropCamera(rotation=rotation, camera=self.camera)


def perspective_crop(
    camera: Camera,
    centre: Float[Array, "2"],
    size: Float[Array, ""] | float,
    *,
    resolution: int,
    angle: Float[Array, ""] | float = 0.0,
) -> CropCamera:
    """Return the camera that looks along the ray of a pixel, as wide as a square crop around it.

    R is the smallest rotation that takes the ray of the centre to +z, K' = [f resolution / E, resolution / 2], and E
    the larger extent of the crop's rotated corners, in pixels.  A hand away from the image's centre then looks as it
    does in the centre, where a plain crop shows it sheared.

    Args:
        camera: of the image, of any model; a model with distortion gives a crop without.
        centre: x and y of the crop's centre, in pixels.
        size: side of the crop, in pixels.
        resolution: side of the result, in pixels.
        angle: in-plane rotation about the crop's centre, in radians, after the rest; positive turns x towards y, which
            is clockwise on the screen.

    Returns:
        Rotation and intrinsics, in which the centre's ray meets (resolution / 2, resolution / 2): half a pixel right of
        and below the middle of pixels whose centres are at integers, as published.  A corner that the camera does not
        see counts as the mirror image of the one opposite.  NaN where the camera sees neither, or not the centre.

    Raises:
        ValueError: a centre that is not [2], or a resolution below 1.

    Source: simpleHand (patienceFromZhou/simpleHand@c3e6abc), section "perspective crop".  Deviation: other models than
    the pinhole, whose corners are unprojected by the model and projected again by its intrinsics alone.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> camera = Pinhole(focal=jnp.array([200.0, 200.0]), centre=jnp.array([320.0, 240.0]))
        >>> crop = perspective_crop(camera, jnp.array([320.0, 240.0]), 100.0, resolution=200)
        >>> crop.camera.focal.round(1).tolist(), crop.camera.centre.tolist()
        ([400.0, 400.0], [100.0, 100.0])
    """
    if centre.shape != (2,):
        raise ValueError(
            f"centre must hold x and y in pixels, shape [2], got {centre.shape}. Use jax.vmap for several."
        )
    _require_side("resolution", resolution)
    dtype = jnp.result_type(jnp.float32, camera.focal.dtype, centre.dtype)
    centre = centre.astype(dtype)
    corners = jnp.asarray([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], dtype) * jnp.asarray(size, dtype)
    rays = camera.unproject(jnp.concatenate([centre[None], corners + jnp.broadcast_to(centre, corners.shape)]))
    rotation = minimal_rotation(rays[0], _forward(rays.dtype))
    turned = Pinhole(focal=camera.focal, centre=jnp.zeros_like(camera.centre)).project(rays[1:] @ rotation.T)
    # Opposite corners are two places apart.
    turned = jnp.where(jnp.isnan(turned), -jnp.roll(turned, 2, axis=0), turned)
    extent = jnp.max(jnp.max(turned, axis=0) - jnp.min(turned, axis=0))
    middle = jnp.full(2, resolution / 2, rotation.dtype)
    pinhole = Pinhole(focal=camera.focal * (resolution / extent), centre=middle)
    return CropCamera(rotation=rotation, camera=pinhole).turned(angle)


def crop_camera_from_points(
    points: Float[Array, "n 3"], *, size: int, mask: Bool[Array, " n"] | None = None, mirror: bool = False
) -> CropCamera:
    """Return the camera that looks at the centre of the points' box, f = 0.95 (size - 1) / (2 max(abs(x/z), abs(y/z))).

    Args:
        points: in camera coordinates, in metres, on the host or traced.
        size: side of the crop, in pixels.
        mask: points that count; None means all.  The others may hold anything, NaN included.
        mirror: whether x changes its sign, so that a network sees right hands as left ones.

    Returns:
        Rotation, the smallest one to the centre, and intrinsics, with the principal point in the middle of the pixels,
        (size - 1) / 2: all points lie within 0.95 of the half side.  NaN where no point counts or one lies behind the
        camera that looks at them.

    Raises:
        ValueError: shapes that do not agree, or a size below 2.

    Source: UmeTrack's crop camera (facebookresearch/UmeTrack@e263ec0), from its description.  Deviation: the box has
    the axes of the camera, so that the crop does not depend on those of the world.

    Example:
        >>> import jax.numpy as jnp
        >>> points = jnp.array([[-0.1, 0.0, 1.0], [0.1, 0.0, 1.0]])
        >>> crop = crop_camera_from_points(points, size=101)
        >>> crop.camera.project(crop.to_crop(points)).round(1).tolist()
        [[2.5, 50.0], [97.5, 50.0]]
    """
    if size < 2:
        raise ValueError(f"size must be 2 pixels or more, got {size}.")
    mask = jnp.ones(points.shape[:1], bool) if mask is None else mask
    if points.shape != (*mask.shape, 3):
        raise ValueError(f"points and mask must be [n, 3] and [n], got {points.shape} and {mask.shape}.")
    points = points.astype(jnp.promote_types(jnp.float32, points.dtype))
    lowest = jnp.min(jnp.where(mask[:, None], points, jnp.inf), axis=0)
    highest = jnp.max(jnp.where(mask[:, None], points, -jnp.inf), axis=0)
    rotation = minimal_rotation((lowest + highest) / 2, _forward(points.dtype))
    turned = jnp.where(mask[:, None], points, 0) @ rotation.T
    in_front = turned[:, 2] > 0
    ratios = jnp.abs(turned[:, :2] / jnp.where(in_front, turned[:, 2], 1)[:, None])
    largest = jnp.max(jnp.where(mask[:, None], ratios, 0))
    focal = POINTS_MARGIN * ((size - 1) / 2) / largest
    focal = jnp.where(jnp.any(mask) & jnp.all(in_front | ~mask), focal, jnp.nan)
    if mirror:
        rotation = rotation * jnp.array([[-1], [1], [1]], rotation.dtype) * jnp.ones_like(rotation)
    middle = jnp.full(2, (size - 1) / 2, points.dtype)
    return CropCamera(rotation=rotation, camera=Pinhole(focal=jnp.stack([focal, focal]), centre=middle))


def homography(camera: Pinhole, crop: CropCamera) -> Float[Array, "3 3"]:
    """Return H = K' R K^-1, which takes homogeneous pixels of an image to those of a crop.

    Args:
        camera: of the image.
        crop: as `perspective_crop` or `crop_camera_from_points` returns it.

    Returns:
        The matrix, in the wider of the dtypes, not normalised.

    Raises:
        TypeError: a camera with distortion.

    Source: definition.  Deviation: none; the reference computes it from the four corners.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> camera = Pinhole(focal=jnp.array([200.0, 200.0]), centre=jnp.array([320.0, 240.0]))
        >>> crop = perspective_crop(camera, jnp.array([320.0, 240.0]), 100.0, resolution=200)
        >>> homography(camera, crop).round(2).tolist()
        [[2.0, 0.0, -540.0], [0.0, 2.0, -380.0], [0.0, 0.0, 1.0]]
    """
    if not isinstance(camera, Pinhole):
        raise TypeError(
            f"camera must be a Pinhole, got {type(camera).__name__}: an image with distortion has no homography. Use "
            "crop_image."
        )
    (fx, fy), (cx, cy) = jnp.asarray(camera.focal), jnp.asarray(camera.centre)
    zero, one = jnp.zeros_like(fx), jnp.ones_like(fx)
    rows = ([1 / fx, zero, -cx / fx], [zero, 1 / fy, -cy / fy], [zero, zero, one])
    return crop.camera.matrix @ crop.rotation @ jnp.stack([jnp.stack(row) for row in rows])


def crop_image(
    image: Float[Array, "h w c"] | Array, *, camera: Camera, crop: CropCamera, size: tuple[int, int]
) -> tuple[Float[Array, "hc wc c"], Bool[Array, "hc wc"]]:
    """Return the image that the crop's camera sees, resampled bilinearly from the image of another camera.

    Args:
        image: of the original camera, any dtype; it must exist at its pixel centres, the integers.
        camera: the original camera, of any model.
        crop: rotation and intrinsics of the crop.
        size: width and height of the result, in pixels.

    Returns:
        The crop, float32 (float64 if the image is), 0 where the original has no pixel; and where it has one.  There is
        no low-pass filter: shrink the image first where the crop is less than half as large.  Differentiable in the
        image and in the cameras.

    Raises:
        ValueError: an image that is not [height, width, channels], or a size below 1.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> camera = Pinhole(focal=jnp.array([4.0, 4.0]), centre=jnp.array([2.0, 2.0]))
        >>> image = jnp.arange(25.0).reshape(5, 5, 1)
        >>> same = CropCamera(rotation=jnp.eye(3), camera=camera)
        >>> crop, inside = crop_image(image, camera=camera, crop=same, size=(5, 5))
        >>> jnp.abs(crop - image).max().item() < 1e-4, inside.all().item()
        (True, True)
    """
    if image.ndim != 3:
        raise ValueError(f"image must be [height, width, channels], got {image.shape}. Use jax.vmap for several.")
    width, height = size
    _require_side("size", min(width, height))
    y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    rays = crop.camera.unproject(jnp.stack([x, y], axis=-1).astype(crop.camera.focal.dtype))
    return _bilinear(image, camera.project(crop.to_camera(rays)))


def _bilinear(image: Array, pixels: Float[Array, "hc wc 2"]) -> tuple[Float[Array, "hc wc c"], Bool[Array, "hc wc"]]:
    """Return the image between pixel centres, 0 outside, and what lies inside."""
    height, width, _ = image.shape
    last = jnp.broadcast_to(jnp.array([width - 1, height - 1], pixels.dtype), pixels.shape)
    # Rounding moves a border's pixel by less than this.
    slack = 1e-3
    inside = jnp.all((pixels >= -slack) & (pixels <= last + slack), axis=-1)  # NaN is outside
    pixels = jnp.clip(jnp.where(inside[..., None], pixels, 0), 0, last)
    start = jnp.clip(jnp.floor(jax.lax.stop_gradient(pixels)), 0, jnp.maximum(last - 1, 0))
    share = (pixels - start)[..., None]
    (x, y), (right, down) = (
        jnp.moveaxis(corner.astype(jnp.int32), -1, 0) for corner in (start, jnp.minimum(start + 1, last))
    )
    values = image.astype(jnp.result_type(jnp.float32, image.dtype))
    across, along = share[..., 0, :], share[..., 1, :]
    above = values[y, x] * (1 - across) + values[y, right] * across
    below = values[down, x] * (1 - across) + values[down, right] * across
    return jnp.where(inside[..., None], above * (1 - along) + below * along, 0), inside


def _forward(dtype: jnp.dtype) -> Float[Array, "3"]:
    return jnp.array([0, 0, 1], dtype)


def _in_plane(angle: Float[Array, ""]) -> Float[Array, "3 3"]:
    cosine, sine, zero, one = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
    rows = ([cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one])
    return jnp.stack([jnp.stack(row) for row in rows])


def _require_side(name: str, side: int) -> None:
    if side < 1:
        raise ValueError(f"{name} must be 1 pixel or more, got {side}.")
