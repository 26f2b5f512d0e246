"""Four aerial photographs of three forests, with a box around each tree.

The wheel of `deepforest` (Weinstein et al., MIT licence) ships them for its examples.  They are cut from the mosaics of
the National Ecological Observatory Network, of about 10 cm a pixel, and the boxes were drawn by hand.
"""

import dataclasses
import functools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxkd.runtime.packages import PackagedFile, fetch_all

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def _packaged(name: str, sha256: str) -> PackagedFile:
    return PackagedFile(
        package="deepforest",
        version="2.1.0",
        wheel_sha256="8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54",
        wheel_size=20_639_595,
        member=f"deepforest/data/{name}",
        sha256=sha256,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AerialPhotograph:
    """A photograph, and where it was taken."""

    site: str
    """Site of the observatory: YELL (Yellowstone, Wyoming), OSBS (Ordway-Swisher, Florida) or SOAP (Soaproot Saddle,
    California)."""
    image: PackagedFile
    """The picture."""
    boxes: PackagedFile
    """The boxes, in the format of Pascal VOC."""

    @property
    def name(self) -> str:
        """Name of the picture's file, without its ending."""
        return Path(self.image.member).stem


YELLOWSTONE_WEST = AerialPhotograph(
    site="YELL",
    image=_packaged(
        "2019_YELL_2_528000_4978000_image_crop2.png",
        "a9bdb0f4447fdd899d22f567e0e20ba8320c5413b2ad0cd0ac8d9f3b6e0f9767",
    ),
    boxes=_packaged(
        "2019_YELL_2_528000_4978000_image_crop2.xml",
        "bd431af6a5086d721eb731b22f5ea28cd8a8eab06883efc1c665391acbc68e11",
    ),
)
"""A meadow between trees, 2,472 x 2,299 pixels, with 574 boxes."""

YELLOWSTONE_EAST = AerialPhotograph(
    site="YELL",
    image=_packaged(
        "2019_YELL_2_541000_4977000_image_crop.png",
        "178e58a23cc2642226a364a30f71bd9258ddc1b012c826f12250914a90c7a131",
    ),
    boxes=_packaged(
        "2019_YELL_2_541000_4977000_image_crop.xml",
        "cefe4b96888bacbf8af1674f000082e549aa707aa6590d545effb23e43f26631",
    ),
)
"""A forest on both sides of a road, 1,035 x 1,249 pixels, with 279 boxes."""

ORDWAY_SWISHER = AerialPhotograph(
    site="OSBS",
    image=_packaged("OSBS_029.png", "d9477c6a00e4902c7bee487d4c5582c3b8b9a2f77f3908a29628b816b291e6ee"),
    boxes=_packaged("OSBS_029.xml", "1f68c4011d7b351c29ca755072e77f3d16e6fd1f995bd05a9dd4eb952b55373c"),
)
"""Trees on sand, 400 x 400 pixels, with 61 boxes."""

SOAPROOT_SADDLE = AerialPhotograph(
    site="SOAP",
    image=_packaged("SOAP_061.png", "256508f1a62149bec4a80879077a865caf50e8cace095e6564c76befa480d424"),
    boxes=_packaged("SOAP_061.xml", "4833280af75fd9c47965a93e38945282835e9e725cac412bdb9469d63480947c"),
)
"""A hillside on which most trees are dead, 400 x 400 pixels, with 37 boxes: 28 of dead trees and 9 of living ones."""

PHOTOGRAPHS = (YELLOWSTONE_WEST, YELLOWSTONE_EAST, ORDWAY_SWISHER, SOAPROOT_SADDLE)


@functools.lru_cache(maxsize=1)
def fetch_photographs() -> dict[PackagedFile, Path]:
    """Return the path of each file in the cache.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
    """
    files = [file for photograph in PHOTOGRAPHS for file in (photograph.image, photograph.boxes)]
    return dict(zip(files, fetch_all(files), strict=True))


@functools.lru_cache(maxsize=8)
def read_picture(photograph: AerialPhotograph, reduction: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return the colours of a photograph, averaged over squares of `reduction` by `reduction` pixels; read-only.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
    """
    with Image.open(fetch_photographs()[photograph.image]) as image:
        pixels = np.asarray(image.convert("RGB").reduce(reduction))
    pixels.setflags(write=False)
    return pixels


@functools.lru_cache(maxsize=4)
def read_boxes(photograph: AerialPhotograph) -> Float[np.ndarray, "n 4"]:
    """Return left, top, right and bottom edge of the trees of a photograph, dead or alive, in pixels of the whole.

    The files count pixels from 1 and include the last one: boxes at the edges begin at 1, and end at the picture's
    width or height.  So 1 is subtracted on the left and at the top.

    Raises:
        ConnectionError: the package is neither in the cache nor to be had from the package index.
    """
    root = ElementTree.parse(fetch_photographs()[photograph.boxes]).getroot()
    edges = [[float(box.findtext(name, "nan")) for name in _EDGES] for box in root.iter("bndbox")]
    corners = np.array(edges, np.float32) - np.array([1, 1, 0, 0], np.float32)
    corners.setflags(write=False)
    return corners
