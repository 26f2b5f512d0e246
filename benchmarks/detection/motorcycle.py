"""ShaPE's weights between a photograph and its disparity, which a study of the released form measured.

That study does not say how the two become images.  Its figures are those of channels that are standardised: the mean
and the standard deviation of each over the image, where the disparity of a pixel that has none is 0.  A dark side is
darkened before, and the mean and the deviation are those of the bright photograph.  The one figure that does not come
out is the least weight without the norm, reported as 0.25: it is 0.295 here, and the greatest, 0.747, is the
reported 0.75.
"""

import dataclasses
import functools
import io
import tarfile
from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Float32
from PIL import Image

from benchmarks.row import Bar, Row
from jaxkd.data.images.scenes.scenery import SCIKIT_IMAGE
from jaxkd.runtime.packages import fetch_archive
from jaxkd.vision.fusion import EdgeNorm, shape_weights

FILES = "scikit-image-0.19.3/skimage/data/motorcycle_left.png", "scikit-image-0.19.3/skimage/data/motorcycle_disp.npz"
"""Left photograph of a stereo pair, and the disparity of its pixels, infinite where there is none."""

DARK = 300
"""Columns on the left that are darkened 50 times."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Motorcycle:
    """Standardised images of the pair, of 500 x 741 pixels."""

    photograph: Float32[np.ndarray, "1 h w 3"]
    darkened: Float32[np.ndarray, "1 h w 3"]
    """The photograph with a dark left side."""
    disparity: Float32[np.ndarray, "1 h w 1"]


def read_motorcycle() -> Motorcycle:
    """Read the pair from its package."""
    with tarfile.open(fetch_archive(SCIKIT_IMAGE)) as archive:
        left, disparity = (io.BytesIO(_member(archive, name)) for name in FILES)
    photograph = np.asarray(Image.open(left), np.float64)
    distances = np.load(disparity)["arr_0"].astype(np.float64)[..., None]
    distances = np.where(np.isfinite(distances), distances, 0.0)
    darkened = photograph.copy()
    darkened[:, :DARK] /= 50
    return Motorcycle(
        photograph=_standardised(photograph, photograph),
        darkened=_standardised(darkened, photograph),
        disparity=_standardised(distances, distances),
    )


def rows() -> Iterator[Row]:
    """Yield the weights' statistics, with the figures of that study as bars."""
    pair = read_motorcycle()
    released = visible_weights(pair.photograph, pair.disparity, "l2")
    yield _near("released weights of the visible image, standard deviation", released.std(), 0.004, 3)
    yield _near("released weights, least", released.min(), 0.463, 3)
    yield _near("released weights, greatest", released.max(), 0.538, 3)
    dark = visible_weights(pair.darkened, pair.disparity, "l2")
    yield _near("released weights, mean where the photograph is darkened 50 times", dark[:, :DARK].mean(), 0.498, 3)
    yield _near("released weights, mean of the rest", dark[:, DARK:].mean(), 0.5005, 4)
    dark = visible_weights(pair.darkened, pair.disparity, "none")
    yield _near("weights without the norm, mean where it is darkened", dark[:, :DARK].mean(), 0.446, 3)
    yield _near("weights without the norm, mean of the rest", dark[:, DARK:].mean(), 0.556, 3)


def visible_weights(
    visible: Float32[np.ndarray, "1 h w c"], thermal: Float32[np.ndarray, "1 h w c2"], edge_norm: EdgeNorm
) -> Float32[np.ndarray, "h w"]:
    """Return the weight of the visible image at each pixel."""
    return np.asarray(_weights(visible, thermal, edge_norm=edge_norm))[0, ..., 0]


@functools.partial(jax.jit, static_argnames="edge_norm")
def _weights(visible: jax.Array, thermal: jax.Array, *, edge_norm: EdgeNorm) -> jax.Array:
    return shape_weights(visible, thermal, edge_norm=edge_norm)


def _near(figure: str, value: float, reported: float, places: int) -> Row:
    return Row(
        figure=f"motorcycle: {figure}, rounded, difference from the reported {reported}",
        value=abs(round(float(value), places) - reported),
        unit="",
        bar=Bar(relation="<", limit=0.1**places / 2),
    )


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    if found is None:
        raise ValueError(f"the archive must hold the file {name}, got none.")
    return found.read()


def _standardised(image: np.ndarray, like: np.ndarray) -> Float32[np.ndarray, "1 h w c"]:
    return ((image - like.mean((0, 1))) / like.std((0, 1))).astype(np.float32)[None]
