import dataclasses

import numpy as np
import pytest

from jaxkd.data.images.scenes import thermal
from jaxkd.data.images.scenes.conditions import SURROUNDINGS
from jaxkd.data.images.scenes.figures import MATERIALS, draw_figure

EXACT = dataclasses.replace(SURROUNDINGS["day"], machines=(10, 10), unevenness=(1.5, 1.5))


def test_clothes_are_between_skin_and_air_and_machines_above_it():
    for ambient in (0.0, 20.0, 34.0, 36.0):
        for seed in range(5):
            excess = dict(
                zip(MATERIALS, thermal.draw_temperatures(np.random.default_rng(seed), EXACT, ambient), strict=True)
            )
            body = 34 - ambient
            assert excess["skin"] == pytest.approx(0.85 * body)
            for material in ("top", "trousers"):
                assert 0.3 * abs(body) <= abs(excess[material]) <= 0.55 * abs(body)
                assert excess[material] * body >= 0
            assert (excess["engine"], excess["paint"], excess["glass"]) == pytest.approx((10, 3, -1.5))
            assert excess["nothing"] == 0


def test_the_background_is_uneven_by_the_condition_and_hardly_follows_the_light():
    rng = np.random.default_rng(0)
    albedo = rng.uniform(0.2, 0.6, size=(96, 128, 1)).astype(np.float32).repeat(3, -1)
    below = np.repeat([0, 1], 48).astype(np.float32)
    correlations = []
    for seed in range(40):
        field = thermal.draw_background(np.random.default_rng(seed), albedo, below, EXACT)
        assert field.dtype == np.float32
        assert field.mean() == pytest.approx(0, abs=1e-4)
        assert field.std() == pytest.approx(1.5, rel=1e-4)
        correlations.append(np.corrcoef(field.ravel(), albedo[..., 0].ravel())[0, 1])
    # Up to a half, of either sign, against a field of variance of some 0.5 and the step at the horizon.
    assert max(np.abs(correlations)) < 0.8
    assert min(correlations) < -0.1
    assert max(correlations) > 0.1
    assert abs(np.mean(correlations)) < 0.2


def test_a_figure_has_its_temperatures():
    field = np.full((40, 60), 2, np.float32)
    figure = draw_figure(np.random.default_rng(0), "car", 2.0, 1)
    box = np.array([10, 10, 50, 30], np.float32)
    thermal.add_figure(field, figure, box, np.full(len(MATERIALS), 7, np.float32))
    assert (field[22, 15:45] == 7).all()
    assert (field[:9] == 2).all()
    assert (field[:, :9] == 2).all()
    assert (field >= 2).all()
    assert (field <= 7).all()


def test_heaters_are_warm_as_machines_are():
    rises, counts = [], []
    for seed in range(30):
        field = np.zeros((96, 128), np.float32)
        thermal.add_heaters(field, np.random.default_rng(seed), EXACT)
        assert (field >= 0).all()
        rises.append(field.max())
        counts.append((field > 2).mean())
    warm = np.array([rise for rise in rises if rise])
    assert 0 < len(warm) < 30
    assert warm.min() > 3
    assert warm.max() < 20
    assert max(counts) < 0.15


def test_a_degree_is_six_grey_levels():
    field = np.zeros((60, 60), np.float32)
    field[:, 30:] = 5
    image = thermal.sense(field, np.random.default_rng(0))
    assert image.dtype == np.uint8
    # The mean of 1,500 pixels, whose noise is at most 3.
    assert image[:, 35:].mean() - image[:, :25].mean() == pytest.approx(30, abs=0.5)
    assert 1 < image[:, :25].std() < 3.5
    assert (thermal.sense(field + 100, np.random.default_rng(0)) == 255).all()
