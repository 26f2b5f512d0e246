import numpy as np
import pytest

from jaxkd.data.images.scenes.figures import MATERIALS, Figure, Material, draw_figure
from jaxkd.data.images.scenes.layouts import ObjectClass

CASES: list[tuple[ObjectClass, float]] = [
    ("person", 0.25),
    ("person", 0.6),
    ("cyclist", 0.4),
    ("cyclist", 0.9),
    ("car", 1.0),
    ("car", 2.2),
]
ONE_OF_EACH = np.eye(len(MATERIALS), dtype=np.float32)


def painted(figure, box, height, width):
    """Whole image of the share of each material."""
    image = np.zeros((height, width, len(MATERIALS)), np.float32)
    place, _, shares = figure.paint(np.array(box, np.float32), height, width, ONE_OF_EACH)
    image[place] = shares
    return image


def square(first, last, material: Material) -> tuple[np.ndarray, tuple[Material, int]]:
    corners = [(first, first), (last, first), (last, last), (first, last)]
    return np.array(corners, np.float32), (material, 4)


@pytest.mark.parametrize(("kind", "aspect"), CASES)
def test_a_figure_fills_its_box_and_nothing_else(kind, aspect):
    for seed in range(4):
        figure = draw_figure(np.random.default_rng(seed), kind, aspect, 1)
        left, top, height = 10.25, 7.5, 60.0
        box = (left, top, left + aspect * height, top + height)
        opacity = painted(figure, box, 80, 160).sum(-1)
        rows, columns = (np.flatnonzero((opacity > 0.01).any(axis)) for axis in (1, 0))
        assert abs(np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) - box).max() <= 1
        # Bicycles have holes, and people have none, but their boxes have corners.
        assert 0.25 < opacity.sum() / (aspect * height**2) < 0.95
        assert opacity.max() == 1


def test_a_square_covers_pixels_by_their_share():
    corners, polygon = square(0, 1, "skin")
    figure = Figure(corners=corners, polygons=(polygon,))
    image = painted(figure, (1.25, 2.0, 3.75, 4.0), 6, 6)
    expected = np.zeros((6, 6))
    # The pen draws its outline too: up to a quarter of a pixel more, at the right and at the bottom.
    expected[2:4, 1:4] = (0.75, 1, 0.75)
    assert abs(image[..., MATERIALS.index("skin")] - expected).max() <= 0.25
    np.testing.assert_array_equal(image[2:4, 2, MATERIALS.index("skin")], 1)
    assert image.sum() == image[..., MATERIALS.index("skin")].sum()


def test_later_polygons_cover_earlier_ones_and_nothing_cuts_a_hole():
    parts = [square(0, 1, "paint"), square(0.2, 0.8, "glass"), square(0.4, 0.6, "nothing")]
    figure = Figure(corners=np.concatenate([each for each, _ in parts]), polygons=tuple(each for _, each in parts))
    values = np.arange(len(MATERIALS), dtype=np.float32)[:, None]
    place, opacity, picture = figure.paint(np.array([0, 0, 20, 20], np.float32), 20, 20, values)
    assert place == (slice(0, 20), slice(0, 20))
    assert [float(picture[row, 10, 0]) for row in (2, 6, 10)] == [MATERIALS.index("paint"), MATERIALS.index("glass"), 0]
    assert [float(opacity[row, 10, 0]) for row in (2, 6, 10)] == [1, 1, 0]


def test_what_is_beyond_the_image_is_left_out():
    figure = draw_figure(np.random.default_rng(0), "car", 2.0, 1)
    whole = painted(figure, (10, 10, 50, 30), 40, 60)
    for right, down in ((-25, 0), (30, 0), (0, -20), (8, 25)):
        moved = painted(figure, (10 + right, 10 + down, 50 + right, 30 + down), 40, 60)
        canvas = np.zeros((120, 180, len(MATERIALS)))
        canvas[40 + down : 80 + down, 60 + right : 120 + right] = whole
        # The pen rounds a few edges otherwise where they leave its canvas: 2 of the 16 points of a pixel.
        assert abs(moved - canvas[40:80, 60:120]).max() <= 0.125
        assert (moved != canvas[40:80, 60:120]).mean() < 1e-3
    place, opacity, picture = figure.paint(np.array([70, 0, 90, 20], np.float32), 40, 60, ONE_OF_EACH)
    assert (place[1], opacity.shape, picture.shape) == (slice(60, 60), (20, 0, 1), (20, 0, len(MATERIALS)))


def test_who_goes_to_the_left_is_the_mirror_image():
    for kind, aspect in CASES:
        right, left = (draw_figure(np.random.default_rng(3), kind, aspect, facing) for facing in (1, -1))
        np.testing.assert_allclose(left.corners, right.corners * (-1, 1) + (1, 0), atol=1e-6)
        assert left.polygons == right.polygons


def test_a_stride_is_as_wide_as_the_box():
    """Legs, of a figure that is not stretched, are further apart in a wider box."""
    narrow, wide = (draw_figure(np.random.default_rng(0), "person", aspect, 1) for aspect in (0.25, 0.6))
    gaps = []
    for figure, aspect in ((narrow, 0.25), (wide, 0.6)):
        image = painted(figure, (0, 0, aspect * 80, 80), 80, 48)
        feet = np.flatnonzero(image[70:].sum((0, 2)))
        gaps.append((feet[-1] - feet[0]) / 80)
    assert gaps[1] > gaps[0] + 0.2
