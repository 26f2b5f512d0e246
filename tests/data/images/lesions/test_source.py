import collections
import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from jaxkd.data.images.lesions import outlines
from jaxkd.data.images.lesions.source import Lesions
from jaxkd.data.images.source import require_disjoint_groups
from jaxkd.records import UNLABELLED

SMALL = Lesions(side=64, train=30, validation=6, test=60)


def drawn(source, split):
    return [(example.key, example.image.tobytes(), example.target.tobytes()) for example in source.examples(split)]


def test_an_example_is_a_function_of_seed_split_and_index(packaged_images):
    short, longer = Lesions(side=32, train=3), Lesions(side=32, train=6, test=6)
    assert drawn(longer, "train")[:3] == drawn(short, "train")
    assert drawn(Lesions(side=32, train=3, validation=1), "train") == drawn(short, "train")
    assert drawn(Lesions(side=32, train=3, seed=1), "train") != drawn(short, "train")
    assert not {image for _, image, _ in drawn(longer, "train")} & {image for _, image, _ in drawn(longer, "test")}
    assert [key for key, _, _ in drawn(short, "train")] == [
        "train-00000-mild",
        "train-00001-moderate",
        "train-00002-severe",
    ]


def test_only_the_first_training_images_are_labelled(packaged_images):
    source = Lesions(side=32, train=4, test=1, labelled=2)
    whole, partly = (dataclasses.replace(source, labelled=one).examples("train") for one in (None, 2))
    for number, (one, other) in enumerate(zip(whole, partly, strict=True)):
        np.testing.assert_array_equal(one.image, other.image)
        expected = one.target if number < 2 else np.full_like(one.target, UNLABELLED)
        np.testing.assert_array_equal(other.target, expected)
    assert source.examples("test")[0].target.max() == 1
    with pytest.raises(ValueError, match=r"labelled must be in \[0, 4\], the number of training images, got 5\."):
        Lesions(side=32, train=4, labelled=5)


def test_levels_are_thirds_and_groups_are_photographs_in_one_split(packaged_images):
    require_disjoint_groups(SMALL)
    found = SMALL.examples("test")
    assert len(found) == 60
    assert collections.Counter(example.stratum for example in found) == {"mild": 20, "moderate": 20, "severe": 20}
    assert [(example.key, example.group) for example in found] == SMALL.groups("test")
    assert len({example.group for example in found}) == 20
    for example in found:
        assert example.image.shape == (64, 64, 3)
        assert set(np.unique(example.target)) == {0, 1}
        assert example.target.dtype == np.uint8
    assert len(Lesions(train=0).examples("train")) == 0


def test_the_target_is_the_drawn_outline(packaged_images):
    for index, example in enumerate(SMALL.examples("validation")):
        parts = outlines.draw_outlines(np.random.default_rng([0, 1, index]), 64)
        assert (example.target == np.any([part.depth(64) > 0 for part in parts], axis=0)).all()


def test_levels_are_harder_one_after_another_but_not_impossible(packaged_images):
    contrasts, steps = collections.defaultdict(list), collections.defaultdict(list)
    for example in SMALL.examples("test"):
        # Closing takes hairs away, which are thin and dark.
        brightness = ndimage.grey_closing(example.image.mean(-1), (5, 5))
        inside = example.target == 1
        ring = ndimage.binary_dilation(inside, iterations=8) & ~ndimage.binary_dilation(inside, iterations=4)
        core = ndimage.binary_erosion(inside, iterations=3)
        contrasts[example.stratum].append(brightness[ring].mean() - brightness[core].mean())
        border = ndimage.binary_dilation(inside) & ~inside
        inner = inside & ~ndimage.binary_erosion(inside)
        steps[example.stratum].append(brightness[border].mean() - brightness[inner].mean())
    means = [np.mean(contrasts[level]) for level in ("mild", "moderate", "severe")]
    assert means[0] > 1.4 * means[1] > 1.4 * 1.4 * means[2]
    # Nearly all lesions of the worst level still are darker than the skin beside them.
    assert np.mean(np.array(contrasts["severe"]) > 0) >= 0.9
    sharpness = [np.mean(steps[level]) for level in ("mild", "moderate", "severe")]
    assert sharpness[0] > 2 * sharpness[1] > 2 * 2 * sharpness[2] > 0


def test_other_options_are_refused():
    with pytest.raises(ValueError, match="side must be at least 32, got 31"):
        Lesions(side=31)
    for name in ("train", "validation", "test", "seed"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
            Lesions(**{name: -1})
