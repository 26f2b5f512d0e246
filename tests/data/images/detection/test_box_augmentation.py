"""Flips of images with boxes, offsets of the thermal channel, and brightness a modality."""

import itertools

import numpy as np
import pytest

from jaxkd.data.images import ImageExample, image_batches
from jaxkd.data.images.detection import BoxAugmentation, pad_boxes
from jaxkd.data.images.detection.box_augmentation import shift_thermal
from jaxkd.runtime import configs

HEIGHT, WIDTH = 6, 10


def image(channels=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels)).astype(np.uint8)


def boxes(*corners, rows=3):
    given = np.array(corners, np.float32).reshape(-1, 4)
    return pad_boxes(given, classes=np.arange(len(given)), ignored=np.arange(len(given)) == 1, rows=rows)


def rng(seed=0):
    return np.random.default_rng(seed)


def painted(*corners):
    """A black image in which the boxes are white."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for left, top, right, bottom in corners:
        pixels[top:bottom, left:right] = 255
    return pixels


def test_boxes_stay_on_what_they_surround():
    corners = [(0, 0, 3, 2), (7, 1, 10, 6)]
    flipped, found = BoxAugmentation(horizontal_flip=1.0)(painted(*corners), boxes(*corners), rng())
    assert found.corners.tolist() == [[7, 0, 10, 2], [0, 1, 3, 6], [0, 0, 0, 0]]
    np.testing.assert_array_equal(flipped, painted((7, 0, 10, 2), (0, 1, 3, 6)))
    assert flipped.flags.c_contiguous
    assert found.corners.dtype == np.float32


def test_padding_whatever_it_holds_and_all_else_stay_as_they_are():
    given = boxes((1, 1, 2, 2), (2, 2, 4, 4))
    given.corners[2] = 77
    for array in (given.corners, given.classes, given.mask, given.ignored):
        array.setflags(write=False)
    before = given.corners.copy()
    _, found = BoxAugmentation(horizontal_flip=1.0)(image(), given, rng())
    assert found.corners[2].tolist() == [77] * 4
    np.testing.assert_array_equal(given.corners, before)
    for name in ("classes", "mask", "ignored"):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))


def test_an_image_without_objects_is_flipped():
    flipped, found = BoxAugmentation(horizontal_flip=1.0)(image(), boxes(), rng())
    np.testing.assert_array_equal(flipped, image()[:, ::-1])
    assert not found.mask.any()


def test_the_default_flips_half_of_the_images_and_changes_nothing_else():
    results = [BoxAugmentation()(image(), boxes((1, 1, 2, 2)), rng(seed)) for seed in range(400)]
    flipped = [found.corners[0, 0] == 8 for _, found in results]
    assert abs(np.mean(flipped) - 0.5) < 0.125  # 5 standard errors
    for (pixels, found), turned in zip(results, flipped, strict=True):
        np.testing.assert_array_equal(pixels, image()[:, ::-1] if turned else image())
        assert found.corners[0].tolist() == ([8, 1, 9, 2] if turned else [1, 1, 2, 2])


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (-1, 3), (0, -4), (25, 0)])
def test_the_thermal_channel_alone_moves(down, right):
    moved = shift_thermal(image(), down, right)
    np.testing.assert_array_equal(moved[..., :3], image()[..., :3])
    reflected = np.pad(image()[..., 3], 30, mode="symmetric")
    expected = reflected[30 - down : 30 - down + HEIGHT, 30 - right : 30 - right + WIDTH]
    np.testing.assert_array_equal(moved[..., 3], expected)


def test_offsets_are_uniform_and_leave_the_boxes():
    shifted = BoxAugmentation(horizontal_flip=0.0, modality_shift=1)
    expected = {
        (down, right): shift_thermal(image(), down, right).tobytes()
        for down, right in itertools.product((-1, 0, 1), repeat=2)
    }
    drawn = []
    for seed in range(900):
        moved, found = shifted(image(), boxes((1, 1, 2, 2)), rng(seed))
        drawn.append(next(offset for offset, pixels in expected.items() if pixels == moved.tobytes()))
        assert found.corners[0].tolist() == [1, 1, 2, 2]
    counts = [drawn.count(offset) for offset in expected]
    assert max(abs(count - 100) for count in counts) < 5 * 9.5  # standard deviations of a binomial


def test_brightness_is_one_factor_for_the_colours_and_another_for_thermal():
    grey = np.full((HEIGHT, WIDTH, 4), 200, np.uint8)
    found = [BoxAugmentation(horizontal_flip=0.0, brightness=0.4)(grey, boxes(), rng(seed))[0] for seed in range(200)]
    assert all((pixels == pixels[0, 0]).all() and len(set(pixels[0, 0, :3])) == 1 for pixels in found)
    visible, thermal = (np.array([int(pixels[0, 0, channel]) for pixels in found]) for channel in (0, 3))
    assert abs(np.corrcoef(visible, thermal)[0, 1]) < 0.35  # 5 standard errors of independent ones
    for levels in (visible, thermal):
        assert levels.min() >= 120
        assert levels.max() == 255  # clipped
        assert (levels == 200).mean() < 0.05


def test_options_do_not_shift_the_numbers_of_others():
    for options in (
        BoxAugmentation(horizontal_flip=0.0),
        BoxAugmentation(horizontal_flip=1.0, modality_shift=3, brightness=0.5),
    ):
        given = rng()
        options(image(), boxes(), given)
        other = rng()
        other.random(5)
        assert given.random() == other.random()


def test_batches_hold_flipped_boxes_beside_their_images():
    examples = [
        ImageExample(key=str(n), group=str(n), image=image(seed=n), target=boxes((n, 0, n + 2, 3))) for n in range(4)
    ]
    (batch,) = itertools.islice(image_batches(examples, rows=16, seed=0, augmentation=BoxAugmentation()), 1)
    assert (batch.images.shape, batch.targets.corners.shape) == ((16, HEIGHT, WIDTH, 4), (16, 3, 4))
    turned = 0
    for pixels, corners, mask in zip(batch.images, batch.targets.corners, batch.targets.mask, strict=True):
        assert mask.tolist() == [True, False, False]
        matches = [n for n in range(4) if (pixels == image(seed=n)).all()]
        flips = [n for n in range(4) if (pixels == image(seed=n)[:, ::-1]).all()]
        turned += len(flips)
        (n,) = matches + flips
        assert corners[0].tolist() == ([n, 0, n + 2, 3] if matches else [8 - n, 0, 10 - n, 3])
    assert 0 < turned < 16


def test_images_with_boxes_of_several_numbers_are_refused():
    examples = [
        ImageExample(key=str(n), group=str(n), image=image(), target=boxes((0, 0, 1, 1), rows=n + 1)) for n in range(2)
    ]
    with pytest.raises(ValueError, match=r"targets must have one shape, got .* and pad boxes to one number"):
        next(iter(image_batches(examples, rows=2, seed=0)))


def test_it_is_a_config():
    options = BoxAugmentation(horizontal_flip=0.25, modality_shift=2)
    encoded = configs.encode(options)
    assert encoded["type"] == "jaxkd.data.images.detection:BoxAugmentation"
    assert configs.decode(encoded) == options


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"horizontal_flip": 1.1}, r"horizontal_flip must be a probability in \[0, 1\], got 1.1"),
        ({"modality_shift": -1}, "modality_shift must be at least 0 pixels, got -1"),
        ({"brightness": 1.0}, r"brightness must be in \[0, 1\), got 1.0"),
    ],
)
def test_a_bad_option_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        BoxAugmentation(**changed)


def test_another_target_and_a_missing_channel_are_refused():
    with pytest.raises(ValueError, match="target must be the Boxes of an image, got ndarray"):
        BoxAugmentation()(image(), np.zeros((HEIGHT, WIDTH), np.uint8), rng())
    with pytest.raises(ValueError, match=r"modality_shift must be 0 for images without a thermal channel, got 2 for"):
        BoxAugmentation(modality_shift=2)(image(3), boxes(), rng())
