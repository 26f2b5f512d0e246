"""Discovered equations on the terminal."""

import dataclasses
import io
import re

import numpy as np
import pytest

from jaxkd.report.dynamics.discovery_terminal import print_discovery
from tests.report.discoveries import discovered

NBSP = "\N{NO-BREAK SPACE}"


def printed(found):
    file = io.StringIO()
    print_discovery(found, file=file)
    return file.getvalue().replace(NBSP, " ")


def test_the_verdict_comes_first_and_then_equations_with_intervals_and_units():
    lines = printed(discovered(warnings=("measured.csv: 2 rows left out.",))).splitlines()
    assert lines[:4] == ["Equations found for all.", "All 2 checks hold.", "", "dprey/dt = 1.234 prey - 0.5 x y"]
    header, first, second = (re.split(" {2,}", line.strip()) for line in lines[6:9])
    assert header == ["equation", "term", "coefficient", "90 % interval", "chosen in", "unit"]
    assert first == ["dprey/dt", "prey", "1.234", "1.200 to 1.300", "98 % of draws", "1/s"]
    assert second == ["x y", "−0.5000", "–", "given", "–"]
    assert "yes  Do they forecast?" in lines
    assert "     off by 0.04 of the standard deviation (bar: at most 0.1)" in lines
    assert lines[-1] == "warning: measured.csv: 2 rows left out."


def test_second_derivatives_are_named():
    lines = printed(discovered(states=1, states_named=("log x",), order=2)).splitlines()
    assert any(line.startswith("d2(log x)/dt2  ") for line in lines)


@pytest.mark.parametrize(
    ("coverage", "said"),
    [
        (0.87, "\nIn 10 simulations of these equations with this noise, in which they were looked for again, 87 % of"),
        (0.6, "\nIntervals not calibrated at this noise: in 10 simulations of"),
        (np.nan, "\nIntervals not calibrated: simulations of the equations diverge."),
        (None, "\nHow often such intervals hold what is true was not tried."),
    ],
)
def test_calibration_is_said_as_on_the_page(coverage, said):
    assert said in printed(discovered(coverage=coverage))


def test_a_check_without_a_subject_is_not_answered():
    checks = [dataclasses.replace(discovered().checks[0], holds=holds) for holds in (True, False, None)]
    lines = printed(discovered(checks=tuple(checks), terms=())).splitlines()
    assert [line.split()[0] for line in lines if line.endswith("Do they forecast?")] == ["yes", "no", "-"]
    assert not any("90 % interval" in line for line in lines)
    assert not any("simulations" in line for line in lines)
