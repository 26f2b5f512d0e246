"""The pipe between a benchmark and the process that it measures."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.worker import Worker

MODULE = "tests.benchmarks.echo_worker"


def worker(**options):
    return Worker(Path(sys.executable), MODULE, **options)


def test_answers_are_not_mixed_with_what_is_printed_and_a_failure_ends_nothing():
    with worker(environment={"COLOUR": "red"}) as echo:
        assert echo.ask(number=1)["number"] == 1
        with pytest.raises(ChildProcessError, match=r"^beta must be in \(0, 1\)$"):
            echo.ask(fail="beta must be in (0, 1)")
        answer = echo.ask(number=2)
    assert (answer["number"], answer["colour"]) == (2, "red")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes are kept to a core on Linux only")
def test_a_worker_stays_on_its_core():
    core = max(os.sched_getaffinity(0))
    with worker(core=core) as echo:
        assert echo.ask(cores=True)["cores"] == [core]


def test_a_worker_that_ends_shows_what_it_said():
    with (
        worker() as echo,
        pytest.raises(
            ChildProcessError, match=r"echo_worker must answer, got its end with exit code 3:(.|\n)*the disk is full"
        ),
    ):
        echo.ask(leave=3)


def test_a_worker_that_has_ended_does_not_answer():
    with worker() as echo:
        with pytest.raises(ChildProcessError):
            echo.ask(leave=0)
        with pytest.raises(ChildProcessError, match="must answer, got its end with exit code 0"):
            echo.ask()


def test_a_core_needs_taskset(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match="core must be None where there is no taskset, got 0"):
        worker(core=0)
