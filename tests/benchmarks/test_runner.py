"""The runner and its pieces: what it prints, writes and exits with.  Nothing is timed here."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import environment
from benchmarks.__main__ import BENCHMARKS
from benchmarks.environment import Environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.runner import main, read, write
from benchmarks.timing import interleaved

ROOT = Path(__file__).parent.parent.parent

MEASURED = Measured(
    rows=(
        Row(figure="packages", value=73, unit="", bar=Bar(relation="<=", limit=80)),
        Row.median("import", [0.5, 0.3, 0.4], "s", bar=Bar(relation="<", limit=0.3)),
        Row(figure="first step", value=12.25, unit="s"),
    ),
    environment=Environment(device="1 x abacus", machine="beads, 2 rods", python="3.11.9", versions={"jax": "0.10.2"}),
)


def benchmarks(measured: Measured = MEASURED) -> tuple[Benchmark, ...]:
    return (
        Benchmark(name="install", summary="what it costs", measure=lambda quick: measured),
        Benchmark(name="kernels", summary="what it saves", measure=lambda quick: measured),
    )


def passing() -> Measured:
    return Measured(rows=(MEASURED.rows[0], MEASURED.rows[2]), environment=MEASURED.environment)


def test_list_names_the_benchmarks_and_runs_none(capsys):
    def refuse(quick):
        raise AssertionError("it ran")

    main([Benchmark(name="install", summary="what it costs", measure=refuse)], ["--list"])
    assert capsys.readouterr().out == "install  what it costs\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["instal"], "NAME must be a benchmark, got 'instal'. Did you mean install? Benchmarks: install, kernels."),
        (["zzz"], "NAME must be a benchmark, got 'zzz'. Benchmarks: install, kernels."),
        ([], "NAME must be given. Benchmarks: install, kernels."),
    ],
)
def test_an_unknown_name_lists_the_known_ones(arguments, text, capsys):
    with pytest.raises(SystemExit) as stop:
        main(benchmarks(), arguments)
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_the_table_shows_figures_bars_device_and_versions(capsys):
    main(benchmarks(), ["install"])
    printed = capsys.readouterr().out
    lines = {
        name: line for line in printed.splitlines() for name in ("packages", "import", "first step") if name in line
    }
    assert lines["packages"].split() == ["packages", "73", "<=", "80", "yes"]
    assert lines["import"].split() == ["import", "0.4", "s", "0.3", "..", "0.5", "(3)", "<", "0.3", "no"]
    assert lines["first step"].split() == ["first", "step", "12.2", "s"]
    assert all(text in printed for text in ("1 x abacus", "beads, 2 rods", "Python 3.11.9, jax 0.10.2"))


def test_a_share_has_an_interval_which_is_printed_and_kept(tmp_path, capsys):
    row = Row.share("right", [True, True, False, True], bar=Bar(relation=">", limit=0.5))
    assert row.value == 0.75
    assert row.interval == pytest.approx((0.3006, 0.9544), abs=1e-4)  # Wilson's, by its formula
    measured = Measured(rows=(row, MEASURED.rows[0]), environment=MEASURED.environment)
    main(benchmarks(measured), ["install", "--json", str(tmp_path / "kept.json")])
    assert "0.301 .. 0.954 (95 %)" in capsys.readouterr().out
    assert read(tmp_path / "kept.json") == measured


def test_a_result_from_before_there_were_intervals_is_read(tmp_path):
    write(tmp_path / "kept.json", "install", MEASURED, quick=False)
    record = json.loads((tmp_path / "kept.json").read_text())
    for row in record["rows"]:
        del row["interval"]
    (tmp_path / "kept.json").write_text(json.dumps(record))
    assert read(tmp_path / "kept.json") == MEASURED


def test_check_fails_where_a_bar_does_not_hold_and_says_which(capsys):
    with pytest.raises(SystemExit) as stop:
        main(benchmarks(), ["install", "--check"])
    assert stop.value.code == 1
    assert capsys.readouterr().err == "does not hold: import must be < 0.3 s, got 0.4\n"


def test_check_passes_where_every_bar_holds():
    main(benchmarks(passing()), ["install", "--check"])


def test_a_failing_check_still_writes_the_result(tmp_path):
    path = tmp_path / "new" / "install.json"
    with pytest.raises(SystemExit):
        main(benchmarks(), ["install", "--check", "--json", str(path)])
    assert read(path) == MEASURED


def test_quick_reaches_the_benchmark():
    seen = []

    def measure(quick):
        seen.append(quick)
        return MEASURED

    for arguments in (["install"], ["install", "--quick"]):
        main([Benchmark(name="install", summary="", measure=measure)], arguments)
    assert seen == [False, True]


def test_json_holds_the_rows_the_verdicts_and_the_environment(tmp_path):
    path = tmp_path / "install.json"
    write(path, "install", MEASURED, quick=True)
    record = json.loads(path.read_text())
    assert (record["benchmark"], record["quick"], record["device"]) == ("install", True, "1 x abacus")
    assert record["versions"] == {"jax": "0.10.2"}
    assert [row["holds"] for row in record["rows"]] == [True, False, None]
    assert read(path) == MEASURED


def test_a_folder_is_refused_before_anything_is_measured(tmp_path, capsys):
    def refuse(quick):
        raise AssertionError("it ran")

    with pytest.raises(SystemExit):
        main([Benchmark(name="install", summary="", measure=refuse)], ["install", "--json", str(tmp_path)])
    assert capsys.readouterr().err == f"error: --json must name a file, got the folder {tmp_path}.\n"


@pytest.mark.parametrize("text", ["{", "{}", '{"device": 1}', "[]"])
def test_a_file_that_is_no_result_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json must be the JSON that `python -m benchmarks NAME --json PATH`"):
        read(path)


def test_a_benchmark_that_cannot_run_ends_with_its_message(capsys):
    def fail(quick):
        raise ChildProcessError("pip must succeed, got exit code 1")

    with pytest.raises(SystemExit) as stop:
        main([Benchmark(name="install", summary="", measure=fail)], ["install"])
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: pip must succeed, got exit code 1\n"


@pytest.mark.parametrize(
    ("relation", "below", "equal", "above"),
    [("<", True, False, False), ("<=", True, True, False), (">", False, False, True), (">=", False, True, True)],
)
def test_a_bar_compares_as_it_reads(relation, below, equal, above):
    bar = Bar(relation=relation, limit=2.0)
    assert [bar.holds(value) for value in (1.9, 2.0, 2.1)] == [below, equal, above]
    assert isinstance(bar.holds(np.float64(2.0)), bool)  # as JSON needs it
    assert str(bar) == f"{relation} 2"


def test_an_unknown_relation_is_refused():
    with pytest.raises(ValueError, match="relation must be one of <, <=, >, >=, got '=='"):
        Bar(relation="==", limit=1)  # type: ignore[arg-type]


def test_a_row_without_a_bar_is_not_judged():
    row = Row(figure="first step", value=1.0, unit="s")
    assert row.holds is None
    assert row.spread is None


def test_repetitions_give_their_median_and_spread():
    row = Row.median("import", [3.0, 1.0, 2.0, 9.0, 2.5], "s")
    assert (row.value, row.spread) == (2.5, (1.0, 9.0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="value must be finite, got (nan|inf) for 'import'"):
        Row(figure="import", value=value, unit="s")


def test_measurements_alternate_and_the_warm_up_does_not_count():
    order = []

    def measurement(name):
        def measure():
            order.append(name)
            return float(len(order))

        return measure

    figures = interleaved({"a": measurement("a"), "b": measurement("b")}, repeats=5)
    assert order == ["a", "b"] * 6
    assert figures == {"a": [3.0, 5.0, 7.0, 9.0, 11.0], "b": [4.0, 6.0, 8.0, 10.0, 12.0]}


def test_too_few_repeats_are_refused():
    with pytest.raises(ValueError, match="repeats must be >= 5, got 3"):
        interleaved({}, repeats=3)


def test_another_interpreter_describes_itself_as_this_one_does():
    assert environment.of(Path(sys.executable)) == environment.here()


def test_versions_of_further_packages_are_kept():
    assert set(environment.here("scipy", "no-such-package").versions) - set(environment.here().versions) == {"scipy"}


def test_every_benchmark_has_a_name_of_its_own(capsys):
    main(BENCHMARKS, ["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("install  ")
    assert [line.split()[0] for line in lines] == list(dict.fromkeys(one.name for one in BENCHMARKS))


@pytest.mark.slow
def test_the_module_lists_what_there_is():
    listed = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert listed.stdout.startswith("install  ")
    assert listed.stderr == ""
