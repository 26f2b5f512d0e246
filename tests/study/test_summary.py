"""The summary of evaluations that lie on disk; tests/test_train.py has studies that ran."""

import dataclasses
import json

import pytest

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.several_teachers import SeveralTeachers
from jaxkd.recipes.uld import ULD
from jaxkd.study import Study
from jaxkd.study.study import stage_folder
from jaxkd.study.summary import _method, write_summary
from jaxkd.training import Evaluation, Stage
from jaxkd.training.results.forecast import Forecast
from jaxkd.training.stage_folder import write_evaluations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured(Stage):
    """A stage that has run."""

    def validate(self):
        """Nothing to refuse."""

    def run(self, folder, *, seed, stages):
        """Nothing to do."""

    def provenance(self):
        return "measured"


def evaluations(error):
    scored = Evaluation(metrics={"rollout_error": error}, keys=("a", "b"))
    return {"rollout_error": scored, "field_error": Evaluation(metrics={"field_error": 2 * error})}


def summarise(folder, measured, headline=ROLLOUT_ERROR):
    stages = tuple(Measured(name=name, label=name) for name in measured)
    study = Study(name="s", title="", description="", stages=stages, headline=headline)
    for stage in stages:
        where = stage_folder(folder, stage, 0)
        where.mkdir()
        write_evaluations(where, measured[stage.name])
    return write_summary(study, folder)


def test_the_summary_has_the_headlines_name(tmp_path, capsys):
    summary = summarise(tmp_path, {"teacher": evaluations(0.01), "student": evaluations(0.02)})
    assert summary["rollout_error"] == {"teacher": 0.01, "student": 0.02}
    assert summary["rollout_error_by_seed"] == {"teacher": {0: 0.01}, "student": {0: 0.02}}
    assert summary["other_metrics_by_seed"]["field_error/field_error"] == {"teacher": {0: 0.02}, "student": {0: 0.04}}
    assert summary["records"] == {"teacher": 2, "student": 2}
    assert summary["comparisons"] == []
    assert not {"bits_per_byte", "answers"} & set(summary)
    assert json.loads((tmp_path / "summary.json").read_text())["rollout_error"] == summary["rollout_error"]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["model", "error", "/", "standard", "deviation", "error", "of", "the", "field"]
    assert lines[2] == ["student", "0.0200", "0.0400"]
    assert "Error of forecasts of held-out records" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("evaluator", ["rollout_error", "drawn"])
def test_forecasts_are_shown_whichever_evaluator_has_them(tmp_path, evaluator):
    forecast = Forecast(
        key="spring 3", names=("x",), times=(0.0, 1.0), measured=((1.0,), (2.0,)), forecast=((1.0,), (2.1,))
    )
    measured = evaluations(0.1)
    figures = measured.get(evaluator, Evaluation(metrics={}))
    summarise(tmp_path, {"student": measured | {evaluator: dataclasses.replace(figures, forecasts=(forecast,))}})
    page = (tmp_path / "report.html").read_text()
    assert "What they forecast" in page
    assert "spring 3" in page


@pytest.mark.parametrize("headline", [BITS_PER_BYTE, ROLLOUT_ERROR])
def test_a_stage_without_the_headlines_figure_is_left_out(tmp_path, headline):
    bits = Evaluation(metrics={"bits_per_byte": 1.0}, keys=("a",))
    measured = {"language": {"bits_per_byte": bits}, "dynamics": evaluations(0.1)}
    expected = {"bits_per_byte": {"language": 1.0}, "rollout_error": {"dynamics": 0.1}}
    assert summarise(tmp_path, measured, headline)[headline.metric] == expected[headline.metric]


def test_a_method_is_named_with_what_it_wraps(tiny):
    cross = tiny.cross(ULD)
    assert _method(tiny.logit_kd()) == "LogitKD"
    assert _method(OnPolicy(recipe=cross)) == "OnPolicy (ULD)"
    assert _method(SeveralTeachers(recipes=(tiny.logit_kd(), tiny.dskd()))) == "SeveralTeachers (LogitKD, DSKD)"
