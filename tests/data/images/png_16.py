"""PNG files with 16 bits a channel, which Pillow does not write in colour."""

import struct
import zlib
from pathlib import Path

import numpy as np

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Colour type of PNG by the number of channels."""


def write(path: Path, pixels: np.ndarray) -> None:
    """Write `pixels` `[h w channels]`, uint16."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = (b"IHDR" + header, b"IDAT" + zlib.compress(rows), b"IEND")
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks)
    )
