"""Weights between a photograph and its disparity, beside NumPy and the figures that a study of them reported."""

import jax
import numpy as np
import pytest

from benchmarks.detection.motorcycle import DARK, read_motorcycle, rows, visible_weights
from jaxkd.vision.fusion import sobel_magnitude, ssim_map
from tests.vision.fusion import numpy_fusion

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(packaged_images):
    return read_motorcycle()


def test_the_pair(pair):
    assert pair.photograph.shape == pair.darkened.shape == (1, 500, 741, 3)
    filled = pair.disparity != pair.disparity.min()  # a pixel without a disparity has that of 0
    assert filled.mean() == pytest.approx(0.93, abs=0.005)


def test_weights_are_those_of_numpy(pair):
    for visible in (pair.photograph, pair.darkened):
        for edge_norm in ("l2", "none"):
            found = visible_weights(visible, pair.disparity, edge_norm)
            expected = numpy_fusion.shape_weights(visible, pair.disparity, edge_norm=edge_norm)[0, ..., 0]
            np.testing.assert_allclose(found, expected, atol=3e-4)


def test_figures_that_were_reported_come_out(packaged_images):
    assert [row.figure for row in rows() if not row.holds] == []


def test_figures_that_were_not_reported_so(pair):
    found = visible_weights(pair.photograph, pair.disparity, "none")
    # The study reports 0.25 to 0.75.
    assert [round(float(value), 3) for value in (found.min(), found.max())] == [0.295, 0.747]
    assert found[:, :DARK].mean() == pytest.approx(0.57, abs=0.005)


def test_similarities_are_near_one(pair):
    edges = [np.asarray(jax.jit(sobel_magnitude)(one)) for one in (pair.photograph, pair.disparity)]
    both = jax.lax.reduce_window(np.maximum(*edges), -np.inf, jax.lax.max, (1, 3, 3), (1, 1, 1), "SAME")
    target, *sides = (one / np.linalg.norm(one) for one in (np.asarray(both), *edges))
    found = np.stack([np.asarray(jax.jit(ssim_map)(target, one)) for one in sides])
    assert [round(float(value), 2) for value in (found.min(), found.max())] == [0.83, 1.0]
    assert found.mean() == pytest.approx(0.99, abs=0.006)
