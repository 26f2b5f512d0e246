import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from jaxkd.report import figures, svg
from jaxkd.report.figures import Bar, Line
from tests.report.studies import BETTER, UNCLEAR


def line(values, label="kd", color=0):
    return Line(label=label, color=color, steps=tuple(range(1, len(values) + 1)), values=tuple(values))


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter("text")]


DRAWN = {
    "bars": lambda: figures.bars(
        [Bar(label="teacher", color=None, values=(0.85,)), Bar(label="a <b> & $c$", color=1, values=(1.0, 1.2))],
        title="Bits",
    ),
    "lines": lambda: figures.lines([line([3.0, 2.0, 1.5]), line([3.0, 2.5, 2.0], "SFT", 1)], description="by step"),
    "strip": lambda: figures.lines([line([1e-3, 5e-4, 0.0], "", None)], description="rate", size="strip"),
    "one value": lambda: figures.lines([line([2.0])], description="one"),
    "intervals": lambda: figures.intervals([BETTER, UNCLEAR]),
    "narrow": lambda: figures.intervals([BETTER, UNCLEAR], width=figures.NARROW),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_xml_that_loads_nothing_and_has_theme_colours_only(name):
    svg = DRAWN[name]()
    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert "width" not in root.attrib, "a fixed width would not shrink with the page"
    assert "http" not in svg
    assert "#fe00" not in svg, "a placeholder colour was left"
    assert not re.search(r"(fill|stroke): #", svg)
    assert DRAWN[name]() == svg, "the same data draw the same figure"


def test_ids_of_two_figures_differ():
    ids = [set(re.findall(r'id="([^"]+)"', DRAWN[name]())) for name in ("bars", "lines", "intervals", "narrow")]
    assert len(set().union(*ids)) == sum(map(len, ids))
    svg = DRAWN["lines"]()
    referred = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    assert referred <= set(re.findall(r'id="([^"]+)"', svg))


def test_bars_say_the_mean_of_the_seeds_and_the_name_as_it_is():
    assert texts(DRAWN["bars"]()) == ["teacher", "a <b> & $c$", "0.850", "1.100"]


def test_a_small_mean_has_three_digits():
    drawn = figures.bars([Bar(label="kd", color=0, values=(0.0123,))], title="Error")
    assert texts(drawn) == ["kd", "0.0123"]
    assert ElementTree.fromstring(drawn).get("aria-label") == "Error, by model: kd 0.0123"


def test_a_name_in_any_script_draws():
    assert "蒸留" in texts(figures.bars([Bar(label="蒸留", color=0, values=(1.0,))], title="Bits"))


def test_intervals_name_the_pair_and_the_difference():
    found = texts(DRAWN["intervals"]())
    assert {"distilled − SFT", "distilled − teacher", "−0.060", "+0.010"} <= set(found)
    assert {"distilled", "− SFT", "− teacher", "−0.060", "+0.010"} <= set(texts(DRAWN["narrow"]()))


def test_curves_are_named_once_at_their_end():
    found = texts(figures.lines([line([3, 2]), line([3, 1]), line([3, 2.5], "SFT", 1)], description="d"))
    assert found.count("kd") == found.count("SFT") == 1


@pytest.mark.parametrize("low", [0.2, 1e-2, 3e-3, 1e-5, 1e-9])
def test_a_logarithmic_axis_has_ticks_however_long_it_is(low):
    drawn = figures.lines([line(np.geomspace(1.0, low, 12).tolist(), label="")], description="rate", size="strip")
    marks = [float(text) for text in texts(drawn) if re.fullmatch(r"[\d.]+(e-\d+)?", text)]
    assert 2 <= sum(low / 10 <= mark <= 1 for mark in marks) <= 6, "more would overlap"


@pytest.mark.parametrize(
    ("values", "logarithmic"), [([1.0, 4.0], True), ([1.0, 3.9], False), ([0.0, 4.0], False), ([-1.0, 4.0], False)]
)
def test_the_axis_is_logarithmic_over_a_factor_of_four(values, logarithmic):
    assert figures.is_logarithmic([line(values)]) is logarithmic


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12.5, "12.5"), (0.02, "0.02"), (2.5e-4, "2.5e-4"), (1e-3, "1e-3"), (-1e-3, "-1e-3")],
)
def test_tick_labels_are_short(value, text):
    assert svg.short(value) == text


def test_names_that_would_overlap_move_apart_around_their_mean():
    np.testing.assert_allclose(figures._spread([0.1, 0.5, 0.52, 0.9], 0.1), [0.1, 0.46, 0.56, 0.9])
    np.testing.assert_allclose(figures._spread([0.5, 0.5, 0.5], 0.1), [0.4, 0.5, 0.6])
    np.testing.assert_allclose(figures._spread([0.0, 0.09, 0.17], 0.1), np.array([0.0, 0.1, 0.2]) - 0.04 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_names_never_overlap_and_keep_their_order(seed):
    places = sorted(np.random.default_rng(seed).uniform(0, 1, 8))
    spread = figures._spread(places, 0.1)
    assert (np.diff(spread) >= 0.1 - 1e-12).all()
    np.testing.assert_allclose(np.mean(spread), np.mean(places))


def test_names_stay_beside_the_curves():
    np.testing.assert_allclose(figures._inside([-0.3, -0.2, 0.5], 0.1), [0.0, 0.1, 0.5])
    np.testing.assert_allclose(figures._inside([0.5, 1.1, 1.2], 0.1), [0.5, 0.9, 1.0])
    assert figures._inside([-1.0, 2.0], 1.5) == [-1.0, 2.0]


def test_many_curves_are_told_apart_by_dashes_and_all_are_named():
    names = [f"model {number}" for number in range(13)]
    drawn = figures.lines([line([3, 2], name, number) for number, name in enumerate(names)], description="d")
    assert set(names) <= set(texts(drawn))
    few = figures.lines([line([3, 2], name, number) for number, name in enumerate(names[:6])], description="d")
    assert "stroke-dasharray" in drawn
    assert "stroke-dasharray" not in few


def test_the_running_mean_keeps_a_straight_line_and_short_curves():
    straight = np.arange(200.0)
    smooth = figures._running_mean(straight)
    np.testing.assert_allclose(smooth[:-2], straight[:-2])
    assert len(smooth) == 200
    short = np.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(figures._running_mean(short), short)


def test_the_running_mean_takes_the_noise_away():
    noise = np.random.default_rng(0).normal(size=2_000)
    assert figures._running_mean(noise)[50:].std() < 0.3
