"""The benchmark runner: what it prints, writes and exits with.  No benchmark is run here."""

import io
import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as runner
from benchmarks.rows import Row, at_most, interleaved, median, print_rows

ENVIRONMENT = {"device": "1 x cpu", "processor": "abacus, 2 cores", "python": "3.11", "versions": {"jax": "0.10.2"}}


@pytest.fixture
def benchmark(monkeypatch):
    """A benchmark of three figures, one of which misses its bar."""

    def run(quick):
        """Beads moved."""
        return [
            at_most("beads", 10.0 if quick else 20.0, "beads", 10, spread=(9.0, 21.0)),
            at_most("slides", 1.0, "s", 2),
            Row(figure="rods", value=13.0, unit="rods"),
        ]

    monkeypatch.setitem(runner.BENCHMARKS, "abacus", run)
    monkeypatch.setattr(runner.rows, "environment", lambda: ENVIRONMENT)


def test_list_names_every_benchmark_and_what_it_measures(benchmark, capsys):
    assert runner.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == ["install", "first_step", "abacus"]
    assert listed[-1].endswith("Beads moved.")


def test_the_table_shows_figures_bars_versions_and_device(benchmark, capsys):
    assert runner.main(["abacus"]) == 0
    printed = capsys.readouterr().out
    beads, slides, rods = (
        next(line for line in printed.splitlines() if name in line) for name in ("beads", "slides", "rods")
    )
    assert all(text in beads for text in ("20 beads", "9 to 21", "<= 10", "NO"))
    assert "yes" in slides
    assert "reported" in rods
    assert "1 x cpu (abacus, 2 cores), python 3.11, jax 0.10.2" in printed


def test_check_fails_where_a_bar_does_not_hold(benchmark, capsys):
    assert runner.main(["abacus", "--check"]) == 1
    assert capsys.readouterr().err == "bars that do not hold: beads\n"
    assert runner.main(["abacus", "--check", "--quick"]) == 0


def test_json_holds_the_rows_and_the_environment(benchmark, tmp_path):
    runner.main(["abacus", "--json", str(tmp_path / "abacus.json")])
    written = json.loads((tmp_path / "abacus.json").read_text())
    assert written["benchmark"] == "abacus"
    assert written["versions"] == {"jax": "0.10.2"}
    assert written["rows"][0] == {
        "figure": "beads",
        "value": 20.0,
        "unit": "beads",
        "bar": "<= 10",
        "holds": False,
        "spread": [9.0, 21.0],
    }


def test_an_unknown_name_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit, match="2"):
        runner.main(["instal"])
    assert "name must be one of install, first_step, got 'instal'." in capsys.readouterr().err


def test_measurements_take_turns_after_the_warm_up():
    order = []
    counter = iter(range(100))

    def measure(name):
        order.append(name)
        return float(next(counter))

    results = interleaved({"a": lambda: measure("a"), "b": lambda: measure("b")}, repeats=2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert results == {"a": [2.0, 4.0], "b": [3.0, 5.0]}


def test_median_and_spread():
    assert median([4.0, 1.0, 2.0]) == (2.0, (1.0, 4.0))


def test_a_bar_holds_up_to_its_own_value():
    assert at_most("x", 80.0, "packages", 80).holds
    assert not at_most("x", 80.5, "packages", 80).holds


def test_a_table_without_rows_still_names_the_device():
    out = io.StringIO()
    print_rows("nothing", [], ENVIRONMENT, file=out)
    assert "1 x cpu" in out.getvalue()


def test_help_works_as_a_command():
    done = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], capture_output=True, text=True, check=True)
    assert "install, first_step" in done.stdout
