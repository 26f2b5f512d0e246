"""Tiles of aerial photographs: places, boxes that edges cut, splits that share no tree."""

import itertools
import re
from typing import get_args

import numpy as np
import pytest

from jaxkd.data.images import require_disjoint_groups
from jaxkd.data.images.detection import AerialTrees, aerial
from jaxkd.data.images.detection.aerial_photographs import (
    ORDWAY_SWISHER,
    PHOTOGRAPHS,
    SOAPROOT_SADDLE,
    YELLOWSTONE_EAST,
    YELLOWSTONE_WEST,
    read_boxes,
    read_picture,
)
from jaxkd.typing import Split

SPLITS = get_args(Split)


def place(example):
    """Photograph, top and left of a tile, from its key."""
    name, top, left = re.fullmatch(r"(.+)-(\d{4})-(\d{4})", example.key).groups()
    return next(one for one in PHOTOGRAPHS if one.name == name), int(top), int(left)


def counted(examples):
    """Boxes that count, boxes that are ignored, and tiles without either."""
    masks, ignored = (np.stack([getattr(one.target, name) for one in examples]) for name in ("mask", "ignored"))
    return int((masks & ~ignored).sum()), int(ignored.sum()), int((~masks.any(axis=1)).sum())


def test_951_trees_lie_within_their_photographs(aerial_photographs):
    counts = {}
    for photograph in PHOTOGRAPHS:
        height, width, _ = read_picture(photograph, 1).shape
        left, top, right, bottom = read_boxes(photograph).T
        # The first pixel is 1 in the files, which include the last: the boxes at all but two edges show it.
        assert (left.min(), top.min()) == (photograph is YELLOWSTONE_EAST, 0)
        assert (left < right).all()
        assert (top < bottom).all()
        assert (right.max(), bottom.max()) == (width - (photograph is SOAPROOT_SADDLE), height)
        counts[photograph.name] = len(left), (height, width)
    assert list(counts.values()) == [(574, (2472, 2299)), (279, (1035, 1249)), (61, (400, 400)), (37, (400, 400))]


@pytest.mark.parametrize(
    ("source", "tiles", "boxes"),
    [
        (
            AerialTrees(),
            {"train": 1764, "validation": 68, "test": 24},
            {"train": (2559, 2494, 382), "validation": (85, 103, 4), "test": (93, 69, 0)},
        ),
        (AerialTrees(height=128, reduction=2), {"train": 310, "validation": 8, "test": 2}, None),
        (AerialTrees(height=128, width=128, overlap=0.0), {"train": 360, "validation": 51, "test": 18}, None),
    ],
)
def test_tiles_and_boxes_of_each_split(aerial_photographs, source, tiles, boxes):
    found = {split: source.examples(split) for split in SPLITS}
    assert {split: len(examples) for split, examples in found.items()} == tiles
    if boxes is not None:
        assert {split: counted(examples) for split, examples in found.items()} == boxes
    rows = {one.target.mask.shape for examples in found.values() for one in examples}
    assert len(rows) == 1
    # One tile at least needs all of the rows.
    assert any(one.target.mask.all() for examples in found.values() for one in examples)
    assert {one.image.shape for examples in found.values() for one in examples} == {(*source.size, 3)}
    require_disjoint_groups(source)


def test_a_tile_is_cut_out_of_its_photograph_with_its_boxes(aerial_photographs):
    source = AerialTrees(least_visible=0.3)
    for split in SPLITS:
        for example in source.examples(split)[::7]:
            photograph, top, left = place(example)
            pixels = read_picture(photograph, 1)[top : top + 96, left : left + 128]
            np.testing.assert_array_equal(example.image, pixels)
            expected = []
            for x0, y0, x1, y1 in read_boxes(photograph).tolist():
                part = max(x0 - left, 0), max(y0 - top, 0), min(x1 - left, 128), min(y1 - top, 96)
                if part[0] < part[2] and part[1] < part[3]:
                    visible = (part[2] - part[0]) * (part[3] - part[1]) / ((x1 - x0) * (y1 - y0))
                    expected.append((*part, visible < 0.3))
            target = example.target
            rows = np.column_stack([target.corners, target.ignored])[target.mask]
            np.testing.assert_array_equal(rows, np.array(expected).reshape(-1, 5))
            assert not target.classes.any()
            assert example.stratum == photograph.site
    assert AerialTrees().classes == ("tree",)


def test_a_shrunken_photograph_has_smaller_boxes(aerial_photographs):
    (example, *_) = AerialTrees(height=100, width=100, reduction=4).examples("test")
    assert place(example) == (ORDWAY_SWISHER, 0, 0)
    assert example.target.mask.sum() == 61
    np.testing.assert_array_equal(example.target.corners[example.target.mask], read_boxes(ORDWAY_SWISHER) / 4)
    mean = read_picture(ORDWAY_SWISHER, 1).reshape(100, 4, 100, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(example.image, mean, rtol=0, atol=0.5 + 1e-6)


@pytest.mark.parametrize("source", [AerialTrees(), AerialTrees(height=60, width=70, reduction=4)])
def test_tiles_of_validation_and_test_do_not_overlap_and_no_tree_is_in_two_splits(aerial_photographs, source):
    for split in ("validation", "test"):
        places = [place(example) for example in source.examples(split)]
        for (one, top, left), (other, top2, left2) in itertools.combinations(places, 2):
            assert one != other or abs(top - top2) >= source.height or abs(left - left2) >= source.width
    rows = {
        split: [top for photograph, top, _ in map(place, source.examples(split)) if photograph is YELLOWSTONE_WEST]
        for split in ("train", "validation")
    }
    trees = read_boxes(YELLOWSTONE_WEST) / source.reduction
    in_train = trees[:, 1] < max(rows["train"]) + source.height
    in_validation = trees[:, 3] > min(rows["validation"])
    assert in_train.any()
    assert in_validation.any()
    assert not (in_train & in_validation).any()


def test_tiles_share_the_photographs_memory_and_cannot_be_changed(aerial_photographs):
    (example, *_) = AerialTrees().examples("test")
    assert np.shares_memory(example.image, read_picture(ORDWAY_SWISHER, 1))
    assert not example.image.flags.writeable


def test_training_tiles_cover_a_range_and_overlap_evenly():
    assert aerial._starts(0, 240, 96, overlap=0.5) == [0, 48, 96, 144]
    assert aerial._starts(10, 260, 96, overlap=0.5) == [10, 48, 87, 126, 164]
    assert aerial._starts(0, 96, 96, overlap=0.5) == [0]
    assert aerial._starts(0, 240, 96, overlap=0.0) == [0, 72, 144]


def test_other_tiles_lie_side_by_side_in_the_middle():
    assert aerial._separate_starts(0, 400, 96) == [8, 104, 200, 296]
    assert aerial._separate_starts(2048, 2472, 128) == [2068, 2196, 2324]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reduction": 3}, r"reduction must be one of \(1, 2, 4\), got 3"),
        (
            {"height": 401},
            r"height must be in \[32, 400\], which a photograph of 400 pixels shrunk by 1 holds, got 401",
        ),
        ({"width": 128, "reduction": 4}, r"width must be in \[32, 100\], which .* shrunk by 4 holds, got 128"),
        ({"overlap": 1.0}, r"overlap must be in \[0, 0.9\], got 1.0"),
        ({"least_visible": 0.0}, r"least_visible must be in \(0, 1\], got 0.0"),
    ],
)
def test_a_bad_config_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        AerialTrees(**changed)
