import dataclasses
import html
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from jaxkd.dynamics import Check
from jaxkd.report.dynamics import discovery_figures
from jaxkd.report.dynamics.discovery_page import write_discovery
from jaxkd.report.dynamics.discovery_text import significant
from tests.report.discoveries import discovered
from tests.report.test_page import parse

FIGURES = ("forecasts", "phase", "slopes", "paths", "remainders")
NBSP = "\N{NO-BREAK SPACE}"


def write(folder, found):
    path = folder / "out" / "report.html"
    write_discovery(path, found)
    return path.read_text(encoding="utf-8")


def drawn(found, *names):
    """Figures by themselves."""
    return {name: getattr(discovery_figures, name)(found) for name in names}


def on(page):
    """The figures of a page."""
    return dict(zip(FIGURES, re.findall(r"<svg.*?</svg>", page, re.DOTALL), strict=True))


def texts(svg):
    return ["".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter("text")]


def with_shown(found, **changes):
    return dataclasses.replace(found, shown=dataclasses.replace(found.shown, **changes))


def diverging(found, state=0):
    """As soon as half of the time has passed."""
    forecast = found.shown.forecast.copy()
    half = len(forecast) // 2
    forecast[half - 3 : half, state] *= 1e3, 1e99, 1e250
    forecast[half:] = np.inf
    forecast[half + 1 :] = np.nan
    return with_shown(found, forecast=forecast, low=np.where(np.isfinite(forecast), found.shown.low, np.nan))


@pytest.fixture
def undrawn(monkeypatch):
    """Leave figures out of pages, for tests of their text: drawing takes nearly all of the time."""
    for name in FIGURES:
        monkeypatch.setattr(discovery_figures, name, lambda found: "<svg></svg>")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report"), discovered())


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    parser = parse(page)
    assert len(set(parser.ids)) == len(parser.ids)
    assert not {"script", "link", "img", "iframe"} & set(parser.tags)
    for request in ("http:", "https:", "@import", "src=", "url(h", "url(//"):
        assert request not in page


@pytest.mark.parametrize(
    ("coverage", "said"),
    [
        (
            0.87,
            f"In 10 simulations of these equations with this noise, in which they were looked for again, 87{NBSP}% of",
        ),
        (0.6, "<strong>Intervals not calibrated at this noise</strong>: in 10 simulations of"),
        (np.nan, "<strong>Intervals not calibrated</strong>: simulations of the equations diverge."),
        (None, "How often such intervals hold what is true was not tried."),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_how_often_intervals_hold_is_said(tmp_path, coverage, said):
    assert said in write(tmp_path, discovered(states=1, coverage=coverage))


def test_the_sections_stand_in_the_order_of_what_they_are_worth(page):
    headings = re.findall(r"<h[12]>(.*?)</h[12]>", page)
    assert headings == [
        "Prey and predators",
        "Equations",
        "Can I trust this model?",
        "See for yourself",
        "Take it along",
    ]
    assert page.count("<figure>") == len(FIGURES)


def test_the_page_says_what_was_found(page):
    text = " ".join(" ".join(parse(page).text).split())
    for part in ("3 files", "60 each", "dprey/dt = 1.234 prey - 0.5 x y", "run-4.csv"):
        assert part in text
    assert r"\dot{prey} &= 1.234 \, prey" in text
    assert "def vector_field(prey, predators): return [1.2341 * prey]" in text
    assert "Command python -m jaxkd.discover runs/*.csv" in text


def test_the_table_has_a_row_a_term(page):
    found = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]
    rows = [[html.unescape(cell) for cell in row] for row in found]
    assert rows[0] == ["equation", "term", "coefficient", f"90{NBSP}% interval", "chosen in", "unit"]
    assert rows[1] == ["dprey/dt", "prey", "1.234", "1.200 to 1.300", f"98{NBSP}% of draws", "1/s"]
    assert rows[2] == ["x y", "−0.5000", "–", "given", "–"]
    assert rows[3][0] == "dpredators/dt"
    assert len(rows) == 5


def test_without_units_there_are_no_brackets_and_no_column(tmp_path):
    page = write(tmp_path, discovered(units=False))
    assert ">unit</th>" not in page
    for svg in on(page).values():
        assert "[" not in "".join(texts(svg))


def test_checks_differ_in_more_than_colour(page, undrawn, tmp_path):
    assert page.count("✓") == 2
    assert "✗" not in page
    worse = Check(question="Is a state hidden?", found="the past explains 0.3", bar="at most 0.005", holds=False)
    none = Check(question="Is it stable?", found="there is no equation", bar="all", holds=None)
    page = write(tmp_path, discovered(checks=(*discovered().checks, worse, none)))
    assert (page.count("✓"), page.count("✗")) == (2, 1)
    assert '<span class="mark" role="img" aria-label="fails">✗</span>' in page
    assert '<span class="mark" role="img" aria-label="open">–</span>' in page
    text = " ".join(" ".join(parse(page).text).split())
    assert "Is a state hidden? the past explains 0.3 (to hold: at most 0.005)" in text


def test_the_verdict_comes_first(page, undrawn, tmp_path):
    assert page.index("Equations found for all.") < page.index("Equations</h2>")
    assert '<div class="verdict holds">' in page
    verdict = ("No equation found for prey, because of & in it; try more.",)
    checks = [dataclasses.replace(check, holds=None) for check in discovered().checks]
    found = discovered(verdict=verdict, missing=("prey",), checks=tuple(checks))
    page = write(tmp_path, with_shown(found, unseen=False))
    assert '<div class="verdict fails">' in page
    assert "No equation found for prey, because of &amp; in it; try more." in page
    text = " ".join(" ".join(parse(page).text).split())
    assert "Of run-4.csv, which the equations were found on , from its first sample on" in text
    assert "LaTeX" not in text
    assert "def vector_field" not in text


def test_text_is_escaped(tmp_path):
    evil = "<script>alert('&\"')</script> $x$"
    found = discovered(
        states=1,
        title=evil,
        facts={evil: evil},
        time=evil,
        states_named=(evil,),
        equations=evil,
        latex=evil,
        python=evil,
        command=evil,
        warnings=("<b>careful</b>",),
    )
    found = dataclasses.replace(
        found,
        units={evil: evil},
        terms=tuple(dataclasses.replace(term, term=evil, unit=evil) for term in found.terms),
        checks=tuple(Check(question=evil, found=evil, bar=evil, holds=holds) for holds in (True, False)),
    )
    page = write(tmp_path, with_shown(found, source=evil))
    assert not {"script", "b"} & set(parse(page).tags)
    assert evil not in page
    assert "&lt;b&gt;careful&lt;/b&gt;" in page
    assert "alert(&#39;&amp;&#34;&#39;)" in page, "text of the page"
    assert "alert(&#x27;&amp;&quot;&#x27;)" in page, "a description in a drawing"
    assert page.index("Warnings</h2>") < page.index("See for yourself</h2>")


def test_a_report_replaces_the_one_before_and_is_the_same_for_the_same_data(tmp_path, page):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("the one before" * 100_000)
    assert write(tmp_path, discovered()) == page
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


@pytest.mark.parametrize("states", [1, 2, 5, 8])
def test_figures_are_xml_with_theme_colours_and_a_panel_a_state(states, tmp_path):
    found = discovered(states=states)
    page = write(tmp_path, found)
    assert ("The first 6 of 8 states are drawn." in page) == (states == 8)
    for name, svg in on(page).items():
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert "#fe00" not in svg, "a placeholder colour was left"
        assert not re.search(r"(fill|stroke): #", svg)
        if name != "phase":
            assert all(state in root.get("aria-label") for state in found.states[:6])
            assert not any(state in root.get("aria-label") for state in found.states[6:])


def test_axes_have_units_of_values_and_of_rates():
    figures = drawn(discovered(size=2e6), "forecasts", "phase", "slopes")
    assert {"prey [10⁶ kg]", "predators [10⁶ kg]", "t [s]"} <= set(texts(figures["forecasts"]))
    assert {"prey [10⁶ kg]", "predators [10⁶ kg]"} <= set(texts(figures["phase"]))
    assert {"dprey/dt [10⁶ kg/s]", "t [s]"} <= set(texts(figures["slopes"]))
    assert "dprey/dt [kg/s]" in texts(drawn(discovered(states=1), "phase")["phase"])


def test_derivatives_of_second_order_and_of_logarithms_have_their_names(tmp_path):
    found = discovered(states=2, states_named=("theta", "log x"), order=2)
    found = dataclasses.replace(found, units={"t": "s", "theta": "rad"})
    page = html.unescape(write(tmp_path, found))
    assert {"d2theta/dt2 [rad/s²]", "d2(log x)/dt2 [1/s²]"} <= set(texts(on(page)["slopes"]))
    assert "second derivatives of the curves" in page
    assert "<h3>Second derivatives" in page
    for rate in ("d2theta/dt2", "d2(log x)/dt2"):
        assert f'<th scope="rowgroup" rowspan="2">{rate}</th>' in page
    single = drawn(dataclasses.replace(discovered(states=1), order=2), "phase")["phase"]
    assert "dprey/dt [kg/s]" in texts(single)


@pytest.mark.parametrize("states", [1, 3])
def test_a_forecast_that_diverges_ends_there_and_says_so(states, tmp_path):
    found = diverging(discovered(states=states))
    page = write(tmp_path, found)
    parse(page)
    svg = on(page)["forecasts"]
    said = [text for text in texts(svg) if text.startswith("diverges at")]
    assert said == ["diverges at 10.17"] * states
    assert "prey: diverges at 10.17" in svg
    assert "e+" not in svg, "what is far outside is not drawn there"


def test_no_forecast_at_all(tmp_path):
    found = discovered()
    nothing = np.full_like(found.shown.forecast, np.nan)
    found = with_shown(found, forecast=nothing, low=nothing, high=nothing)
    found = dataclasses.replace(found, remainder=np.full_like(found.remainder, np.nan))
    page = write(tmp_path, found)
    parse(page)
    for name in ("forecasts", "remainders"):
        assert texts(on(page)[name]).count("no forecast") == 2


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1e12, 1e30])
def test_numbers_of_any_size_have_short_labels(size, tmp_path):
    page = write(tmp_path, discovered(states=2, size=size))
    parse(page)
    for svg in on(page).values():
        ticks = [text for text in texts(svg) if re.fullmatch(r"[−\d.e]+", text)]
        assert ticks
        assert max(len(tick) for tick in ticks) <= 5


@pytest.mark.parametrize("value", [0.0, 101_325.0, -1e-7])
def test_a_state_that_does_not_move(value, tmp_path):
    found = discovered()
    still = dict.fromkeys(("measured", "forecast", "low", "high"), value)
    still |= dict.fromkeys(("slopes", "left_hand_sides", "right_hand_sides"), 0.0)
    arrays = {}
    for name, constant in still.items():
        arrays[name] = getattr(found.shown, name).copy()
        arrays[name][:, 1] = constant
    remainder, noise = found.remainder.copy(), found.noise.copy()
    remainder[..., 1] = noise[1] = 0.0
    found = dataclasses.replace(with_shown(found, **arrays), remainder=remainder, noise=noise)
    page = write(tmp_path, found)
    parse(page)
    assert "no noise; at most 0 kg is left" in texts(on(page)["remainders"])


def test_samples_that_are_missing_and_nothing_to_compare_with(tmp_path):
    found = discovered(training=(), paths=(), checks=(), terms=())
    measured, slopes = found.shown.measured.copy(), found.shown.slopes.copy()
    measured[::7, 0] = slopes[:2] = np.nan
    page = write(tmp_path, with_shown(found, measured=measured, slopes=slopes, left_hand_sides=slopes))
    parse(page)
    assert "How many terms" not in page
    assert '<div class="verdict fails">' in page
    assert "thin lines" not in page


def test_a_long_trajectory_is_drawn_with_some_of_its_samples():
    few, many = (drawn(discovered(samples=samples), "forecasts")["forecasts"] for samples in (400, 4_000))
    assert "measured, one of 10 samples" in texts(many)
    assert "measured" in texts(few)
    assert len(many) < 2 * len(few)


def test_the_chosen_candidate_is_named_and_errors_of_nothing_are_drawn():
    path, *_ = discovered().paths
    svg = drawn(discovered(), "paths")["paths"]
    assert texts(svg).count("4 terms") == 2
    assert "prey has 4 terms with an error of 0.011" in svg
    for errors in (np.zeros(8), np.full(8, np.nan), np.geomspace(1, 1e-12, 8), np.r_[path.errors[:4], np.zeros(4)]):
        drawn(discovered(paths=(dataclasses.replace(path, errors=errors),)), "paths")
    one = dataclasses.replace(path, terms=np.array([1]), errors=np.array([0.3]), deviations=np.array([0.4]), chosen=0)
    assert "1 term" in texts(drawn(discovered(paths=(one,)), "paths")["paths"])


def test_a_remainder_far_beyond_the_noise_is_counted():
    remainder = discovered().remainder.copy()
    remainder[..., 0] = 100.0
    svg = drawn(discovered(remainder=remainder), "remainders")["remainders"]
    assert "0 % within ±2" in texts(svg)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.5, "1.500"),
        (-0.5, "−0.5000"),
        (12.3456, "12.35"),
        (999.96, "1000"),
        (123456.0, "123500"),
        (0.00123456, "0.001235"),
        (0.000123456, "1.235e−4"),
        (-1.5e12, "−1.500e12"),
        (float("nan"), "–"),
    ],
)
def test_a_coefficient_has_four_digits(value, text):
    assert significant(value) == text
