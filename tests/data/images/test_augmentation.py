"""Flips and rotations, against NumPy and scipy."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jaxkd.data.images import Augmentation
from jaxkd.data.images.augmentation import rotate

NEVER = {"horizontal_flip": 0.0, "vertical_flip": 0.0, "rotation": 0.0}


def pixels(height, width, *channels):
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels)).astype(np.uint8)


def by_scipy(image, degrees, order):
    """Rotation about the centre with reflection at the edges, by the formula: output p reads R p."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image.astype(float), turn, centre - turn @ centre, order=order, mode="reflect")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, lambda array: array),
        ({"horizontal_flip": 1.0}, np.fliplr),
        ({"vertical_flip": 1.0}, np.flipud),
        ({"rotation": 1.0, "degrees": (90.0, 90.0)}, np.rot90),
        ({"horizontal_flip": 1.0, "rotation": 1.0, "degrees": (90.0, 90.0)}, lambda array: np.rot90(np.fliplr(array))),
    ],
)
def test_image_and_mask_move_together(changed, expected):
    image, mask = pixels(8, 8, 3), (pixels(8, 8) > 128).astype(np.uint8)
    moved, moved_mask = Augmentation(**NEVER | changed)(image, mask, np.random.default_rng(0))
    np.testing.assert_array_equal(moved, expected(image))
    np.testing.assert_array_equal(moved_mask, expected(mask))
    assert (moved.dtype, moved_mask.dtype) == (np.uint8, np.uint8)
    assert moved.flags.c_contiguous


@pytest.mark.parametrize("shape", [(24, 24), (11, 30), (1, 1)])
@pytest.mark.parametrize("degrees", [0.0, 13.7, 123.4, 180.0, 301.0])
def test_a_rotation_is_that_of_scipy(shape, degrees):
    image = pixels(*shape)
    found = rotate(image, degrees, Image.Resampling.BILINEAR)
    # Bilinear values are rounded down to a grey level.
    np.testing.assert_allclose(found, by_scipy(image, degrees, 1) - 0.5, rtol=0, atol=0.5 + 1e-6)
    nearest = rotate(image, degrees, Image.Resampling.NEAREST)
    # Pillow steps along a row in units of 2^-16 of a pixel: a place within that of the middle may take either pixel.
    assert (nearest != by_scipy(image, degrees, 0)).mean() <= 0.01


def test_colours_are_rotated_as_grey_levels_are():
    image = pixels(9, 12, 3)
    whole = rotate(image, 30.0, Image.Resampling.BILINEAR)
    parts = [rotate(np.ascontiguousarray(image[..., c]), 30.0, Image.Resampling.BILINEAR) for c in range(3)]
    np.testing.assert_array_equal(whole, np.stack(parts, axis=-1))


def test_a_rotated_image_stays_on_its_rotated_mask():
    """A bright disc off the centre: after any rotation, the mask is where the image is bright."""
    y, x = np.mgrid[:64, :64]
    mask = ((y - 20) ** 2 + (x - 40) ** 2 < 100).astype(np.uint8)
    image = np.repeat(200 * mask[..., None], 3, axis=-1)
    augmentation = Augmentation(rotation=1.0)
    for seed in range(5):
        moved, moved_mask = augmentation(image, mask, np.random.default_rng(seed))
        assert set(np.unique(moved_mask)) == {0, 1}
        assert ((moved[..., 0] >= 100) != moved_mask).mean() < 0.01
        assert abs(int(moved_mask.sum()) - int(mask.sum())) < 0.05 * mask.sum()


def test_corners_are_filled_with_what_is_in_the_image():
    image = np.full((16, 16, 3), 77, np.uint8)
    moved, mask = Augmentation(rotation=1.0, degrees=(45.0, 45.0))(
        image, np.ones((16, 16), np.uint8), np.random.default_rng(0)
    )
    assert (moved == 77).all()
    assert mask.all()


def test_frequencies_are_the_probabilities_and_angles_differ():
    """Places of a marked pixel over 400 rows; 5 standard errors of a frequency of 0.3 are 0.115."""
    image = np.zeros((2, 2, 3), np.uint8)
    mask = np.array([[1, 0], [0, 0]], np.uint8)
    augmentation = Augmentation(horizontal_flip=0.3, vertical_flip=0.7, rotation=0.0)
    places = [np.argwhere(augmentation(image, mask, np.random.default_rng(row))[1])[0] for row in range(400)]
    assert np.abs(np.mean(places, axis=0) - (0.7, 0.3)).max() < 0.115
    line = pixels(16, 16, 3)
    turned = Augmentation(**NEVER | {"rotation": 0.5})
    results = [turned(line, line[..., 0] % 2, np.random.default_rng(row))[0].tobytes() for row in range(100)]
    unchanged = sum(result == line.tobytes() for result in results)
    assert abs(unchanged / 100 - 0.5) < 0.25  # 5 standard errors
    assert len(set(results)) == 100 - unchanged + 1  # an angle for each row, not one for all


def test_probabilities_do_not_shift_the_numbers_of_others():
    image, mask = pixels(8, 8, 3), np.zeros((8, 8), np.uint8)
    for probability in (0.0, 1.0):
        rng = np.random.default_rng(0)
        Augmentation(horizontal_flip=probability, vertical_flip=probability, rotation=probability)(image, mask, rng)
        other = np.random.default_rng(0)
        other.random(4)
        assert rng.random() == other.random()


@pytest.mark.parametrize("name", ["horizontal_flip", "vertical_flip", "rotation"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_probability_outside_its_range_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be a probability in \[0, 1\], got {value}"):
        Augmentation(**{name: value})


@pytest.mark.parametrize("degrees", [(10.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_angles_that_are_no_interval_are_refused(degrees):
    with pytest.raises(ValueError, match="degrees must be two finite angles, the smaller one first, got"):
        Augmentation(degrees=degrees)


def test_a_target_that_is_no_mask_is_refused():
    with pytest.raises(
        ValueError, match=r"target must be a mask of the image's size \(8, 8\), got the shape \(21, 2\)"
    ):
        Augmentation()(pixels(8, 8, 3), np.zeros((21, 2), np.uint8), np.random.default_rng(0))
