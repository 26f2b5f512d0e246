import math

import pytest

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.report import StageReport, cells
from jaxkd.report.stages import all_counts, by_label
from jaxkd.training.recipe import Count
from tests.report.studies import AGREEMENT, TOKENS, study


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (1.14159, "1.142"),
        (0.1, "0.100"),
        (0.01234, "0.0123"),
        (-0.02, "-0.0200"),
        (0.09999, "0.100"),
        (0.0, "0.000"),
        (183211.0, "183,211"),
        (2.0, "2.000"),
        (math.nan, "not finite"),
    ],
)
def test_a_number_is_short(value, text):
    assert cells.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (59.94, "59.9 s"), (60.0, "1 min 0 s"), (3599.6, "1 h 0 min"), (9000.0, "2 h 30 min")],
)
def test_a_duration_has_two_units(seconds, text):
    assert cells.duration(seconds) == text


def test_the_cells_of_a_model():
    teacher, _, sft, _ = by_label(study(), BITS_PER_BYTE)
    ((name, trained_tokens),) = cells.trained_on([TOKENS])
    assert name == "answer tokens\ntrained on"
    assert [cell(sft) for cell in (cells.seeds, cells.steps, trained_tokens, cells.training_time)] == [
        "1.140  1.150",
        "4",
        "400",
        "2.0 s",
    ]
    assert {cell(teacher) for cell in (cells.seeds, cells.steps, trained_tokens, cells.training_time)} == {"–"}


def test_a_column_without_a_figure_is_left_out():
    models = by_label([StageReport(name="a", label="a", metrics={"reference_kl/kl": 0.02})], BITS_PER_BYTE)
    columns = [("headline", cells.headline), ("by seed", cells.seeds), *cells.named(AGREEMENT)]
    assert [(name, cell(models[0])) for name, cell in cells.filled(columns, models)] == [("KL to teacher", "0.0200")]


def test_methods_that_count_other_things_have_a_column_each():
    rows = [{"step": 1, "count/targets": 90, "count/images": 8}, {"step": 2, "count/targets": 110, "count/images": 8}]
    images = Count(name="images", word="images", column="images\ntrained on")
    models = by_label(
        [
            StageReport(name=label, label=label, metrics={}, history=rows, counted=counted)
            for label, counted in (("language", TOKENS), ("vision", images), ("dynamics", None))
        ],
        BITS_PER_BYTE,
    )
    assert all_counts(models) == [TOKENS, images]
    columns = cells.filled(cells.trained_on(all_counts(models)), models)
    assert [(name, [cell(model) for model in models]) for name, cell in columns] == [
        ("answer tokens\ntrained on", ["200", "–", "–"]),
        ("images\ntrained on", ["–", "16", "–"]),
    ]


def test_steps_that_were_not_logged_count():
    rows = [{"step": 10, "count/targets": 90, "seconds": 9.0}, {"step": 20, "count/targets": 110, "seconds": 1.0}]
    rows.append({"step": 30, "count/targets": 100, "seconds": 1.0})
    (model,) = by_label([StageReport(name="kd", label="kd", metrics={}, history=rows, counted=TOKENS)], BITS_PER_BYTE)
    ((_, trained_tokens),) = cells.trained_on([TOKENS])
    assert trained_tokens(model) == "3,000"
    assert cells.training_time(model) == "30.0 s", "the first step compiles"
