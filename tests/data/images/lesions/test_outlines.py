import numpy as np
import pytest
from matplotlib.path import Path

from jaxkd.data.images.lesions.outlines import Outline, draw_outlines

WAVY = Outline(row=30.2, column=33.7, radius=18.0, cosines=(0.1, -0.15, 0.05), sines=(0.02, 0.1, -0.07))


def radius_and_slope(outline, angle):
    orders = np.arange(1, len(outline.cosines) + 1)
    phases = angle[..., None] * orders
    relative = 1 + (np.cos(phases) * outline.cosines + np.sin(phases) * outline.sines).sum(-1)
    slope = (orders * (np.cos(phases) * outline.sines - np.sin(phases) * outline.cosines)).sum(-1)
    return outline.radius * relative, outline.radius * slope


def test_depth_within_a_circle_is_the_distance_from_it():
    circle = Outline(row=10, column=12, radius=7, cosines=(), sines=())
    depth = circle.depth(24)
    assert depth.dtype == np.float32
    assert depth[10, 12] == 7
    assert depth[10, 19] == 0
    assert depth[13, 16] == pytest.approx(2)
    assert depth[10, 22] == pytest.approx(-3)


def test_depth_is_the_formula_in_float64():
    rows, columns = np.mgrid[:64, :64]
    down, right = rows - WAVY.row, columns - WAVY.column
    radius, slope = radius_and_slope(WAVY, np.arctan2(down, right))
    expected = (radius - np.hypot(down, right)) / np.hypot(1, slope / radius)
    # Depths of up to 40 pixels in float32, with a phase of each harmonic.
    np.testing.assert_allclose(WAVY.depth(64), expected, atol=1e-4)


def test_the_target_is_the_polygon_of_the_curve():
    angles = np.linspace(0, 2 * np.pi, 20_000)
    radius, _ = radius_and_slope(WAVY, angles)
    polygon = Path(np.stack([WAVY.row + radius * np.sin(angles), WAVY.column + radius * np.cos(angles)], axis=-1))
    rows, columns = np.mgrid[:64, :64]
    inside = polygon.contains_points(np.stack([rows.ravel(), columns.ravel()], axis=-1)).reshape(64, 64)
    assert inside.sum() > 900
    assert ((WAVY.depth(64) > 0) == inside).all()


def test_drawn_outlines_are_regular_enough_and_within_the_image():
    parts = [draw_outlines(np.random.default_rng(seed), 64) for seed in range(100)]
    angles = np.linspace(0, 2 * np.pi, 500)
    satellites = 0
    for lesion, *others in parts:
        assert radius_and_slope(lesion, angles)[0].min() > 0.3 * lesion.radius
        mask = lesion.depth(64) > 0
        assert 0.05 < mask.mean() < 0.5
        satellites += len(others)
        assert all(part.radius < 0.2 * lesion.radius for part in others)
    assert 40 < satellites < 100
    again, *_ = draw_outlines(np.random.default_rng(3), 64)
    assert again.cosines == parts[3][0].cosines
