import collections
import concurrent.futures
from typing import Any

import numpy as np
import pytest

from jaxkd.data.images.scenes import layouts, scenery
from jaxkd.data.images.scenes.source import ThermalScenes
from jaxkd.data.images.source import require_disjoint_groups

SMALL = ThermalScenes(train=24, validation=8, test=120, offset=0.0)


def drawn(source, split):
    return [
        (example.key, example.image.tobytes(), example.target.corners.tobytes(), example.target.classes.tobytes())
        for example in source.examples(split)
    ]


def test_an_example_is_a_function_of_seed_split_and_index(packaged_images):
    short, longer = ThermalScenes(train=4, height=48, width=64), ThermalScenes(train=6, test=6, height=48, width=64)
    assert drawn(longer, "train")[:4] == drawn(short, "train")
    assert drawn(ThermalScenes(train=4, height=48, width=64, seed=1), "train") != drawn(short, "train")
    assert not {image for _, image, *_ in drawn(longer, "train")} & {image for _, image, *_ in drawn(longer, "test")}
    keys = [key for key, *_ in drawn(short, "train")]
    assert keys == ["train-00000-day", "train-00001-night", "train-00002-hot", "train-00003-weak"]


def test_threads_draw_the_same(packaged_images):
    one, other = (ThermalScenes(train=8, height=48, width=64, test=count) for count in (0, 1))
    examples = one.examples("train")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda index: examples[index].image, [*range(8), *range(8)]))
    for index, example in enumerate(other.examples("train")):
        np.testing.assert_array_equal(images[index], example.image)
        np.testing.assert_array_equal(images[index + 8], example.image)


def test_conditions_are_quarters_and_groups_are_in_one_split(packaged_images):
    require_disjoint_groups(SMALL)
    found = SMALL.examples("test")
    strata = collections.Counter(example.stratum for example in found)
    assert strata == {"day": 30, "night": 30, "hot": 30, "weak": 30}
    assert [(example.key, example.group) for example in found] == SMALL.groups("test")
    names = {one.name for each in layouts.layouts()["test"].values() for one in each}
    photographs = scenery.backdrops()["test"]
    for example in found:
        wall, ground, *sequence = example.group.split("-")
        assert wall in {one.name for one in photographs.walls}
        assert ground in {one.name for one in photographs.grounds}
        assert bool(sequence) == example.target.mask.any()
        assert set(sequence) <= names
    assert len(ThermalScenes(train=0).examples("train")) == 0


def test_boxes_are_padded_and_lie_in_the_image(packaged_images):
    counts = collections.Counter()
    for example in SMALL.examples("test"):
        boxes = example.target
        assert (example.image.shape, example.image.dtype) == ((96, 128, 4), np.uint8)
        assert (boxes.corners.shape, boxes.classes.shape, boxes.mask.shape) == ((6, 4), (6,), (6,))
        assert (boxes.corners.dtype, boxes.classes.dtype) == (np.float32, np.int32)
        assert (boxes.mask.dtype, boxes.ignored.dtype) == (bool, bool)
        assert not boxes.ignored.any()
        counts[boxes.mask.sum()] += 1
        assert (np.diff(boxes.mask.astype(int)) <= 0).all()
        corners = boxes.corners[boxes.mask]
        assert (corners >= 0).all()
        assert (corners <= (128.001, 96.001, 128.001, 96.001)).all()
        assert (corners[:, 3] - corners[:, 1] >= 7.999).all()
        assert set(boxes.classes[boxes.mask]) <= {0, 1, 2}
        assert not boxes.corners[~boxes.mask].any()
    assert set(counts) == set(range(7))


def contrast(channel, box):
    """Mean absolute difference of a box's middle from what is around it, less that of the surroundings themselves."""
    left, top, right, bottom = box
    rows, columns = np.mgrid[: channel.shape[0], : channel.shape[1]] + 0.5
    across, down = (right - left) / 4, (bottom - top) / 8

    def within(x, y):
        return (columns > left + x) & (columns < right - x) & (rows > top + y) & (rows < bottom - y)

    around = within(-4, -4) & ~within(-1, -1)
    level = np.median(channel[around])
    return np.abs(channel[within(across, down)] - level).mean() - np.abs(channel[around] - level).mean()


def test_conditions_show_figures_in_the_modality_that_they_are_for(packaged_images):
    found = collections.defaultdict(list)
    for example in SMALL.examples("test"):
        image = example.image.astype(np.float32)
        for box in example.target.corners[example.target.mask]:
            found["visible", example.stratum].append(contrast(image[..., :3].mean(-1), box))
            found["thermal", example.stratum].append(contrast(image[..., 3], box))
    assert min(map(len, found.values())) > 80
    mean = {name: float(np.mean(each)) for name, each in found.items()}
    # In grey levels.  Heat leaves nothing in thermal light: figures are as even as what is around them, or more so.
    expected = {
        ("visible", "day"): 28,
        ("visible", "night"): 7.6,
        ("visible", "hot"): 30,
        ("visible", "weak"): 6.3,
        ("thermal", "day"): 19,
        ("thermal", "night"): 38,
        ("thermal", "hot"): -1.6,
        ("thermal", "weak"): 5.1,
    }
    for name, value in expected.items():
        assert mean[name] == pytest.approx(value, rel=0.15, abs=1), name
    assert mean["thermal", "night"] > 1.5 * mean["thermal", "day"] > 1.5 * 3 * max(mean["thermal", "weak"], 1)
    assert mean["thermal", "hot"] < 1 < mean["thermal", "weak"]
    assert min(mean["visible", "day"], mean["visible", "hot"]) > 3 * max(
        mean["visible", "night"], mean["visible", "weak"]
    )


def test_an_offset_moves_the_visible_image_alone(packaged_images):
    sources = [ThermalScenes(test=8, offset=offset) for offset in ("drawn", 0.0, 10.0, 20.0)]
    shifts = collections.defaultdict(list)
    for index in range(0, 8, 2):  # by day and in heat, when the light is good
        exact, none, near, far = (source.examples("test")[index] for source in sources)
        for other in (none, near, far):
            np.testing.assert_array_equal(other.image[..., 3], exact.image[..., 3])
            np.testing.assert_array_equal(other.target.corners, exact.target.corners)
        if exact.target.mask.any():
            assert (exact.image[..., :3] != none.image[..., :3]).any()
        for distance, other in ((10, near), (20, far)):
            shifts[distance].append(registered(none.image[..., :3].mean(-1), other.image[..., :3].mean(-1)))
    # At 0.4 pixels of the image to one of the frame; whole pixels are found.
    for distance, found in shifts.items():
        np.testing.assert_allclose(np.hypot(*np.array(found, float).T), 0.4 * distance, atol=0.75)
    assert len(set(shifts[20])) == 4


def registered(image, moved):
    """Way down and to the right by which one image is moved against another, by the least difference."""
    inner = np.s_[12:-12, 12:-12]
    ways = [(down, right) for down in range(-10, 11) for right in range(-10, 11)]
    return min(ways, key=lambda way: np.abs(np.roll(image, way, (0, 1))[inner] - moved[inner]).mean())


def test_another_size_shows_larger_objects(packaged_images):
    heights = {}
    for height, width in ((96, 128), (192, 256)):
        found = ThermalScenes(height=height, width=width, train=12).examples("train")
        assert found[0].image.shape == (height, width, 4)
        corners = np.concatenate([each.target.corners[each.target.mask] for each in found])
        heights[height] = np.median(corners[:, 3] - corners[:, 1])
    assert 1.3 < heights[192] / heights[96] < 3


def test_other_options_are_refused():
    for name in ("height", "width"):
        with pytest.raises(ValueError, match=f"{name} must be at least 48, got 47"):
            ThermalScenes(**{name: 47})
    for name in ("train", "validation", "test", "seed"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
            ThermalScenes(**{name: -1})
    with pytest.raises(ValueError, match="most_objects must be at least 1, got 0"):
        ThermalScenes(most_objects=0)
    refused: list[Any] = [-1, 41.0, float("nan"), True, "measured"]
    for offset in refused:
        with pytest.raises(
            ValueError, match=rf"offset must be 'drawn' or a number of pixels in \[0, 40\], got {offset!r}"
        ):
            ThermalScenes(offset=offset)
