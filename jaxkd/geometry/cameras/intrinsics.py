"""Intrinsics of an image that is resized or cut out, an encoding of where a crop looks, and a check of calibrations."""

import dataclasses
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.geometry.cameras.camera import Camera
from jaxkd.geometry.cameras.models import DistortedCamera

CameraT = TypeVar("CameraT", bound=Camera)


def scaled_camera(camera: CameraT, *, scale: float | tuple[float, float]) -> CameraT:
    """Return the camera of the resized image: f * scale and (c + 0.5) * scale - 0.5.

    The half pixels are there because pixel centres are at integers: it is the image's edge at -0.5 that stays in place.

    Args:
        camera: of the image as it was.
        scale: new size over old, in x and y if they differ.

    Returns:
        A camera of the same kind and distortion.

    Raises:
        ValueError: a scale that is not finite and > 0.

    Source: definition of pixel centres at integers.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> camera = Pinhole(focal=jnp.array([100.0, 100.0]), centre=jnp.array([31.5, 23.5]))  # the middle of 64 x 48
        >>> scaled_camera(camera, scale=0.5).centre.tolist()  # the middle of 32 x 24
        [15.5, 11.5]
    """
    pair = np.broadcast_to(np.asarray(scale, np.float64), (2,))
    if not (np.isfinite(pair).all() and (pair > 0).all()):
        raise ValueError(
            f"scale must be finite and > 0, got {scale}: it is the new size of the image over the old one."
        )
    factor = jnp.asarray(pair, camera.focal.dtype)
    factor = jnp.broadcast_to(factor, camera.focal.shape)
    return dataclasses.replace(camera, focal=camera.focal * factor, centre=(camera.centre + 0.5) * factor - 0.5)


def cropped_camera(camera: CameraT, *, corner: Float[Array, "2"]) -> CameraT:
    """Return the camera of a part of the image: c - corner.

    Args:
        camera: of the whole image.
        corner: x and y of the part's first pixel in the whole image; negative where the part is padded.

    Returns:
        A camera of the same kind, focal lengths and distortion.

    Raises:
        ValueError: a corner that is not [2].

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> camera = Pinhole(focal=jnp.array([100.0, 100.0]), centre=jnp.array([31.5, 23.5]))
        >>> cropped_camera(camera, corner=jnp.array([10.0, 20.0])).centre.tolist()
        [21.5, 3.5]
    """
    if corner.shape != (2,):
        raise ValueError(f"corner must hold x and y of the first pixel, shape [2], got {corner.shape}.")
    return dataclasses.replace(camera, centre=camera.centre - jnp.broadcast_to(corner, camera.centre.shape))


def kpe(
    camera: Camera, centre: Float[Array, "*b 2"], size: Float[Array, "*b"], *, frequencies: int = 4
) -> Float[Array, "*b k"]:
    """Return the intrinsics-aware position encoding of a square crop: sin and cos of 2^l atan2(u - c, f), 80 channels.

    Angles from the optical axis, horizontal and vertical, of the crop's centre and four corners say where in the field
    the crop was cut, which the crop itself does not show.

    Args:
        camera: of the image; its focal lengths and principal point alone matter.
        centre: x and y of the crop's centre, in pixels.
        size: side of the crop, in pixels.
        frequencies: octaves l = 0, 1, ...

    Returns:
        Channels in [-1, 1], 20 * frequencies of them, with the axes (centre, then corners left-top, right-top,
        right-bottom, left-bottom; horizontal, vertical; octave; sin, cos) flattened in this order.  Float32 (float64
        if an input is).

    Raises:
        ValueError: shapes that do not agree, or no frequency.

    Source: WildHands (ap229997/hands@8303277), the encoding of centre and corners.  Deviation: the order of the
    channels is ours.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> camera = Pinhole(focal=jnp.array([100.0, 100.0]), centre=jnp.array([32.0, 24.0]))
        >>> encoding = kpe(camera, jnp.array([32.0, 24.0]), jnp.array(20.0))
        >>> encoding.shape, encoding[:8].tolist()
        ((80,), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    """
    if centre.shape != (*size.shape, 2):
        raise ValueError(f"centre and size must be [..., 2] and [...], got {centre.shape} and {size.shape}.")
    if frequencies < 1:
        raise ValueError(f"frequencies must be 1 or more, got {frequencies}.")
    dtype = jnp.result_type(jnp.float32, camera.focal.dtype, centre.dtype, size.dtype)
    offsets = jnp.array([[0, 0], [-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], dtype)
    shape = (*size.shape, 5, 2)
    points = jnp.broadcast_to(centre[..., None, :], shape) + jnp.broadcast_to(offsets, shape) * size[..., None, None]
    focal, principal = (jnp.broadcast_to(one.astype(dtype), shape) for one in (camera.focal, camera.centre))
    angles = jnp.arctan2(points - principal, focal)
    angles = angles[..., None] * jnp.broadcast_to(2.0 ** jnp.arange(frequencies, dtype=dtype), (*shape, frequencies))
    waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return waves.reshape(*size.shape, 20 * frequencies)


def check_camera(camera: Camera, *, size: tuple[int, int] | None = None, name: str = "camera") -> None:
    """Raise unless a calibration is one: parameters that are finite and complete, and a field that covers the image.

    It runs on the host and has no place under `jax.jit`: check a calibration once, when it is read.

    Args:
        camera: one camera, without leading axes.
        size: width and height of its image, in pixels; None leaves the field unchecked.
        name: what the camera is called in the message, such as a file and a key.

    Returns:
        None.

    Raises:
        ValueError: focal lengths that are not > 0, a centre or coefficients that are not finite, another number of
            coefficients, or a distortion that folds back within the image.

    Source: definition.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.geometry.cameras import Pinhole
        >>> wrong = Pinhole(focal=jnp.array([0.0, 90.0]), centre=jnp.zeros(2))
        >>> check_camera(wrong, name="camera 2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: camera 2: focal must hold fx and fy in pixels, finite and > 0, got [0.0, 90.0]. ...
    """
    focal, centre = (np.asarray(one, np.float64) for one in (camera.focal, camera.centre))
    if focal.shape != (2,) or not (np.isfinite(focal).all() and (focal > 0).all()):
        raise ValueError(
            f"{name}: focal must hold fx and fy in pixels, finite and > 0, got {focal.tolist()}. Metres or a field of "
            "view have to be converted."
        )
    if centre.shape != (2,) or not np.isfinite(centre).all():
        raise ValueError(f"{name}: centre must hold cx and cy in pixels, finite, got {centre.tolist()}.")
    if isinstance(camera, DistortedCamera):
        names, values = type(camera).coefficients, np.asarray(camera.distortion, np.float64)
        if values.shape != (len(names),) or not np.isfinite(values).all():
            raise ValueError(
                f"{name}: distortion must hold the {len(names)} coefficients {', '.join(names)} in this order, finite, "
                f"got {values.tolist()}."
            )
    if size is not None:
        _check_field(camera, size, name)


def _check_field(camera: Camera, size: tuple[int, int], name: str) -> None:
    width, height = size
    if not (width >= 1 and height >= 1):
        raise ValueError(f"size must be the width and the height in pixels, 1 or more, got {size}.")
    y, x = np.mgrid[:height, :width]
    border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    pixels = np.stack([x[border], y[border]], axis=-1).astype(np.float32)
    rays = np.asarray(jax.jit(type(camera).unproject)(camera, jnp.asarray(pixels)))
    beyond = np.isnan(rays).any(axis=-1)
    if beyond.any():
        raise ValueError(
            f"{name}: distortion must be one to one over the image of {width} x {height} pixels, got a field that "
            f"{beyond.sum()} of the {beyond.size} pixels of its border lie beyond, {pixels[beyond][0].tolist()} the "
            "first. Check the model and the order of its coefficients; if they are right, crop the image."
        )
