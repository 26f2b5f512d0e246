import dataclasses

import numpy as np
import pytest

from jaxkd.data.images.scenes import visible
from jaxkd.data.images.scenes.conditions import SURROUNDINGS
from jaxkd.data.images.scenes.figures import MATERIALS, draw_figure

CLEAR = dataclasses.replace(
    SURROUNDINGS["day"], light=(0.64, 0.64), haze=(0, 0), visible_noise=(0, 0), visible_blur=(0.01, 0.01)
)
DARK = np.zeros((60, 80), np.float32)
GREY = np.full((60, 80, 3), 0.25, np.float32)


def seen(albedo=GREY, headlights=DARK, shift=(0.0, 0.0), **changes):
    surroundings = dataclasses.replace(CLEAR, **changes)
    return visible.illuminate(albedo, headlights, np.random.default_rng(0), surroundings, shift)


def test_what_is_seen_is_the_root_of_albedo_times_light():
    image = seen()
    assert image.dtype == np.uint8
    # 255 sqrt(0.25 0.64) in the middle, and a gradient of at most 0.15 times 2/3 to either side.
    assert image[:, 40].mean() == pytest.approx(102, abs=1.5)
    assert abs(image.astype(int) - 102).max() <= 0.5 * 0.1 * 102 + 1
    assert seen(light=(0.04, 0.04))[:, 40].mean() == pytest.approx(25.5, abs=1)


def test_haze_takes_its_share_of_the_contrast():
    albedo = GREY.copy()
    albedo[:, 40:] = 0.81
    clear, hazy = ((seen(albedo, haze=(share, share)) / 255.0) ** 2 for share in (0, 0.5))
    steps = [image[:, 42:60].mean() - image[:, 20:38].mean() for image in (clear, hazy)]
    assert steps[1] / steps[0] == pytest.approx(0.5, abs=0.02)


def test_noise_has_its_deviation_and_blur_its_width():
    noisy = seen(visible_noise=(6, 6)).astype(float)
    assert (noisy - seen()).std() == pytest.approx(6, rel=0.05)
    albedo = GREY.copy()
    albedo[:, 40:] = 0.81
    steps = [np.abs(np.diff(seen(albedo, visible_blur=(blur, blur)).astype(int), axis=1)).max() for blur in (0.01, 2)]
    # An edge blurred by 2 pixels of 96 rows, 1.25 of 60, has a slope of 1 / (1.25 sqrt(2 pi)).
    assert steps[1] / steps[0] == pytest.approx(0.32, abs=0.05)


def test_lamps_light_what_is_below_and_move_with_the_image():
    dark = seen(light=(0.01, 0.01))
    lit = seen(light=(0.01, 0.01), lamps=(2, 2))
    assert lit.mean() > 1.5 * dark.mean()
    assert lit.max() > 200
    moved = seen(light=(0.01, 0.01), lamps=(2, 2), shift=(7.0, 4.0))
    np.testing.assert_array_equal(moved[4:, 7:], lit[:-4, :-7])
    shining = DARK.copy()
    shining[30, 40] = 1
    # Vehicles have their lights on where there are street lamps.
    assert seen(light=(0.01, 0.01), lamps=(0, 1), headlights=shining)[30, 40].max() > 200
    np.testing.assert_array_equal(seen(light=(0.01, 0.01), headlights=shining), dark)


def test_a_figure_has_its_colours_and_tells_its_lamps():
    canvas = GREY.copy()
    figure = draw_figure(np.random.default_rng(0), "car", 2.0, 1)
    colours = np.full((len(MATERIALS), 3), 0.5, np.float32)
    colours[MATERIALS.index("lamp")] = 0.75
    lamps = visible.add_figure(canvas, figure, np.array([10, 10, 70, 40], np.float32), colours)
    np.testing.assert_allclose(canvas[28, 20:60], 0.5, rtol=1e-5)
    assert (canvas[:9] == 0.25).all()
    row, column = np.unravel_index(lamps.argmax(), lamps.shape)
    # The light is at the front, which is on the right.
    assert column > 60
    assert lamps[row, column] == 1
    np.testing.assert_allclose(canvas[row, column], 0.75, rtol=1e-5)
    assert 0 < lamps.sum() < 30


def test_a_poster_is_a_figure_on_a_board():
    canvas = GREY.copy()
    figure = draw_figure(np.random.default_rng(0), "person", 0.4, 1)
    visible.add_poster(canvas, np.random.default_rng(1), figure, np.array([30, 15, 46, 55], np.float32))
    rows, columns = np.nonzero((canvas != 0.25).any(-1))
    # The board's border is from 0.08 to 0.2 of the width, 16, on every side.
    assert 1 <= 30 - columns.min() <= 4
    assert 1 <= columns.max() + 1 - 46 <= 4
    assert 1 <= 15 - rows.min() <= 4
    assert (canvas[rows.min() + 1 : 15, 32:44] == canvas[rows.min() + 1, 32]).all()
    assert abs(canvas[15:55, 30:46] - canvas[rows.min() + 1, 32]).max() > 0.1


def test_colours_are_shares_of_light():
    colours = np.stack([visible.draw_albedo(np.random.default_rng(seed)) for seed in range(200)])
    assert colours.dtype == np.float32
    assert (colours >= 0).all()
    assert (colours <= 0.95).all()
    tops = colours[:, MATERIALS.index("top")].mean(-1)
    # Backgrounds have an albedo of 0.4, more or less; clothes are mostly darker or brighter.
    assert ((tops < 0.2) | (tops > 0.55)).mean() > 0.95
    assert 0.4 < (tops < 0.2).mean() < 0.7
