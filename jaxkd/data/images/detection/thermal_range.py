"""Thermal images of 16 bits as grey levels of 8, by one range of counts for all."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8, UInt16

from jaxkd.data.images import reading

_COUNTS = 2**16
_LOW, _HIGH = 0.01, 0.99
_TOGETHER = 32
"""Files whose histograms are added before they are passed on."""


def scale_counts(counts: UInt16[np.ndarray, "h w"], *, low: float, high: float) -> UInt8[np.ndarray, "h w"]:
    """Return grey levels round(255 (counts - low) / (high - low)), clipped to 0 and 255.

    Args:
        counts: counts of a camera.
        low: count that becomes 0.
        high: count that becomes 255; more than `low`.

    Example:
        >>> scale_counts(np.array([[900, 1000, 1500, 2000, 9000]], np.uint16), low=1000, high=2000).tolist()
        [[0, 0, 128, 255, 255]]
    """
    return np.clip(np.rint(255 * (counts.astype(np.float64) - low) / (high - low)), 0, 255).astype(np.uint8)


def percentile_range(histogram: Int[np.ndarray, " counts"]) -> tuple[int, int]:
    """Return the 1st and the 99th percentile of counts: the smallest that so many pixels do not exceed.

    Where the two are equal, the second is 1 more.

    Args:
        histogram: number of pixels of each count.

    Example:
        >>> percentile_range(np.bincount(np.arange(1000, 1200)))
        (1001, 1197)
    """
    below, pixels = np.cumsum(histogram), histogram.sum()
    low, high = (int(np.searchsorted(below, part * pixels)) for part in (_LOW, _HIGH))
    return low, max(high, low + 1)


def measure_range(paths: Sequence[Path]) -> tuple[int, int]:
    """Return `percentile_range` of all pixels of 16-bit thermal images; images of zeros alone are left out.

    Args:
        paths: files of the images, all of which are read.

    Raises:
        ValueError: a file that is no thermal image, or one of 8 bits.
    """
    parts = [paths[start : start + _TOGETHER] for start in range(0, len(paths), _TOGETHER)]
    total = np.zeros(_COUNTS, np.int64)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for histogram in pool.map(_histogram, parts):
            total += histogram
    return percentile_range(total)


def _histogram(paths: Sequence[Path]) -> Int[np.ndarray, " counts"]:
    total = np.zeros(_COUNTS, np.int64)
    for path in paths:
        counts = reading.read_thermal(path)
        if counts.dtype != np.uint16:
            raise ValueError(
                f"{path} must have 16 bits, as other thermal images of its data set have, got 8. Convert it, or give "
                "the others 8 bits."
            )
        if counts.any():
            total += np.bincount(counts.ravel(), minlength=_COUNTS)
    return total
