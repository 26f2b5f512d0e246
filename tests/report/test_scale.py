import numpy as np
import pytest

from jaxkd.report.scale import Scale, logarithmic
from jaxkd.report.svg import axes


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ([0.0, 5.0], "x [kg]"),
        ([-3e-7, 2e-7], "x [10⁻⁹ kg]"),
        ([0.0, 4e10], "x [10⁹ kg]"),
        ([1.7e9, 1.7e9 + 20], "x − 1,700,000,000 [kg]"),
        ([-5_000.0, -4_999.9], "x + 5,000 [kg]"),
        ([7.0, 7.0], "x [kg]"),
        ([np.nan, np.inf], "x [kg]"),
    ],
)
def test_what_all_values_share_is_in_the_name(values, label):
    scale = Scale.over(np.array(values))
    assert scale.label("x", "kg") == label
    places = scale.of(np.array([scale.low, scale.high]))
    assert places[0] < places[1]
    assert np.abs(places).max() < 1e5


def test_others_widen_an_axis_a_little():
    values = np.array([0.0, 1.0])
    assert Scale.over(values, np.array([1.3])).high == 1.3
    assert Scale.over(values, np.array([1e9])).high < 2
    assert Scale.over(np.array([np.nan]), np.array([2.0, 3.0])).low < 2


def test_places_are_finite_and_beyond_the_end_where_values_are():
    scale = Scale.over(np.array([0.0, 1.0]))
    places = scale.of(np.array([-1e300, 0.5, 1e300, np.nan]))
    assert places[0] < scale.low
    assert places[1] == 0.5
    assert places[2] > scale.high
    assert np.isnan(places[3])


@pytest.mark.parametrize(
    ("values", "ends", "ticks"),
    [
        ([0.3, 0.4], (0.2, 0.5), [0.2, 0.5]),
        ([0.2], (0.2, 0.5), [0.2, 0.5]),
        ([0.003, 0.9], (0.002, 1.0), [0.01, 0.1, 1.0]),
        ([1e-12, 1.0], (1e-12, 1.0), [1e-12, 1e-9, 1e-6, 1e-3, 1.0]),
        ([0.0, 3.0, np.nan], (2.0, 5.0), [2.0, 5.0]),
    ],
)
def test_a_logarithmic_axis_begins_and_ends_at_short_numbers(values, ends, ticks):
    _, drawn = axes(width=3, height=2, left=0.5, right=0, bottom=0.5, top=0)
    logarithmic(drawn, np.array(values))
    np.testing.assert_allclose(drawn.get_ylim(), ends)
    np.testing.assert_allclose(drawn.get_yticks(), ticks)


def test_nothing_positive_leaves_the_axis_linear():
    _, drawn = axes(width=3, height=2, left=0.5, right=0, bottom=0.5, top=0)
    logarithmic(drawn, np.array([0.0, np.nan]))
    assert drawn.get_yscale() == "linear"
