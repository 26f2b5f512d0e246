import dataclasses
import html
import math
import re
from html.parser import HTMLParser

import pytest

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.report import StageReport, write_report
from jaxkd.report.page import _fact
from jaxkd.training.evaluator import Column
from jaxkd.training.recipe import Count, Curve
from jaxkd.training.results.evaluation import LearntEquation
from tests.report.studies import (
    BETTER,
    CURVES,
    UNCLEAR,
    dynamics,
    forecast,
    history,
    picture,
    samples,
    study,
    wave,
)

VOID = {"meta", "br"}


class Balanced(HTMLParser):
    """Fails on a tag that closes what is not open, and keeps the text and the ids."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.ids, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def write(folder, stages=None, **changes):
    arguments = {
        "title": "Ten layers",
        "headline": BITS_PER_BYTE,
        "description": "One paragraph\nin two lines.\n\nAnother.",
        "summary": {
            "answers": {"SFT": 412, "distilled": 412},
            "seconds": 200.4,
            "peak_memory_gb": 6.31,
            "seed": [0, 1],
        },
        "stages": study() if stages is None else stages,
        "comparisons": [BETTER, UNCLEAR],
        "command": "python -m jaxkd.train --config configs/x.py",
        "config_text": '{"name": "x"}',
    }
    path = folder / "out" / "report.html"
    write_report(path, **(arguments | changes))
    return path.read_text(encoding="utf-8")


def parse(page):
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report"))


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    parser = parse(page)
    assert len(set(parser.ids)) == len(parser.ids)
    assert not {"script", "link", "img", "iframe"} & set(parser.tags)
    for request in ("http:", "https:", "@import", "src=", "url(h", "url(//"):
        assert request not in page


def test_the_page_says_what_the_study_found(page):
    text = " ".join(" ".join(parse(page).text).split())
    assert "Ten layers" in text
    assert "One paragraph in two lines." in text
    assert "Distilled is better than SFT by 0.060 bits per byte" in text
    assert "Distilled and teacher are not distinguishable" in text
    assert "1.140 1.150" in text, "each seed is shown"
    assert "layers 0 3 6" in text
    assert "python -m jaxkd.train --config configs/x.py" in text
    assert '{"name": "x"}' in text
    for fact in ("answers 412", "wall time 3 min 20 s", "peak memory 6.3 GB", "seed 0, 1"):
        assert fact in text


def test_every_curve_of_the_history_is_shown(page):
    for title in (
        "Validation split",
        "Cross entropy",
        "Divergence from the teacher",
        "Learning rate",
        "the same for all",
    ):
        assert title in page
    assert page.count("<figure>") == 6
    assert "running mean" not in page
    assert "nats a token, log axis" in page


def test_equations_stand_below_the_true_ones(tmp_path):
    equations = (
        LearntEquation(state="x", learnt="1.5 x - 0.99 x y", truth="1.5 x - x y"),
        LearntEquation(state="y", learnt="<b>"),
    )
    first, *others = dynamics()
    stages = [first, *(dataclasses.replace(stage, equations=equations) for stage in others)]
    page = write(tmp_path, stages, comparisons=[], headline=ROLLOUT_ERROR)
    parser = parse(page)
    text = " ".join(" ".join(parser.text).split())
    assert "equation model right-hand side dx/dt true 1.5 x - x y student 1.5 x - 0.99 x y dy/dt student <b>" in text
    assert "b" not in parser.tags
    assert "The equations they learnt" not in write(tmp_path, dynamics(), comparisons=[], headline=ROLLOUT_ERROR)


def test_what_a_method_logs_besides_is_a_curve(tmp_path):
    rows = [
        row
        | {
            "train/t2s_divergence": 1.0,
            "train/known_pairs": 0.9,
            "train/diverged": 0.0,
            "train/loss": 3.0,
            "train/grad_norm": 2.0,
        }
        for row in history(1.0)
        if "train/cross_entropy" in row
    ]
    stages = [StageReport(name="s", label="ETA", metrics={"bits_per_byte": 1.0}, history=rows, curves=CURVES)]
    page = write(tmp_path, stages, comparisons=[])
    titles = [title.partition("<")[0] for title in re.findall(r"<figcaption><h3>(.*?)</h3>", page)]
    titles = [html.unescape(title) for title in titles]
    assert titles[1:] == ["Cross entropy", "Divergence in the student's space", "Known pairs", "Learning rate"]
    assert 'space<span class="note">nats a token</span>' in html.unescape(page)


def test_a_unit_without_a_title_goes_with_the_metrics_own_name_behind_those_that_have_one(tmp_path):
    rows = [{"step": step, "train/gap": 1 / step, "train/cross_entropy": 2 / step} for step in (1, 2)]
    curves = (Curve(metric="gap", unit="mm"), Curve(metric="cross_entropy", title="Loss of the labels"))
    stages = [StageReport(name="s", label="s", metrics={"bits_per_byte": 1.0}, history=rows, curves=curves)]
    page = write(tmp_path, stages, comparisons=[])
    titles = re.findall(r"<figcaption><h3>(.*?)</h3>", page)[1:]
    assert titles == ["Loss of the labels", 'Gap<span class="note">mm</span>']


def test_the_method_of_a_model_is_named(tmp_path):
    stages = [
        StageReport(name="t", label="teacher", metrics={"bits_per_byte": 0.9}),
        StageReport(name="s", label="student", metrics={"bits_per_byte": 1.0}, method="LogitKD", history=history(1.0)),
    ]
    page = write(tmp_path, stages, comparisons=[])
    assert '<td data-column="method">LogitKD</td>' in page
    assert '<td data-column="method">–</td>' in page
    assert "method" not in write(tmp_path, stages[:1], comparisons=[]).partition("</thead>")[0].partition("<thead>")[2]


def test_a_metric_with_its_evaluators_name_is_named_once(tmp_path):
    metrics = {"bits_per_byte": 1.0, "field_error/field_error": 0.2, "samples/new_tokens": 7.0}
    page = write(tmp_path, [StageReport(name="s", label="s", metrics=metrics)], comparisons=[])
    assert '<th scope="col">field error</th>' in page
    assert '<th scope="col">samples, new tokens</th>' in page
    assert "field error, field error" not in page


def test_a_narrow_screen_gets_figures_and_tables_of_its_own(page):
    """At 400 pixels the text of a figure 720 points wide shrinks to half of its size; that of one 360 wide does not."""
    wide = re.findall(r'<div class="scroll page-wide"><svg [^>]*viewBox="0 0 (\d+)', page)
    narrow = re.findall(r'<div class="scroll narrow"><svg [^>]*viewBox="0 0 (\d+)', page)
    assert set(wide) == {"720"}
    assert narrow == ["360"] * len(wide)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    rules = page.partition("@media (max-width: 40rem) {")[2]
    assert ".scroll.page-wide { display: none; }" in rules
    assert ".scroll.narrow { display: block; }" in rules
    assert ".scroll.narrow > svg, .panels .scroll > svg { min-width: 0; }" in rules
    # A row of a table is a list there, whose names are those of the columns.
    assert "content: attr(data-column)" in rules
    assert page.count("<td>") == 0
    assert page.count('<table class="stacked">') == page.count("<table") == 2


def test_long_curves_are_smoothed_and_the_page_says_so(tmp_path):
    assert "running mean" in write(tmp_path, study(steps=100))


def test_samples_stand_side_by_side_in_the_order_of_the_models(page):
    article = page[page.index("<article>") : page.index("</article>")]
    order = ["def f(x):", "reference", "teacher", "the the", "return SFT", "return distilled"]
    places = [article.index(text) for text in order]
    assert places == sorted(places)


def test_a_source_that_models_share_is_named_once(page):
    assert page.count("layers 0 3 6") == 1
    assert "<dt>SFT, distilled</dt>" in page


def test_the_best_trained_model_is_marked_and_the_teacher_is_not(page):
    (row,) = [part for part in page.split("<tr ") if part.startswith('class="best"')]
    assert "distilled" in row


def test_a_headline_that_is_better_higher_turns_every_word_round(tmp_path, page):
    higher = dataclasses.replace(BITS_PER_BYTE, better="higher")
    comparisons = [dataclasses.replace(one, headline=higher) for one in (BETTER, UNCLEAR)]
    turned = write(tmp_path, headline=higher, comparisons=comparisons)
    for text, other in (
        ("lower is better", "higher is better"),
        ("Distilled is better than SFT by 0.060 bits per byte", "Distilled is worse than SFT by 0.060 bits per byte"),
        ("below 0 the first is better", "above 0 the first is better"),
    ):
        assert (text in page, other in page) == (True, False)
        assert (text in turned, other in turned) == (False, True)
    (row,) = [part for part in turned.split("<tr ") if part.startswith('class="best"')]
    assert "SFT" in row


def test_text_is_escaped(tmp_path):
    evil = "<script>alert('&\"')</script>"
    stages = [
        StageReport(
            name=evil,
            label=evil,
            metrics={"bits_per_byte": 1.0, evil: 2.0},
            history=history(1.0),
            samples=(*samples(evil), dataclasses.replace(samples("x")[0], prompt=evil, reference=evil)),
            forecasts=(forecast(evil, names=(evil, "y")),),
            pictures=(picture(evil, group=evil, note=evil),),
            curves=(Curve(metric="cross_entropy", title=evil, unit=evil),),
            counted=Count(name="targets", word="tokens", column=evil),
            columns=(Column(metric=evil, name=evil),),
            provenance=evil,
        )
    ]
    comparison = dataclasses.replace(BETTER, first=evil)
    page = write(
        tmp_path,
        stages,
        title=evil,
        description=evil,
        summary={evil: evil},
        comparisons=[comparison],
        command=evil,
        config_text=evil,
    )
    assert "script" not in parse(page).tags
    assert evil not in page
    assert "alert(&#39;&amp;&#34;&#39;)" in page, "text of the page"
    assert "alert(&#x27;&amp;&quot;&#x27;)" in page, "a description in a drawing"


def test_an_indented_first_line_stays_indented_and_an_empty_answer_is_said(tmp_path):
    stages = [
        StageReport(name="a", label="a", metrics={}, samples=samples("\n    return 1\n")),
        StageReport(name="b", label="b", metrics={}, samples=samples(" \n")),
        StageReport(name="c", label="c", metrics={}, samples=(dataclasses.replace(samples("x")[0], prompt="other"),)),
    ]
    page = write(tmp_path, stages, comparisons=[])
    assert "<pre>    return 1</pre>" in page
    assert "empty answer" in page
    assert page.count("not sampled") == 3


def test_a_study_of_one_model_has_no_empty_parts(tmp_path):
    page = write(tmp_path, [StageReport(name="t", label="teacher", metrics={"bits_per_byte": 0.85})], comparisons=[])
    parse(page)
    for heading in (
        "What was found",
        "How they were trained",
        "What they forecast",
        "What they see",
        "What they write",
        "Underlined",
        "by seed",
    ):
        assert heading not in page
    assert "How good the models are" in page


def test_a_study_of_dynamics_says_nothing_of_language(tmp_path):
    page = write(tmp_path, dynamics(), comparisons=[], headline=ROLLOUT_ERROR, summary={"records": {"student": 8}})
    text = " ".join(" ".join(parse(page).text).split())
    for part in (
        "records 8",
        "Error of forecasts of held-out records lower is better",
        "model error / standard deviation by seed error of the field steps time of the steps",
        "student 0.0415 0.0410 0.0420 0.0210 4 2.0 s",
        "Validation split error / standard deviation",
        "Error of the rates of change share of their standard deviation",
        "Error of short forecasts share of the standard deviation",
        "What they forecast Each model goes on from the first state of the record. spring",
        "measured equations student pendulum",
        "measured student, diverges at 6.897",
    ):
        assert part in text
    for word in ("bits", "byte", "answer", "token", "nats"):
        assert word not in text


def test_records_are_compared_in_their_own_unit(tmp_path):
    comparison = dataclasses.replace(BETTER, headline=ROLLOUT_ERROR)
    page = write(tmp_path, dynamics(), comparisons=[comparison], headline=ROLLOUT_ERROR)
    assert "Distilled is better than SFT by 0.060 error / standard deviation" in page
    assert "difference in error / standard deviation; below 0 the first is better" in page
    assert "the same records under both models, resampled" in page


def test_a_curve_of_one_dot_is_not_drawn(tmp_path):
    stage = StageReport(
        name="s",
        label="s",
        metrics={"rollout_error": 0.1},
        history=[{"step": step, "train/slope_error": 1 / step} for step in (1, 2)]
        + [{"step": 2, "validation/rollout_error": 0.1}],
    )
    page = write(tmp_path, [stage], comparisons=[], headline=ROLLOUT_ERROR)
    assert "<h3>Slope error</h3>" in page, "a metric without a name is titled by its own"
    assert "Validation split" not in page


def test_no_more_records_are_drawn_than_a_reader_takes_in(tmp_path):
    of = tuple(forecast(f"record {number}") for number in range(6))
    stages = [StageReport(name="s", label="s", metrics={"rollout_error": 0.1}, forecasts=of)]
    page = write(tmp_path, stages, comparisons=[], headline=ROLLOUT_ERROR)
    assert "These are the first 4 of 6 records." in page
    assert [number for number in range(6) if f"<h3>record {number}</h3>" in page] == [0, 1, 2, 3]


def test_records_with_places_are_drawn_over_them(tmp_path):
    stages = [StageReport(name="s", label="s", metrics={"rollout_error": 0.1}, forecasts=(wave(),))]
    text = write(tmp_path, stages=stages, comparisons=[], headline=ROLLOUT_ERROR)
    assert "s of wave over place at 6 times" in text
    assert "of 8 states" not in text


def test_states_that_are_not_drawn_are_said(tmp_path):
    of = (forecast(names=tuple("abcdefgh")),)
    stages = [StageReport(name="s", label="s", metrics={"rollout_error": 0.1}, forecasts=of)]
    assert "the first 6 of 8 states" in write(tmp_path, stages, comparisons=[], headline=ROLLOUT_ERROR)


def test_one_curve_alone_takes_the_whole_row(tmp_path):
    stages = [StageReport(name="s", label="SFT", metrics={"bits_per_byte": 1.0}, history=history(1.0))]
    page = write(tmp_path, stages, comparisons=[])
    assert "Divergence from the teacher" not in page
    assert '<div class="scroll"><svg' not in page


def test_a_figure_that_is_not_finite_is_said_and_not_drawn(tmp_path):
    stages = [
        *study(),
        StageReport(name="bad", label="broken", metrics={"bits_per_byte": math.nan}, history=[{"step": 1}]),
    ]
    page = write(tmp_path, stages)
    assert "not finite" in page
    assert "broken nan" not in page


def test_a_report_replaces_the_one_before_and_is_the_same_for_the_same_data(tmp_path, page):
    assert write(tmp_path) == write(tmp_path) == page
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_no_stages_are_refused(tmp_path):
    with pytest.raises(ValueError, match="stages must hold at least one StageReport, got none"):
        write(tmp_path, [])


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("seed", 0, "0"),
        ("seed", [0, 1, 2], "0, 1, 2"),
        ("tokens", 1_234_567, "1,234,567"),
        ("share", 0.123456, "0.1235"),
        ("device", "CPU", "CPU"),
        ("seconds", 200.4, "3 min 20 s"),
        ("peak_memory_gb", 6.31, "6.3 GB"),
        ("answers", {"a": 3, "b": 3}, "3"),
        ("answers", {"a": 3, "b": 4}, None),
        ("bits_per_byte", {"a": 1.5}, None),
        ("nested", {"a": {"0": 1.0}}, None),
        ("empty", {}, None),
        ("comparisons", [{"first": "a", "low": 0.1}], None),
        ("none", [], None),
        ("flag", True, None),
        ("nothing", None, None),
    ],
)
def test_a_fact_is_a_few_words_or_left_out(name, value, text):
    assert _fact(name, value) == text
