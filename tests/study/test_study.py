"""A study of vector fields whose headline is better higher, stages at their seeds, and studies that are refused."""

import dataclasses
import html
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxkd.evals import Headline
from jaxkd.evals.headline import AVERAGE_PRECISION, ROLLOUT_ERROR
from jaxkd.recipes.fnode import FNODE
from jaxkd.runtime import configs, metric_writer
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.sharding import MeshShape
from jaxkd.study import Evaluate, Study, TrainedModel, run_study, runs
from jaxkd.study.results.summary import write_summary
from jaxkd.training import Evaluation, Evaluator, ModelSource, Optimizer, Stage
from jaxkd.training.stage import referenced_stages
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vector_fields import Network
from tests.tiny_dynamics import CLEAN, NOISY, train, truth


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs(Evaluator):
    """Share of the samples at which the first state moves in the true direction."""

    split: str

    @property
    def name(self):
        return "signs"

    def __call__(self, model):
        states = CLEAN.trajectories(self.split).states.reshape(-1, 2)
        signs = [np.sign(jax.vmap(lambda y, field=field: field(0.0, y))(states))[:, 0] for field in (model, truth())]
        right = (signs[0] == signs[1]).astype(float)
        return Evaluation(
            metrics={"right": right.mean()},
            keys=tuple(map(str, range(len(right)))),
            per_example={"right": tuple(right.tolist())},
        )


RIGHT = Headline(
    metric="right",
    evaluator="signs",
    title="Right directions",
    unit="share of the samples",
    examples="samples",
    better="higher",
    numerator="right",
)


def trained(**changes):
    recipe = FNODE(data=NOISY, field=Network(width=4, depth=1), rows=32)
    fields = {
        "name": "learnt",
        "label": "learnt",
        "optimizer": Optimizer(learning_rate=0.2, schedule="constant"),
        "evaluate_every": 2,
        "save_every": 2,
        "keep_best": "right",
        "better": "higher",
        "validation": (Signs(split="validation"),),
        "evaluators": (Signs(split="test"),),
    }
    return train(recipe, **fields | changes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Known(ModelSource):
    """The true field: neither a checkpoint nor a run."""

    def validate(self):
        """Nothing to refuse."""

    def provenance(self):
        return "known"

    def load_model(self):
        return truth()


def evaluated(name, model, evaluator=None):
    evaluators = (evaluator or Signs(split="test"),)
    return Evaluate(name=name, label=name, model=model, evaluators=evaluators, mesh=MeshShape(data=1))


def study(*stages, **changes):
    return Study(
        **{"name": "signs", "title": "Signs", "description": "", "stages": stages, "headline": RIGHT} | changes
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a study and its summary."""
    workdir = tmp_path_factory.mktemp("signs")
    stages = (trained(), evaluated("again", TrainedModel(run="stage:learnt")), evaluated("known", Known()))
    with jax.enable_x64(True):
        one = study(*stages, comparisons=(("learnt", "known"), ("again", "learnt")))
        run_study(one, workdir)
        return workdir, write_summary(one, workdir)


def test_the_best_checkpoint_is_the_highest_and_evaluated(ran):
    workdir, summary = ran
    run = workdir / "learnt/0"
    scores = {row["step"]: row["validation/right"] for row in metric_writer.read(run) if "validation/right" in row}
    best = max(scores, key=scores.__getitem__)
    assert scores[best] > min(scores.values()), "or the two directions choose the same"
    assert {path.name for path in (run / "checkpoints").iterdir()} == {str(best), "4"}
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.record(4)["better"] == "higher"
    with jax.enable_x64(True):
        model = runs.model(run)
        assert Signs(split="validation")(model).metrics["right"] == scores[best]
        assert Signs(split="test")(model).metrics["right"] == summary["right"]["learnt"]


def test_the_report_says_that_higher_is_better(ran):
    workdir, summary = ran
    first, _ = summary["comparisons"]
    assert (first["metric"], first["unit"], first["better"]) == ("right", "share of the samples", "higher")
    assert first["estimate"] == pytest.approx(summary["right"]["learnt"] - 1)
    assert first["high"] < 0
    assert first["sentence"].startswith(f"learnt is worse than known by {-first['estimate']:.3f} share of the samples")
    page = html.unescape((workdir / "report.html").read_text())
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "Right directions higher is better" in text
    assert "difference in share of the samples; above 0 the first is better" in page
    assert "the same samples under both models, resampled" in text


def test_the_result_of_a_run_is_evaluated_like_the_run(ran):
    workdir, summary = ran
    assert summary["right"]["again"] == summary["right"]["learnt"]
    assert read_evaluations(workdir / "again/0") == read_evaluations(workdir / "learnt/0")
    assert summary["comparisons"][1]["estimate"] == 0
    stored = configs.load(workdir / "again/0/config.json")
    assert stored.model == TrainedModel(run="stage:learnt")
    assert stored.model.provenance() == "trained by stage:learnt"


def test_a_run_of_another_study_is_evaluated_where_it_lies(ran, tmp_path):
    folder = str(ran[0] / "learnt/0")
    model = TrainedModel(run=folder)
    assert model.double_precision
    assert model.provenance() == f"Network of x, v, from 3 records of SimulatedTrajectories, trained by {folder}"
    stage = evaluated("elsewhere", model)
    assert not stage.seeded
    with pytest.raises(ValueError, match=r"run must be trained in float32 .* got .*learnt/0 in float64. Set JAX"):
        stage.validate()
    with jax.enable_x64(True):
        run_study(study(stage), tmp_path)
    assert read_evaluations(tmp_path / "elsewhere") == read_evaluations(ran[0] / "learnt/0")
    with pytest.raises(ValueError, match="run must be the folder of a training run, with config.json and checkpoints"):
        run_study(study(evaluated("gone", TrainedModel(run=str(tmp_path)))), tmp_path / "study")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made(Stage):
    """A file for each seed."""

    @property
    def seeded(self):
        return True

    def validate(self):
        """Nothing to refuse."""

    def provenance(self):
        return "made"

    def run(self, folder, *, seed, stages):
        folder.mkdir(parents=True)
        (folder / "file").write_text(str(seed))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number(ModelSource):
    """The number in the file."""

    folder: str

    def validate(self):
        """Nothing to refuse."""

    def provenance(self):
        return "a number"

    def load_model(self):
        return float((Path(self.folder) / "file").read_text())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Itself(Evaluator):
    """The number that a model is."""

    @property
    def name(self):
        return "signs"

    def __call__(self, model):
        return Evaluation(metrics={"right": model}, keys=("a", "b"))


def test_a_model_that_a_stage_trains_is_evaluated_at_each_seed(tmp_path):
    stages = (
        Made(name="made"),
        evaluated("each", Number(folder="stage:made"), Itself()),
        evaluated("once", Number(folder=str(tmp_path / "made/2")), Itself()),
    )
    two = study(*stages, seeds=(2, 3))
    run_study(two, tmp_path)
    assert write_summary(two, tmp_path)["right_by_seed"] == {"once": {2: 2.0}, "each": {2: 2.0, 3: 3.0}}


def test_a_stage_alone_is_refused_where_one_that_it_reads_has_not_run(tmp_path):
    two = study(Made(name="made"), evaluated("each", Number(folder="stage:made"), Itself()), seeds=(2, 3))
    run_study(dataclasses.replace(two, seeds=(2,)), tmp_path, only="made")
    message = "only='each' must name a stage whose earlier stages have run, got one that reads 'made', and .*made/3 is"
    with pytest.raises(ValueError, match=message):
        run_study(two, tmp_path, only="each")
    assert not (tmp_path / "each").exists(), "or seed 2 was evaluated first"
    run_study(dataclasses.replace(two, seeds=(2,)), tmp_path, only="each")
    assert (tmp_path / "each/2").exists()


def test_a_metric_that_the_evaluator_does_not_measure_is_refused_with_those_that_it_does(tmp_path):
    one = study(Made(name="made"), evaluated("each", Number(folder="stage:made"), Itself()))
    run_study(one, tmp_path)
    message = r"headline.metric must be a metric of signs, got 'left'. .*each/0 has right. Name one of them: nothing"
    with pytest.raises(ValueError, match=message):
        write_summary(dataclasses.replace(one, headline=dataclasses.replace(RIGHT, metric="left")), tmp_path)


def test_the_stages_that_a_config_names_are_found_wherever_they_stand():
    model = Number(folder="stage:made")
    assert referenced_stages((model, ("stage:other", "made"), Number(folder="here"))) == {"made", "other"}
    assert referenced_stages(None) == referenced_stages(Number(folder="here")) == frozenset()


def test_comparisons_need_columns():
    pairs = (("a", "b"),)
    stages = (evaluated("a", Known()), evaluated("b", Known()))
    assert study(*stages, comparisons=pairs, headline=ROLLOUT_ERROR).comparisons == pairs
    assert study(*stages, comparisons=pairs, headline=AVERAGE_PRECISION).comparisons == pairs, (
        "it has none, but matches"
    )
    without = Headline(metric="loss", title="", unit="")
    message = "comparisons must be empty where the headline names no columns, got 1 with loss. Name its numerator, from"
    with pytest.raises(ValueError, match=message):
        study(*stages, comparisons=pairs, headline=without)


def test_the_best_checkpoint_is_that_of_the_headline():
    with pytest.raises(
        ValueError, match="better must be 'higher' in 'learnt', as in the headline, got 'lower' with keep"
    ):
        study(trained(better="lower"))
    assert study(trained(keep_best="loss", better="lower")).stages[0].better == "lower"
