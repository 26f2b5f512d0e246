import io

import pytest

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.report import StageReport, print_summary
from jaxkd.training.evaluator import Column
from tests.report.studies import AGREEMENT, BETTER, dynamics, study


def printed(stages, comparisons=(), headline=BITS_PER_BYTE):
    file = io.StringIO()
    print_summary(stages, comparisons, headline=headline, file=file)
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


def test_a_label_is_printed_as_it_is():
    stages = [StageReport(name="a", label="[bold]x[/bold] :smile:", metrics={"bits_per_byte": 1.0})]
    assert "[bold]x[/bold] :smile:" in printed(stages)


def test_it_prints_to_standard_output(capsys):
    print_summary(study(), [], headline=BITS_PER_BYTE)
    assert "distilled" in capsys.readouterr().out


def test_no_stages_are_refused():
    with pytest.raises(ValueError, match="stages must hold at least one StageReport, got none"):
        printed([])
