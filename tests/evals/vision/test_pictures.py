import base64
import io

import numpy as np
import pytest
from PIL import Image

from jaxkd.evals.vision.pictures import evenly_spaced, outlines, thumbnail

ROWS, COLUMNS = np.mgrid[:96, :120] + 0.5
ELLIPSE = ((COLUMNS - 60) / 45) ** 2 + ((ROWS - 50) / 30) ** 2 < 1
RING = ELLIPSE & (np.hypot(COLUMNS - 60, ROWS - 50) > 9)


def filled(rings, shape):
    """Pixels whose centre lies within the outlines, by the even-odd rule."""
    inside = np.zeros(shape, bool)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
            if y0 != y1:
                crosses = (rows >= min(y0, y1)) & (rows < max(y0, y1))
                inside ^= crosses & (columns < x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return inside


def test_a_square_is_an_octagon_whose_sides_run_between_the_pixels():
    mask = np.zeros((6, 7), bool)
    mask[1:5, 2:5] = True
    (ring,) = outlines(mask)
    expected = {(2.0, 1.5), (2.5, 1.0), (4.5, 1.0), (5.0, 1.5), (5.0, 4.5), (4.5, 5.0), (2.5, 5.0), (2.0, 4.5)}
    assert set(ring) == expected
    assert len(ring) == 8


def test_without_a_tolerance_the_outlines_fill_the_mask_exactly():
    speckled = np.random.default_rng(0).random((24, 31)) < 0.5
    for mask in (speckled, RING, np.ones((5, 4), bool), np.eye(6, dtype=bool)):
        np.testing.assert_array_equal(filled(outlines(mask, tolerance=0.0), mask.shape), mask)


@pytest.mark.parametrize("tolerance", [0.4, 0.5, 1.0])
def test_a_simplified_outline_stays_near_and_is_shorter(tolerance):
    exact, rings = outlines(RING, tolerance=0.0), outlines(RING, tolerance=tolerance)
    assert sum(map(len, rings)) < sum(map(len, exact))
    for ring, all_corners in zip(rings, exact, strict=True):
        assert set(ring) <= set(all_corners)
        starts, ends = np.array(ring), np.roll(np.array(ring), -1, axis=0)
        along = ends - starts
        offsets = np.array(all_corners)[:, None] - starts
        place = np.clip(np.sum(offsets * along, axis=2) / np.sum(along**2, axis=1), 0, 1)
        distances = np.linalg.norm(offsets - place[..., None] * along, axis=2).min(axis=1)
        assert distances.max() <= tolerance + 1e-9
    both = filled(rings, RING.shape) & RING
    assert 2 * both.sum() / (filled(rings, RING.shape).sum() + RING.sum()) > 0.98


def test_a_hole_has_an_outline_of_its_own_and_regions_one_each():
    assert [len(outlines(mask)) for mask in (ELLIPSE, RING, RING | (COLUMNS < 3))] == [1, 2, 3]


def test_small_regions_keep_their_shape_and_an_empty_mask_has_none():
    mask = np.zeros((4, 4), bool)
    assert outlines(mask) == ()
    mask[3, 0] = True
    assert outlines(mask, tolerance=50.0) == outlines(mask, tolerance=0.0)
    assert set(outlines(mask)[0]) == {(0.0, 3.5), (0.5, 3.0), (1.0, 3.5), (0.5, 4.0)}


def test_other_masks_are_refused():
    with pytest.raises(TypeError, match="mask must be an array of booleans, got float64. Compare with a threshold"):
        outlines(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"mask must have shape \[h w\], got \(2, 2, 1\)"):
        outlines(np.zeros((2, 2, 1), bool))
    with pytest.raises(ValueError, match="tolerance must be 0 pixels or more, got -1"):
        outlines(np.zeros((2, 2), bool), tolerance=-1)


def opened(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text, validate=True))))


def test_a_small_image_comes_back_as_it_is():
    image = np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(opened(thumbnail(image)), image)
    np.testing.assert_array_equal(opened(thumbnail(image[:, :, 0])), image[:, :, 0])
    np.testing.assert_array_equal(opened(thumbnail(image[:, :, :1])), image[:, :, 0])


def test_a_large_image_is_made_smaller_by_means_over_its_pixels():
    image = np.random.default_rng(2).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    means = image.reshape(4, 2, 6, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(opened(thumbnail(image, longest=6)), means, atol=1.0)  # rounded twice
    assert opened(thumbnail(np.zeros((3, 500), np.uint8), longest=100)).shape == (1, 100)


def test_other_images_are_refused():
    with pytest.raises(TypeError, match="image must be an array of uint8, got float32"):
        thumbnail(np.zeros((2, 2, 3), np.float32))
    for shape in ((2, 2, 4), (2,), (0, 2, 3), (1, 2, 2, 3)):
        with pytest.raises(ValueError, match=r"image must have pixels in shape \[h w\], \[h w 1\] or \[h w 3\], got"):
            thumbnail(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="longest must be at least 1 pixel, got 0"):
        thumbnail(np.zeros((2, 2), np.uint8), longest=0)


def test_evenly_spaced_members_of_each_stratum():
    strata = ["left", "left", "right", "left", "left", "right", "left"]
    assert evenly_spaced(strata, each=2) == [0, 3, 2, 5]
    assert evenly_spaced(strata, each=3) == [0, 1, 4, 2, 5]
    assert evenly_spaced(["a"] * 7, each=6) == [0, 1, 2, 3, 4, 5]
    assert evenly_spaced(["a"] * 60, each=6) == [0, 10, 20, 30, 40, 50]
    assert evenly_spaced([], each=2) == []
