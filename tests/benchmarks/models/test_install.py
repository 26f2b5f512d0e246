"""The install benchmark's dealings with the processes that it starts; what it measures takes minutes and is no test."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.models import install


@pytest.fixture
def program(tmp_path):
    """A stand-in for the interpreter: a shell script that sees the training command as its arguments."""

    def write(body):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


def test_the_first_step_is_there_with_its_row_and_the_run_is_ended(program, tmp_path):
    run = tmp_path / "run-0" / "sft" / "0"
    python = program(
        f"echo $$ > {tmp_path}/pid; mkdir -p {run}; echo '{{\"step\": 1}}' > {run}/metrics.jsonl; exec sleep 60"
    )
    assert 0 < install._first_step_seconds(python, tmp_path, 0) < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_run_that_ends_without_a_row_shows_what_it_said(program, tmp_path):
    python = program("echo error: the disk is full >&2; exit 1")
    with pytest.raises(ChildProcessError, match=r"must write a row of metrics within 900 s(.|\n)*the disk is full"):
        install._first_step_seconds(python, tmp_path, 0)


def test_a_command_that_fails_shows_what_it_said(tmp_path):
    with pytest.raises(ChildProcessError, match=r"must succeed, got exit code 3:\nno such package"):
        install._call(
            [sys.executable, "-c", "import sys; print('no such package', file=sys.stderr); sys.exit(3)"], tmp_path
        )


def test_nothing_of_the_running_environment_helps_the_one_that_is_measured(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    monkeypatch.setenv("PATH", "/bin")
    environment = install._environment()
    assert "PYTHONPATH" not in environment
    assert "JAX_COMPILATION_CACHE_DIR" not in environment
    assert environment["PATH"] == "/bin"


def test_the_inventory_counts_packages_and_bytes(tmp_path):
    found = install._inventory(Path(sys.executable), tmp_path)
    assert found["packages"] > 20
    assert found["bytes"] > 1e8
