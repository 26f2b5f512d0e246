"""Benchmarks that are stopped and go on."""

import dataclasses

import pytest

from benchmarks import environment, units
from benchmarks.row import Benchmark, Measured, Row
from benchmarks.runner import main

CALLS, FAILING = [], set()


@dataclasses.dataclass(frozen=True)
class Outcome:
    twice: int


def doubled(number):
    CALLS.append(number)
    if number in FAILING:
        raise ValueError("the lights went out")
    return Outcome(twice=2 * number)


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path))
    CALLS.clear()


def numbers(*failing):
    """A benchmark over 1, 2 and 3, or over 1 and 2 if quick."""
    FAILING.clear()
    FAILING.update(failing)

    def measure(quick):
        work = [(number,) for number in ((1, 2) if quick else (1, 2, 3))]
        rows = [Row(figure="twice", value=one.twice, unit="") for one in units.each("doubling", doubled, work)]
        return Measured(rows=tuple(rows), environment=environment.here())

    return [Benchmark(name="numbers", summary="", measure=measure)]


def test_without_a_benchmark_nothing_is_kept(tmp_path):
    FAILING.clear()
    for _ in range(2):
        assert units.each("doubling", doubled, [(1,), (2,)]) == [Outcome(2), Outcome(4)]
    assert CALLS == [1, 2, 1, 2]
    assert not list(tmp_path.iterdir())


def test_a_stopped_benchmark_goes_on(capsys, caplog):
    with pytest.raises(SystemExit):
        main(numbers(3), ["numbers"])
    with caplog.at_level("INFO"):
        main(numbers(), ["numbers"])
    assert CALLS == [1, 2, 3, 3]
    assert "goes on after 2 units of work of an earlier run" in caplog.text
    values = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("twice")]
    assert values == ["2", "4", "6"]


def test_a_finished_benchmark_begins_anew(capsys):
    for _ in range(2):
        main(numbers(), ["numbers"])
    assert CALLS == [1, 2, 3, 1, 2, 3]


def test_a_quick_look_and_the_whole_share_nothing(capsys):
    with pytest.raises(SystemExit):
        main(numbers(2), ["numbers", "--quick"])
    main(numbers(), ["numbers"])
    assert CALLS == [1, 2, 1, 2, 3]


def test_other_code_begins_anew(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        main(numbers(3), ["numbers"])
    monkeypatch.setattr(units, "_state", lambda: "another")
    main(numbers(), ["numbers"])
    assert CALLS == [1, 2, 3, 1, 2, 3]


def test_the_state_is_that_of_sources_and_versions(monkeypatch, tmp_path):
    before = units._state()
    assert units._state() == before
    here = dataclasses.replace(environment.here(), python="3.99")
    monkeypatch.setattr(environment, "here", lambda: here)
    assert units._state() != before
    monkeypatch.undo()
    (tmp_path / "code.py").write_text("x = 1")
    monkeypatch.setattr(units.benchmarks, "__path__", [str(tmp_path)])
    one = units._state()
    (tmp_path / "code.py").write_text("x = 2")
    assert len({before, one, units._state()}) == 3
