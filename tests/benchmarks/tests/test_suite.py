"""The profile of the test suite: what each process writes down, and how it adds up."""

import pytest

from benchmarks import environment
from benchmarks.row import Measured
from benchmarks.tests import suite, suite_table
from benchmarks.tests.suite_profile import _Activities

TESTS = """import jax
import numpy as np


def test_one_program():
    assert float(jax.jit(lambda x: 2 * x)(np.float32(3))) == 6


def test_none():
    assert 1 + 1 == 2
"""


def test_a_second_counts_once_however_activities_are_nested():
    """Ten seconds of lowering, of which three are tracing."""
    times = iter([5.0, 8.0, 12.0])
    activities = _Activities(lambda: next(times))
    activities.listen("/jax/core/compile/jaxpr_trace_duration", 3.0)
    activities.listen("/jax/core/compile/jaxpr_to_mlir_module_duration", 7.0)
    assert activities.seconds == {"tracing": 3.0, "lowering": 4.0}
    activities.listen("/jax/core/compile/backend_compile_duration", 1.0)
    activities.listen("/jax/another", 1.0)
    assert activities.seconds["compiling"] == activities.programs == 1


def test_what_processes_wrote_adds_up():
    records = [
        {"phase": "start", "test": "", "importing": 2.0},
        {"phase": "collect", "test": "tests/test_a.py", "importing": 1.0, "collecting": 0.5},
        {"phase": "setup", "test": "tests/test_a.py::test_x", "seconds": 1.0, "programs": 0},
        {"phase": "call", "test": "tests/test_a.py::test_x", "seconds": 5.0, "programs": 2, "compiling": 3.0},
        {"phase": "call", "test": "tests/test_b.py::test_y", "seconds": 0.5, "programs": 0},
        {"phase": "finish", "test": "", "gigabytes": 1.5},
        {"phase": "finish", "test": "", "gigabytes": 7.0},
    ]
    rows = {row.figure: row for row in suite.rows_of("cold", records)}
    assert {figure.removeprefix("cold: "): row.value for figure, row in rows.items()} == {
        "importing, all processes": 3.0,
        "collecting, all processes": 0.5,
        "tracing, all processes": 0.0,
        "lowering, all processes": 0.0,
        "compiling, all processes": 3.0,
        "running, all processes": 3.5,
        "programs": 2,
        "tests": 2,
        "peaks of all processes, added up": 8.5,
        "tests/test_a.py": 6.0,
        "1 other files": 0.5,
    }
    assert rows["cold: peaks of all processes, added up"].holds is False


@pytest.mark.slow
def test_a_suite_is_measured_in_processes_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "test_two.py").write_text(TESTS)
    monkeypatch.setattr(suite, "QUICK", ("test_two.py",))
    monkeypatch.setenv("PYTHONPATH", str(suite.ROOT))
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    rows = {row.figure: row.value for row in suite.measure(quick=True).rows}
    assert rows["cold: programs"] == rows["warm: programs"] == 1
    assert rows["cold: tests"] == 2
    assert 0 < rows["cold: compiling, all processes"] < rows["cold: `pytest`"]


def test_a_suite_that_fails_is_not_measured(tmp_path, monkeypatch):
    (tmp_path / "test_bad.py").write_text("def test_bad():\n    assert 1 == 2\n")
    monkeypatch.setenv("PYTHONPATH", str(suite.ROOT))
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match=r"the suite must pass to be measured, got exit code 1:[\s\S]*assert 1 == 2"):
        suite.measure(quick=False)


def test_the_table_of_the_docs_has_long_files_and_activities():
    before = suite.rows_of("cold", [call("tests/test_a.py::test_x", 50.0), call("tests/test_b.py::test_y", 4.0)])
    now = [*suite.rows_of("cold", [call("tests/test_a.py::test_x", 12.0)]), *suite.rows_of("warm", [])]
    here = environment.here()
    lines = suite_table.table(
        Measured(rows=tuple(before), environment=here), Measured(rows=tuple(now), environment=here)
    )
    assert "| running, all processes | 54 | 12 | 0 |" in lines
    assert lines.splitlines()[-1] == "| `tests/test_a.py` | 50 | 12 | < 2 |"
    assert "test_b" not in lines


def call(test, seconds):
    return {"phase": "call", "test": test, "seconds": seconds, "programs": 0}
