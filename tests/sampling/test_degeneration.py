import pytest

from jaxkd.sampling.degeneration import degeneration


def test_health_is_the_mean_over_answers():
    found = degeneration([[1, 2], [3, 3, 3, 3, 3]], [True, False])
    assert found == {"length": 3.5, "ended": 0.5, "repeated": pytest.approx(0.25)}


def test_no_answers_are_healthy():
    assert degeneration([], []) == {"length": 0, "ended": 0, "repeated": 0}
