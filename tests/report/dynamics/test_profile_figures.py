import re
import xml.etree.ElementTree as ElementTree

import pytest

from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.report.dynamics import profile_figures
from jaxkd.report.stages import Model
from jaxkd.training.results.forecast import Forecast
from tests.report.studies import wave


def model(label="kd", color=0):
    return Model(label=label, color=color, stages=(), headline=ROLLOUT_ERROR)


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter("text")]


@pytest.mark.parametrize(("samples", "panels"), [(11, 6), (2, 2)])
def test_a_panel_a_time_with_a_curve_a_model(samples, panels):
    svg = profile_figures.profiles([(model(), wave(samples)), (model("SFT", 1), wave(samples))])
    for color in (0, 1):
        found = re.findall(rf'<path d="([^"]+)"[^>]*stroke: var\(--series-{color},', svg)
        assert sum(path.count("L") > 3 for path in found) == panels
    assert [text for text in texts(svg) if text.startswith("at ")][-1] == "at 1"
    assert texts(svg).count("s") == panels
    assert "#fe00" not in svg
    assert not re.search(r"(fill|stroke): #", svg)


def test_a_forecast_that_diverged_is_drawn_as_far_as_it_goes():
    svg = profile_figures.profiles([(model(), wave(length=5)), (model("SFT", 1), wave(quantities=("s", "r")))])
    assert "kd, diverges at 0.5" in texts(svg)
    label = ElementTree.fromstring(svg).get("aria-label")
    assert label == "s of wave over place at 6 times: measured, kd, diverges at 0.5, SFT"


def test_names_that_are_not_of_the_places_are_refused():
    rows = ((0.0, 1.0, 2.0),)
    with pytest.raises(ValueError, match="names must be one a place for each quantity, got 3 for 2 places in 'k'"):
        Forecast(key="k", names=("a", "b", "c"), times=(0.0,), measured=rows, forecast=rows, places=(0.0, 0.5))
