"""Smoothed trajectories: SciPy's own without gaps, and each run by itself with them."""

import numpy as np
import pytest
from scipy.signal import savgol_filter

from jaxkd.geometry.views import savgol

FRAMES = 40


def trajectory(seed=0):
    rng = np.random.default_rng(seed)
    return np.sin(np.arange(FRAMES) / 6)[:, None, None] + 0.1 * rng.normal(size=(FRAMES, 4, 3))


def test_hand_values():
    # A line through 1, 2 and 6 has the mean 3 and the slope 2.5.
    np.testing.assert_allclose(savgol(np.array([1.0, 2, 6]), mask=np.ones(3, bool), window=3, order=1), [0.5, 3, 5.5])


def test_equals_scipy_without_gaps_keeps_polynomials_and_turns_with_time():
    values, mask = trajectory(), np.ones(FRAMES, bool)
    found = savgol(values, mask=mask)
    np.testing.assert_array_equal(found, savgol_filter(values, 9, 2, axis=0))
    np.testing.assert_allclose(savgol(values[::-1], mask=mask), found[::-1], atol=1e-12)
    assert np.std(np.diff(found, 2, axis=0)) < 0.3 * np.std(np.diff(values, 2, axis=0))
    curve = (np.arange(FRAMES) - 7.0) ** 2
    np.testing.assert_allclose(savgol(curve, mask=mask), curve, atol=1e-9)


def test_gaps_are_not_crossed_and_short_runs_stay_as_they_are():
    values, mask = trajectory(1), np.ones(FRAMES, bool)
    mask[[15, 20, 39]] = False
    values[~mask] = np.nan
    found = savgol(values, mask=mask)
    assert np.isnan(found).any(axis=(1, 2)).tolist() == (~mask).tolist()
    np.testing.assert_array_equal(found[16:20], values[16:20])
    for run in (slice(0, 15), slice(21, 39)):
        np.testing.assert_array_equal(found[run], savgol_filter(values[run], 9, 2, axis=0))
    assert np.isnan(savgol(values, mask=np.zeros(FRAMES, bool))).all()


def test_refuses_other_windows_and_masks():
    values, mask = trajectory(), np.ones(FRAMES, bool)
    for window, order in ((8, 2), (3, 3), (5, -1)):
        with pytest.raises(
            ValueError, match=r"window must be odd and greater than order, which is >= 0, got \d and -?\d"
        ):
            savgol(values, mask=mask, window=window, order=order)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_another_number_of_frames():
    with pytest.raises(
        ValueError, match=r"mask must hold one bool for each frame, got \(3,\) and a trajectory \(40, 4, 3\)"
    ):
        savgol(trajectory(), mask=np.ones(3, bool))
