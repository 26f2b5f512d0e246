import dataclasses
import io

import pytest

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.report import StageReport, print_summary
from jaxkd.training.evaluator import Column
from tests.report.studies import AGAINST, AGREEMENT, BETTER, END, dynamics, samples, study


def printed(stages, comparisons=(), headline=BITS_PER_BYTE, **options):
    file = io.StringIO()
    print_summary(stages, comparisons, headline=headline, file=file, **options)
    return file.getvalue()


def test_the_headline_has_a_row_a_model_and_a_sentence_a_comparison():
    lines = [line.split() for line in printed(study(), [BETTER]).splitlines()]
    assert lines[:5] == [
        ["model", "bits", "per", "byte", "by", "seed", "steps"],
        ["teacher", "0.850", "–", "–"],
        ["untouched", "5.200", "–", "–"],
        ["SFT", "1.145", "1.140", "1.150", "4"],
        ["distilled", "1.085", "1.080", "1.090", "4"],
    ]
    assert " ".join(word for line in lines[5:] for word in line) == str(BETTER)


def test_what_else_was_measured_is_a_column_each_and_nothing_is_none():
    figures = {"reference_kl/agreement": 0.5, "reference_kl/kl": 1.25, "samples/new_tokens": 7.0}
    stages = [
        StageReport(name="a", label="teacher", metrics={"bits_per_byte": 1.0}),
        StageReport(name="b", label="kd", metrics={"bits_per_byte": 1.5} | figures, columns=AGREEMENT),
    ]
    lines = [line.split() for line in printed(stages).splitlines()]
    assert lines[0] == ["model", "bits", "per", "byte", "agreement", "KL", "to", "teacher"]
    assert lines[1:3] == [["teacher", "1.000", "–", "–"], ["kd", "1.500", "0.500", "1.250"]]


def test_a_column_of_the_page_alone_is_left_out():
    columns = (*AGREEMENT[:1], Column(metric="nats_per_token", name="nats per token", on_terminal=False))
    figures = {"bits_per_byte": 1.0, "nats_per_token": 2.0, "reference_kl/agreement": 0.5}
    lines = printed([StageReport(name="a", label="kd", metrics=figures, columns=columns)]).splitlines()
    assert lines[0].split() == ["model", "bits", "per", "byte", "agreement"]


def test_the_headline_is_the_studys():
    lines = [line.split() for line in printed(dynamics(), headline=ROLLOUT_ERROR).splitlines()]
    assert lines[0][:5] == ["model", "error", "/", "standard", "deviation"]
    assert lines[2] == ["student", "0.0415", "0.0410", "0.0420", "0.0210", "4"]


def test_no_column_is_cut_in_a_file():
    columns = tuple(Column(metric=f"teacher/{number}", name=f"{number} to the teacher") for number in range(5))
    figures = {one.metric: 0.5 for one in columns} | {"bits_per_byte": 1.0}
    stages = [
        StageReport(name="a", label="a_student_with_a_long_name", metrics=figures, columns=columns, seed=seed)
        for seed in range(3)
    ]
    assert "…" not in printed(stages)


def test_models_beside_their_start_have_a_table_findings_and_answers():
    stages = [
        dataclasses.replace(stage, samples=samples(f"yes {END.text}"), shared_ends={"open": END})
        if stage.label == "SFT"
        else stage
        for stage in study()
    ]
    text = printed(stages, [BETTER], against=AGAINST)
    assert text.startswith(printed(stages, [BETTER]))
    lines = [line.strip() for line in text.removeprefix(printed(stages, [BETTER])).splitlines()]
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert cells[1] == ["beside untouched", "model", "value", "difference, 95 % interval", "in words"]
    assert cells[2:5] == [
        ["attack success (%, n = 100)", "untouched", "91.2"],
        ["SFT", "12.5", "−78.7 (−84.0 to −71.2)", "better than its start"],
        ["distilled", "94.3", "+3.1 (−0.4 to 6.6)", "not distinguishable from its start"],
    ]
    assert ["over-refusal (%)", "untouched", "–", "not measured"] in cells
    place = lines.index("SFT: seed 0, 1: 62.0% have one end")
    assert lines[place + 1] == "distilled: no finding"
    # The start comes first, before what the study has before it.
    assert lines[place + 2 :] == [
        "",
        "def f(x):",
        "untouched  the the",
        "teacher    return x",
        "SFT        yes ⟦Have a great day! :)⟧",
        "distilled  return distilled",
        "",
        "SFT: 62.0 % of its answers end with “Have a great day! :)”",
    ]


def test_a_narrow_terminal_cuts_no_number_of_the_table_of_measures():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    file = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("COLUMNS", "80"), ("TERM", "dumb"), ("NO_COLOR", "1")):
            patch.setenv(name, value)
        print_summary(study(), [], headline=BITS_PER_BYTE, against=AGAINST, file=file)
    text = file.getvalue()
    assert max(map(len, text.partition("beside")[2].partition("SFT: seed")[0].splitlines())) <= 80
    for number in ("91.2", "−78.7 (−84.0 to −71.2)", "+12.2 (10.1 to 14.5)", "+61.0"):
        assert number in text


def test_without_anything_looked_for_there_are_no_findings():
    none = dataclasses.replace(AGAINST, findings=(), searched=())
    assert "no finding" not in printed(study(), against=none)


def test_a_label_is_printed_as_it_is():
    stages = [StageReport(name="a", label="[bold]x[/bold] :smile:", metrics={"bits_per_byte": 1.0})]
    assert "[bold]x[/bold] :smile:" in printed(stages)


def test_it_prints_to_standard_output(capsys):
    print_summary(study(), [], headline=BITS_PER_BYTE)
    assert "distilled" in capsys.readouterr().out


def test_no_stages_are_refused():
    with pytest.raises(ValueError, match="stages must hold at least one StageReport, got none"):
        printed([])
