"""Equations from files: the whole program, on measurements whose equations are known."""

import dataclasses
import json
import runpy

import numpy as np
import pytest

from jaxkd import discover
from jaxkd.data.trajectories.measurements import Record
from jaxkd.dynamics import Equations, systems
from jaxkd.study.discovery import split
from tests.dynamics.records import clean, times, with_noise

SYSTEM = systems.VAN_DER_POL
X = SYSTEM.equations.states[0]
GROWTH = dataclasses.replace(
    SYSTEM,
    equations=Equations.of([X - X**2], (X,)),
    initial=systems.Uniform(low=(0.05,), high=(2.5,)),
    duration=6.0,
    samples=61,
)


def write(path, columns, *, system=SYSTEM, level=0.02, count=7):
    """So many trajectories in one table, of which some columns are there."""
    rows = [
        ",".join([str(run), *(f"{value:.6g}" for value in (time, *states[list(columns)]))])
        for run, trajectory in enumerate(with_noise(clean(system, count), level))
        for time, states in zip(times(system), trajectory, strict=True)
    ]
    header = ",".join(["run", "t [s]", *(("x [m]", "v [m/s]")[column] for column in columns)])
    path.write_text("\n".join([header, *rows]) + "\n")


def test_the_report_and_the_function_say_the_same(tmp_path):
    write(tmp_path / "measured.csv", (0,), system=GROWTH)
    arguments = ["--data", str(tmp_path / "measured.csv"), "--trajectory", "run", "--degree", "2"]
    arguments += ["--signs", "x: x**2 < 0", "--replicates", "20", "--simulations", "2"]
    discover.main([*arguments, "--output", str(tmp_path / "out")])
    record = json.loads((tmp_path / "out/equations.json").read_text())
    assert {term["term"]: round(term["coefficient"], 1) for term in record["terms"]} == {"x": 1.0, "x**2": -1.0}
    assert 0 <= record["coverage"] <= 1
    page = (tmp_path / "out/report.html").read_text()
    assert "measured.csv, trajectory 6" in page
    assert page.count("<svg") >= 5
    field = runpy.run_path(str(tmp_path / "out/equations.py"))["vector_field"]
    assert field(2.0) == pytest.approx([-2.0], abs=0.1)


@pytest.mark.slow
def test_equations_are_found_and_pass(tmp_path):
    write(tmp_path / "measured.csv", (0, 1))
    arguments = ["--data", str(tmp_path / "measured.csv"), "--trajectory", "run", "--known", "x = v"]
    arguments += ["--signs", "v: x < 0", "--replicates", "40", "--simulations", "2"]
    discover.main([*arguments, "--output", str(tmp_path / "out")])
    record = json.loads((tmp_path / "out/equations.json").read_text())
    terms = {(term["state"], term["term"]): term for term in record["terms"]}
    assert terms.keys() == {("x", "v"), ("v", "x"), ("v", "v"), ("v", "v*x**2")}
    assert terms["x", "v"]["coefficient"] == terms["x", "v"]["low"] == 1.0
    assert terms["x", "v"]["inclusion"] is None
    for name, truth, unit in [("x", -1, "1/s^2"), ("v", 1, "1/s"), ("v*x**2", -1, "1/(m^2*s)")]:
        term = terms["v", name]
        assert term["coefficient"] == pytest.approx(truth, abs=0.02)
        assert term["low"] <= term["coefficient"] <= term["high"]
        assert term["unit"] == unit
    assert [check["holds"] for check in record["checks"]] == [True] * 6
    assert record["noise"]["x"] == pytest.approx(0.03, rel=0.3)
    assert 0.3 < record["coverage"] <= 1
    field = runpy.run_path(str(tmp_path / "out/equations.py"))["vector_field"]
    assert field(1.0, 2.0) == pytest.approx([2.0, -1.0], abs=0.1)


@pytest.mark.slow
def test_a_hidden_state_is_suspected(tmp_path, capsys):
    write(tmp_path / "half.csv", (0,))
    arguments = ["--data", str(tmp_path / "half.csv"), "--trajectory", "run", "--states", "x"]
    discover.main([*arguments, "--replicates", "20", "--simulations", "0", "--output", str(tmp_path / "out")])
    assert "a state that was not measured, or a term that the library lacks" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "equations.json").read_text())
    assert not record["checks"][0]["holds"]
    assert not record["checks"][5]["holds"]
    assert record["coverage"] is None


def test_one_record_is_cut_and_one_of_five_is_held_out():
    def record(name, size=50):
        return Record(source=name, times=np.arange(float(size)), states=np.zeros((size, 1)), inputs=np.zeros((size, 0)))

    train, test = split([record("long", 100)])
    assert (train[0].times.size, test[0].times.size, test[0].source) == (80, 20, "long, its last part")
    with pytest.raises(ValueError, match=r"data must be several records, or one of at least 80 samples .* got 79 in"):
        split([record("short", 79)])
    train, test = split([record(str(index)) for index in range(11)])
    assert ([one.source for one in test], len(train)) == (["9", "10"], 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--terms", "sin(x"], "error: terms must be expressions such as x*y or sin(x), got 'sin(x': '(' was never"),
        (["--terms", "__import__('os').getcwd()"], "is no arithmetic"),
        (["--terms", "sin(w)"], "terms must be made of x, v, got w in 'sin(w)'"),
        (["--known", "z = v"], "known must be such as"),
        (["--signs", "v: x**9 < 0"], "signs must be of terms of the library"),
        (["--states", "x", "w"], "there must be a column 'w'"),
        (["--output", "{file}"], "--output must be a folder, got the file"),
    ],
)
def test_mistakes_are_told_before_the_search(tmp_path, capsys, arguments, message):
    write(tmp_path / "measured.csv", (0, 1), count=2)
    given = [one.replace("{file}", str(tmp_path / "measured.csv")) for one in arguments]
    with pytest.raises(SystemExit):
        discover.main(["--data", str(tmp_path / "measured.csv"), "--trajectory", "run", *given])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "discovered").exists()
