import pytest

from jaxkd.sampling.degeneration import degeneration, repeated


def test_a_sequence_counts_from_its_second_time():
    assert repeated([5, 6, 7, 8, 5, 6, 7, 8]) == pytest.approx(1 / 5)
    assert repeated([1] * 10) == pytest.approx(6 / 7)
    assert repeated(range(100)) == 0


def test_a_text_without_a_sequence_repeats_nothing():
    assert repeated([1, 1, 1]) == repeated([]) == 0


def test_health_is_the_mean_over_answers():
    found = degeneration([[1, 2], [3, 3, 3, 3, 3]], [True, False])
    assert found == {"length": 3.5, "ended": 0.5, "repeated": pytest.approx(0.25)}


def test_no_answers_are_healthy():
    assert degeneration([], []) == {"length": 0, "ended": 0, "repeated": 0}
