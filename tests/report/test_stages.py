import dataclasses
import math

import pytest

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.report.stages import StageReport, all_columns, all_counts, all_curves, best, by_label
from jaxkd.training.evaluator import Column
from jaxkd.training.recipe import Curve
from tests.report.studies import study


def test_stages_of_one_label_are_the_seeds_of_one_model():
    models = by_label(study(), BITS_PER_BYTE)
    assert [(model.label, len(model.stages)) for model in models] == [
        ("teacher", 1),
        ("untouched", 1),
        ("SFT", 2),
        ("distilled", 2),
    ]
    assert models[2].values() == pytest.approx((1.14, 1.15))
    assert models[2].mean() == pytest.approx(1.145)
    assert models[0].mean("nats_per_token") is None


def test_only_models_that_were_trained_have_a_colour():
    assert [model.color for model in by_label(study(), BITS_PER_BYTE)] == [None, None, 0, 1]


def test_the_best_is_the_lowest_of_those_that_were_trained():
    models = by_label(study(), BITS_PER_BYTE)
    assert best(models).label == "distilled"
    assert best(models[:3]) is None, "one trained model has nothing to be compared with"


def test_the_best_is_the_highest_where_that_is_better():
    higher = dataclasses.replace(BITS_PER_BYTE, better="higher")
    assert best(by_label(study(), higher)).label == "SFT"
    signs = [
        dataclasses.replace(stage, metrics={"bits_per_byte": -stage.metrics["bits_per_byte"]}) for stage in study()
    ]
    assert best(by_label(signs, higher)).label == best(by_label(study(), BITS_PER_BYTE)).label == "distilled"


def test_a_seed_that_is_not_finite_is_not_averaged_away():
    seeds = [
        StageReport(name="kd", label="kd", metrics={"bits_per_byte": value}, history=[{"step": 1}], seed=seed)
        for seed, value in enumerate((1.0, math.nan))
    ]
    (model,) = by_label(seeds, BITS_PER_BYTE)
    assert math.isnan(model.mean())
    assert not model.is_scored()
    assert best([model, *by_label(study(), BITS_PER_BYTE)]).label == "distilled"


def test_models_are_ranked_by_the_headline():
    stages = [
        StageReport(
            name=name, label=name, metrics={"bits_per_byte": bits, "rollout_error": error}, history=[{"step": 1}]
        )
        for name, bits, error in (("a", 1.0, 0.2), ("b", 2.0, 0.1))
    ]
    assert best(by_label(stages, BITS_PER_BYTE)).label == "a"
    models = by_label(stages, ROLLOUT_ERROR)
    assert best(models).label == "b"
    assert [(model.mean(), model.mean("bits_per_byte")) for model in models] == [(0.2, 1.0), (0.1, 2.0)]


def test_a_series_leaves_out_rows_without_the_metric():
    rows = [{"step": 1, "a": 2.0}, {"step": 2, "b": 1.0}, {"step": 3, "a": math.nan}, {"step": 4, "a": 3}]
    stage = StageReport(name="n", label="n", metrics={}, history=rows)
    assert stage.series("a") == ((1.0, 4.0), (2.0, 3.0))
    assert stage.series("c") == ((), ())


def test_a_row_without_a_step_is_refused():
    with pytest.raises(ValueError, match=r"history must have 'step' in each row, got \{'a': 1.0\} in row 1 of 'kd'"):
        StageReport(name="kd", label="kd", metrics={}, history=[{"step": 1}, {"a": 1.0}])


def test_no_stages_are_refused():
    with pytest.raises(ValueError, match=r"stages must hold at least one StageReport, got none"):
        by_label([], BITS_PER_BYTE)


def test_the_first_name_of_a_metric_counts_and_the_order_is_that_of_the_models():
    curves = Curve(metric="gap", title="First"), Curve(metric="b"), Curve(metric="gap", title="Second")
    columns = Column(metric="x/a", name="first"), Column(metric="x/b", name="b"), Column(metric="x/a", name="second")
    models = by_label(
        [
            StageReport(name="1", label="1", metrics={}, curves=curves[:1], columns=columns[:1]),
            StageReport(name="2", label="2", metrics={}, curves=curves[1:], columns=columns[1:]),
        ],
        BITS_PER_BYTE,
    )
    assert all_curves(models) == list(curves[:2])
    assert all_columns(models) == list(columns[:2])
    assert all_counts(models) == []
