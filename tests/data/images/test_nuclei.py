from typing import get_args

import numpy as np
import pytest

from jaxkd.data.images import nuclei
from jaxkd.data.images.nuclei import Nuclei, read_nuclei
from jaxkd.data.images.source import require_disjoint_groups
from jaxkd.typing import Split

SPLITS = get_args(Split)


def corner(example):
    return tuple(int(number) for number in example.key.split("-")[1:])


@pytest.mark.parametrize("side", [128, 96])
def test_tiles_are_cut_from_the_image_and_no_nucleus_is_in_two_splits(packaged_images, side):
    image, numbers = read_nuclei()
    assert len(np.unique(numbers)) - 1 == 125
    seen = {}
    for split in SPLITS:
        seen[split] = set()
        for example in Nuclei(side=side).examples(split):
            row, column = corner(example)
            place = np.s_[row : row + side, column : column + side]
            assert (example.image == image[place][..., None]).all()
            assert (example.target == (numbers[place] > 0)).all()
            seen[split] |= set(np.unique(numbers[place])) - {0}
    assert {split: len(found) for split, found in seen.items()} == {"train": 60, "validation": 38, "test": 22}
    assert len(set.union(*seen.values())) == 60 + 38 + 22
    require_disjoint_groups(Nuclei(side=side))


def test_no_value_of_the_image_is_lost(packaged_images):
    image, numbers = read_nuclei()
    assert (image.dtype, image.shape, numbers.shape) == (np.uint8, (512, 512), (512, 512))
    assert (image.min(), image.max()) == (0, 235)
    # Nuclei shine.
    assert image[numbers > 0].mean() > 2 * image[numbers == 0].mean()


def test_tiles_cover_a_range_evenly():
    assert nuclei._starts(0, 240, 128) == [0, 112]
    assert nuclei._starts(272, 512, 80) == [272, 352, 432]
    assert nuclei._starts(0, 240, 240) == [0]


def test_a_tile_that_fits_no_region_is_refused():
    with pytest.raises(ValueError, match=r"side must be in \[16, 240\], the width of a region, got 241"):
        Nuclei(side=241)
