import math

import pytest

from jaxkd.training.early_stopping import stop_step, validated


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ([3.0, 2.0, 1.0], 1, None),
        ([3.0, 2.0, 2.0], 1, 3),  # as good is no better
        ([3.0, 2.0, 2.5, 2.1, 1.0], 2, 4),
        ([3.0, 2.0, 2.5, 1.0, 2.0], 2, None),
        ([math.nan, math.nan, 1.0], 2, 2),
        ([3.0, math.nan, 2.0], 2, None),
        ([], 1, None),
    ],
)
def test_it_stops_after_so_many_validations_without_a_new_best(values, patience, expected):
    by_step = dict(enumerate(values, 1))
    assert stop_step(by_step, patience=patience, better="lower") == expected
    assert stop_step(dict(reversed(by_step.items())), patience=patience, better="lower") == expected
    negated = {step: -value for step, value in by_step.items()}
    assert stop_step(negated, patience=patience, better="higher") == expected


def test_validations_are_read_from_a_log():
    rows = [{"step": 1, "train/loss": 2.0}, {"step": 1, "validation/loss": 3.0}, {"step": 2, "validation/other": 1.0}]
    assert validated(rows, "loss") == {1: 3.0}
