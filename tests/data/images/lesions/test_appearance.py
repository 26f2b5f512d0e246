import dataclasses

import numpy as np
import pytest

from jaxkd.data.images.lesions.appearance import APPEARANCES, draw_hairs, draw_light, opacity, with_contrast


def test_each_level_is_worse_than_the_one_before_in_every_way():
    mild, moderate, severe = (dataclasses.asdict(APPEARANCES[level]) for level in ("mild", "moderate", "severe"))
    for better, worse in ((mild, moderate), (moderate, severe)):
        assert better["contrast"][0] > worse["contrast"][1]
        for name in ("softness", "hairs", "vignette", "gradient"):
            assert better[name][1] <= worse[name][0]


def test_opacity_is_one_half_on_the_outline_of_the_union():
    far, near = np.full((1, 5), -50, np.float32), np.array([[-4, -2, 0, 2, 1e6]], np.float32)
    expected = 1 / (1 + np.exp(np.array([[2, 1, 0, -1, -60]])))
    np.testing.assert_allclose(opacity([far, near], [0.5, 2]), expected, rtol=1e-6)
    assert opacity([near, near + 2], [2, 2])[0, 1] == 0.5


def test_contrast_is_that_of_the_opaque_pixels():
    rng = np.random.default_rng(0)
    skin = rng.uniform(150, 220, size=(8, 8, 3)).astype(np.float32)
    lesion = rng.uniform(60, 120, size=(8, 8, 3)).astype(np.float32)
    inside = rng.uniform(size=(8, 8)).astype(np.float32)
    changed, factor = with_contrast(skin, lesion, inside, 30)
    assert np.average((skin - changed).mean(-1), weights=inside) == pytest.approx(30, rel=1e-4)
    np.testing.assert_allclose(changed, skin + factor * (lesion - skin), rtol=1e-6)
    assert factor < 1
    # Colours that hardly differ are not stretched without end.
    _, most = with_contrast(skin, skin - 3, inside, 30)
    assert most == 2.5


def test_light_falls_towards_the_corners_and_along_a_direction():
    rng = np.random.default_rng(0)
    assert (draw_light(rng, 16, vignette=0, gradient=0) == 1).all()
    vignette = draw_light(rng, 128, vignette=0.4, gradient=0)
    assert vignette[64, 64] == pytest.approx(1, abs=1e-3)
    assert vignette[0, 0] == pytest.approx(0.6, abs=0.01)
    slope = draw_light(rng, 128, vignette=0, gradient=0.2)
    assert slope.mean() == pytest.approx(1, abs=1e-6)
    left, top = slope[64].max() - slope[64].min(), slope[:, 64].max() - slope[:, 64].min()
    assert np.hypot(left, top) == pytest.approx(0.4, rel=0.01)


def test_hairs_are_thin_and_more_of_them_cover_more():
    assert draw_hairs(np.random.default_rng(0), 64, 0).max() == 0
    few, many = (np.mean([draw_hairs(np.random.default_rng(s), 64, count) for s in range(10)]) for count in (2, 15))
    assert 0 < 4 * few < many < 0.3
    one = draw_hairs(np.random.default_rng(1), 64, 1)
    assert one.dtype == np.float32
    assert 0 < one.max() <= 1
    assert 0 < (one > 0).mean() < 0.06
