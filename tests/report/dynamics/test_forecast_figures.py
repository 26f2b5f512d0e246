import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.report.dynamics import forecast_figures
from jaxkd.report.stages import Model
from tests.report.studies import forecast

NAMES = ("x", "y", "z", "u", "v", "w", "seventh")


def model(label="kd", color=0):
    return Model(label=label, color=color, stages=(), headline=ROLLOUT_ERROR)


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter("text")]


def curves(svg, color):
    """Paths of lines in a colour of the palette, of those with more points than a legend's."""
    found = re.findall(rf'<path d="([^"]+)"[^>]*stroke: var\(--series-{color},', svg)
    return [path for path in found if path.count("L") > 3]


@pytest.mark.parametrize("states", [1, 2, 3, 7])
def test_a_figure_is_xml_that_loads_nothing_and_has_theme_colours_only(states):
    of = [(model(), forecast(names=NAMES[:states])), (model("SFT", 1), forecast(names=NAMES[:states], length=9))]
    svg = forecast_figures.forecast(of)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert "http" not in svg
    assert "#fe00" not in svg, "a placeholder colour was left"
    assert not re.search(r"(fill|stroke): #", svg)
    assert forecast_figures.forecast(of) == svg, "the same data draw the same figure"


@pytest.mark.parametrize(("states", "panels"), [(1, 1), (2, 3), (3, 4), (7, 7)])
def test_each_model_has_a_curve_a_state_and_one_in_the_phase_portrait(states, panels):
    names = NAMES[:states]
    svg = forecast_figures.forecast([(model(color=place), forecast(names=names)) for place in (0, 1)])
    assert [len(curves(svg, color)) for color in (0, 1, 2)] == [panels, panels, 0]
    assert set(names[: forecast_figures.STATES]) <= set(texts(svg))
    assert "seventh" not in texts(svg)


def test_models_are_named_and_so_is_where_one_diverges():
    of = [
        (model("equations", None), forecast()),
        (model("kd"), forecast(samples=11, length=4)),
        (model("SFT", 1), forecast(length=0)),
    ]
    svg = forecast_figures.forecast(of)
    keys = ["measured", "equations", "kd, diverges at 4", "SFT, no forecast"]
    assert [text for text in texts(svg) if text in keys] == keys
    assert ElementTree.fromstring(svg).get("aria-label") == f"x, y of spring: {', '.join(keys)}"


def test_a_forecast_far_from_what_was_measured_does_not_flatten_it():
    near = forecast()
    far = dataclasses.replace(near, forecast=tuple((1e200 * x, np.nan) for x, _ in near.forecast))
    svg = forecast_figures.forecast([(model(), near), (model("SFT", 1), far)])
    assert "10²" not in svg
    assert {"-1", "0", "1"} <= {text.replace("−", "-").removesuffix(".0") for text in texts(svg)}


def test_a_long_record_is_thinned_out():
    sizes = [len(forecast_figures.forecast([(model(), forecast(samples=count))])) for count in (2_000, 20_000)]
    assert sizes[1] < 1.5 * sizes[0]


def test_many_models_take_several_rows_of_the_legend_and_dashes():
    names = [f"a model with quite a long name, number {number}" for number in range(8)]
    svg = forecast_figures.forecast([(model(name, place), forecast()) for place, name in enumerate(names)])
    assert set(names) <= set(texts(svg))
    assert "stroke-dasharray" in svg
    few = forecast_figures.forecast([(model(), forecast())])
    heights = [float(re.search(r'viewBox="0 0 \S+ (\S+)"', one).group(1)) for one in (few, svg)]
    assert heights[0] < heights[1]


def test_names_are_drawn_as_they_are():
    evil = "<b>&amp; $x$</b>"
    svg = forecast_figures.forecast([(model(evil), forecast(evil, names=(evil[:8], "_y")))])
    assert {evil, evil[:8], "_y"} <= set(texts(svg))
    assert "<b>" not in svg
    assert "_hidden" in texts(forecast_figures.forecast([(model("_hidden"), forecast())]))
