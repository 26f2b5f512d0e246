"""Verdicts by the laboratory's rules, and its choice of trials, on made-up studies."""

import math

import numpy as np
import pytest

from benchmarks.laboratory import tuned, verdicts
from tests.benchmarks.made_up_study import points

ANSWERS = 40


def study(curves=None, **rows):
    """Rows by their mean bits per byte, one for each seed; answers have 8 bytes and differ much among one another."""
    random = np.random.default_rng(0).normal(0, 3, ANSWERS)
    return {
        "test_answers": {"keys": [str(n) for n in range(ANSWERS)], "bytes": [8] * ANSWERS},
        "nats_of_test_answers": {
            row: {str(seed): (random + 8 * math.log(2) * bits).tolist() for seed, bits in enumerate(seeds)}
            for row, seeds in rows.items()
        },
        "curves": {"bits_per_byte": curves or {}},
    }


def test_a_claim_holds_or_fails_where_its_interval_excludes_zero():
    kept = study(dskd=(1.5, 1.52, 1.51), kd=(1.6, 1.63, 1.62), sft=(1.4, 1.65))
    interval, seeds = verdicts.difference([kept], "dskd", "kd")
    assert seeds == ("0", "1", "2")
    assert interval.estimate == pytest.approx(-0.32 / 3)
    assert verdicts.verdict(interval) == "holds"
    assert verdicts.verdict(verdicts.difference([kept], "kd", "dskd")[0]) == "fails"
    undecided, seeds = verdicts.difference([kept], "dskd", "sft")
    assert seeds == ("0", "1")
    assert verdicts.verdict(undecided) == "not decided"


def test_rows_of_two_studies_are_paired_if_their_answers_are_the_same():
    first, second = study(dskd=(1.5, 1.5)), study(frozen=(1.4,))
    assert verdicts.difference([first, second], "frozen", "dskd")[0].estimate == pytest.approx(-0.1)
    second["test_answers"]["bytes"][0] = 9
    with pytest.raises(ValueError, match="frozen and dskd must be measured on the same answers, got two sets"):
        verdicts.difference([first, second], "frozen", "dskd")
    with pytest.raises(ValueError, match="a row must be in one of the studies, got 'kd'. Rows: dskd, frozen"):
        verdicts.difference([first, second], "kd", "dskd")
    with pytest.raises(ValueError, match="kd and sft must share a seed, got 0 and 1"):
        shifted = study(kd=(1.5,), sft=(1.5, 1.5))
        del shifted["nats_of_test_answers"]["sft"]["0"]
        verdicts.difference([shifted], "kd", "sft")


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        ((2.0, 1.8, 1.7, 1.69, 1.695), True),
        ((2.0, 1.8, 1.7, 1.7, 1.69), False),
        ((2.0, 1.8, 1.7, 1.6, 1.5, 1.5, 1.5, 1.5, 1.499, 1.498), True),
        ((2.0,), False),
    ],
)
def test_a_row_that_still_improves_decides_nothing(values, flat):
    kept = study(dskd=(1.5, 1.5), kd=(1.6, 1.6), curves={"dskd": {"0": points(*values)}, "kd": {"0": points(2, 2, 2)}})
    assert verdicts.plateaus(kept, "dskd") == {"0": flat}
    line = verdicts.table([kept], [("dskd", "kd")]).splitlines()[-1]
    assert line.endswith("| holds |" if flat else "| not decided: dskd still improves |")
    assert line.startswith("| `dskd` is better than `kd` | -0.100 | ")


def test_the_lowest_validation_chooses_a_trial():
    curves = {
        "dskdv2_0": {"100": points(1.9, 1.7, 1.8)},
        "dskdv2_2": {"100": points(1.9, 1.6)},
        "kd_1": {"100": points(1.5)},
    }
    kept = study(curves=curves)
    assert tuned.best(kept) == {"dskdv2": {0: 1.7, 2: 1.6}, "kd": {1: 1.5}}
    assert tuned.table(kept).splitlines()[2:] == [
        "| `dskdv2` | 1.700 | – | **1.600** | – |",
        "| `kd` | – | **1.500** | – | – |",
    ]
