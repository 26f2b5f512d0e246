"""The summary of evaluations that lie on disk; tests/test_train.py has studies that ran."""

import dataclasses
import json
import re

import pytest

from jaxkd.evals import BITS_PER_BYTE, ReferenceKL
from jaxkd.evals.dynamics import FieldError
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.recipes.several_teachers import SeveralTeachers
from jaxkd.recipes.uld import ULD
from jaxkd.runtime import metric_writer
from jaxkd.study import Evaluate, Study
from jaxkd.study.results.summary import _method, write_summary
from jaxkd.study.study import stage_folder
from jaxkd.training import Evaluation, ModelSource
from jaxkd.training.results.forecast import Forecast
from jaxkd.training.stage_folder import write_evaluations
from tests.report.studies import picture
from tests.tiny_dynamics import NOISY


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nothing(ModelSource):
    """A model that is never loaded: its evaluations are written by hand."""

    def validate(self):
        """Nothing to refuse."""

    def load_model(self):
        raise AssertionError

    def provenance(self):
        return "measured"


def measured_stage(name):
    """A stage that has run."""
    return Evaluate(name=name, label=name, model=Nothing(), evaluators=(FieldError(data=NOISY),))


def evaluations(error):
    scored = Evaluation(metrics={"rollout_error": error}, keys=("a", "b"))
    return {"rollout_error": scored, "field_error": Evaluation(metrics={"field_error": 2 * error})}


def summarise(folder, measured, headline=ROLLOUT_ERROR):
    stages = tuple(map(measured_stage, measured))
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


def test_pictures_are_shown_whichever_evaluator_has_them(tmp_path):
    drawn = Evaluation(metrics={}, pictures=(picture("lesion 3", note="Dice .87"),))
    summarise(tmp_path, {"student": evaluations(0.1) | {"pictures": drawn}, "teacher": evaluations(0.2)})
    page = (tmp_path / "report.html").read_text()
    assert "What they see" in page
    assert 'aria-label="lesion 3: student, nothing; Dice .87"' in page


def test_a_trained_stage_brings_the_names_of_its_recipe_and_its_evaluators(tmp_path, tiny, capsys):
    """Columns of the headline's evaluator come first, on the page alone; others are found by EVALUATOR/METRIC."""
    reference = ReferenceKL(reference=tiny.teacher, data=tiny.text)
    stage = tiny.train(evaluators=(reference, tiny.bits_per_byte()))
    folder = stage_folder(tmp_path, stage, 0)
    folder.mkdir(parents=True)
    scored = Evaluation(metrics={"bits_per_byte": 1.5, "nats_per_token": 2.25}, keys=("a",))
    compared = Evaluation(metrics={"agreement": 0.25, "kl": 0.125, "tokens": 64.0})
    write_evaluations(folder, {"bits_per_byte": scored, "reference_kl": compared})
    with metric_writer.MetricWriter(folder, tensorboard=False) as writer:
        for step in (1, 2):
            writer.write(step, {"train/divergence": 3.0 / step, "count/targets": 50, "seconds": 1.0})
    write_summary(Study(name="s", title="", description="", stages=(stage,)), tmp_path)
    page = (tmp_path / "report.html").read_text()
    names = re.findall(r'<td data-column="([^"]+)">', page.partition("All metrics")[0])
    assert names == [
        *("bits per byte", "method", "nats per token", "agreement", "KL to teacher"),
        *("steps", "answer tokens trained on", "time of the steps"),
    ]
    assert '<h3>Divergence from the teacher<span class="note">nats a token' in page
    printed = capsys.readouterr().out.splitlines()[0]
    assert printed.split() == ["model", "bits", "per", "byte", "agreement", "KL", "to", "teacher", "steps"]


def test_the_headline_has_one_column(tmp_path):
    headline = dataclasses.replace(ROLLOUT_ERROR, metric="field_error", unit="relative error")
    summarise(tmp_path, {"student": {"field_error": Evaluation(metrics={"field_error": 0.2}, keys=("a",))}}, headline)
    assert "error of the field" not in (tmp_path / "report.html").read_text()


def test_a_method_is_named_with_what_it_wraps(tiny):
    cross = tiny.cross(ULD)
    assert _method(tiny.logit_kd()) == "LogitKD"
    assert _method(OnPolicy(recipe=cross)) == "OnPolicy (ULD)"
    assert _method(SeveralTeachers(recipes=(tiny.logit_kd(), tiny.dskd()))) == "SeveralTeachers (LogitKD, DSKD)"
