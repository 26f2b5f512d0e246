"""Counts of thermal cameras as grey levels."""

import numpy as np
import pytest
from PIL import Image

from jaxkd.data.images.detection.thermal_range import measure_range, percentile_range, scale_counts


def test_a_range_becomes_0_to_255_and_what_is_beyond_is_clipped():
    counts = np.array([[0, 1000, 1001, 1255, 1510, 65535]], np.uint16)
    assert scale_counts(counts, low=1000, high=1510).tolist() == [[0, 0, 0, 128, 255, 255]]
    assert scale_counts(counts, low=0, high=65535).dtype == np.uint8


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_those_of_numpy(seed):
    counts = np.random.default_rng(seed).integers(100, 5000, 777)
    low, high = np.percentile(counts, [1, 99], method="inverted_cdf")
    assert percentile_range(np.bincount(counts)) == (low, high)


@pytest.mark.parametrize("counts", [[5, 5, 5], [0, 0]])
def test_equal_counts_have_a_range_of_one(counts):
    assert percentile_range(np.bincount(counts)) == (counts[0], counts[0] + 1)


def write(folder, *images):
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def test_the_range_is_that_of_all_pixels_without_images_of_zeros(tmp_path):
    images = [np.random.default_rng(seed).integers(900 * seed, 9000, (6, 7)).astype(np.uint16) for seed in range(8)]
    paths = write(tmp_path, *images[:4], np.zeros((6, 7), np.uint16), *images[4:], *images * 4)
    assert len(paths) > 32  # more than one part
    together = np.concatenate([one.ravel() for one in images])
    assert measure_range(paths) == tuple(np.percentile(together, [1, 99], method="inverted_cdf"))


def test_8_bits_among_16_are_refused(tmp_path):
    paths = write(tmp_path, np.ones((2, 2), np.uint16), np.ones((2, 2), np.uint8))
    with pytest.raises(
        ValueError, match=r"1\.png must have 16 bits, as other thermal images of its data set have, got"
    ):
        measure_range(paths)
