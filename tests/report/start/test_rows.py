"""Numbers of the table of measures, as they are read."""

import dataclasses

import pytest

from jaxkd.evals.start_comparison import Finding
from jaxkd.report.start.rows import findings, groups
from tests.report.studies import AGAINST, difference, measured


def rows(*measures):
    return groups(dataclasses.replace(AGAINST, measures=measures))


def test_a_measure_has_a_row_for_its_start_and_each_model():
    attack, distance, end, refusal = groups(AGAINST)
    assert (attack.name, attack.unit) == ("attack success", "%, n = 100")
    assert [(row.label, row.value, row.difference, row.verdict, row.is_clear) for row in attack.rows] == [
        ("untouched", "91.2", "", "", False),
        ("SFT", "12.5", "−78.7 (−84.0 to −71.2)", "better than its start", True),
        ("distilled", "94.3", "+3.1 (−0.4 to 6.6)", "not distinguishable from its start", False),
    ]
    assert [(row.value, row.difference, row.verdict) for row in distance.rows] == [
        ("0.000", "", ""),
        ("12.250", "+12.2 (10.1 to 14.5)", "worse than its start"),
        ("–", "–", ""),
    ]
    assert [(row.value, row.difference, row.verdict, row.is_clear) for row in end.rows] == [
        ("1.0", "", "", False),
        ("62.0", "+61.0", "no interval; finding", True),
        ("1.0", "0.0", "no interval", False),
    ]
    assert (refusal.unit, [(row.value, row.verdict) for row in refusal.rows]) == (
        "%",
        [("–", "not measured"), ("–", ""), ("–", "")],
    )


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.0, 0.0, 0.0), "0.000 (0.000 to 0.000)"),
        ((123.4, -0.2, 1234.5), "+123 (0 to 1234)"),
        ((-0.0123, -0.02, 0.001), "−0.0123 (−0.0200 to 0.0010)"),
        ((1.5, 0.5, 2.5), "+1.50 (0.50 to 2.50)"),
        ((-1e-9, -2e-9, 1e-9), "0.000000 (0.000000 to 0.000000)"),
    ],
)
def test_three_digits_of_the_largest_end_are_shown(ends, text):
    (group,) = rows(measured("KL", 1.0, difference("SFT", 1.0, ends), unit="nats"))
    assert group.rows[1].difference == text


def test_what_is_not_finite_is_said():
    broken = dataclasses.replace(difference("SFT", float("nan")), difference=float("nan"))
    for unit in ("%", "nats"):
        (group,) = rows(measured("KL", 1.0, broken, unit=unit))
        assert (group.rows[1].value, group.rows[1].difference) == ("not finite", "not finite")


def test_findings_are_told_by_model_with_what_tells_them_apart():
    assert findings(AGAINST) == [("SFT", ["seed 0, 1: 62.0% have one end"]), ("distilled", [])]
    (one,) = AGAINST.findings
    single = dataclasses.replace(one, seeds=(0,))
    assert findings(dataclasses.replace(AGAINST, findings=(single,)))[0] == ("SFT", ["62.0% have one end"])
    other = Finding(label="distilled", evaluator="harmful", metric="loops", text="It loops.", seeds=(0,))
    assert findings(dataclasses.replace(AGAINST, findings=(single, other))) == [
        ("SFT", ["open: 62.0% have one end"]),
        ("distilled", ["harmful: It loops."]),
    ]
    assert findings(dataclasses.replace(AGAINST, findings=(), searched=())) == []
