"""Equations from files: the whole program, on measurements whose equations are known."""

import dataclasses
import html
import json
import re
import runpy

import numpy as np
import pytest
import sympy

from jaxkd import discover
from jaxkd.data.trajectories.measurements import Record
from jaxkd.dynamics import Equations, systems
from jaxkd.study.discovery.search import _short, split
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


def test_the_report_the_terminal_and_the_function_say_the_same(tmp_path, capsys):
    write(tmp_path / "measured.csv", (0,), system=GROWTH)
    arguments = [str(tmp_path / "measured.csv"), "--trajectory", "run", "--degree", "2"]
    arguments += ["--signs", "x: x**2 < 0", "--replicates", "20", "--simulations", "2"]
    folder = tmp_path / "[/b]"  # which is no markup
    discover.main([*arguments, "--output", str(folder)])
    record = json.loads((folder / "equations.json").read_text())
    assert {term["term"]: round(term["coefficient"], 1) for term in record["terms"]} == {"x": 1.0, "x**2": -1.0}
    assert 0 <= record["coverage"] <= 1
    page = (folder / "report.html").read_text()
    printed = capsys.readouterr().out
    assert f"{folder / 'report.html'} written" in printed
    assert printed.startswith("Equation found for x.\n")
    for sentence in record["verdict"]:
        assert sentence in printed
        assert html.escape(sentence) in page
    for term, unit in (("x ", "1/s"), ("x**2", "1/(m*s)")):
        assert re.search(rf" {re.escape(term)} .* \S+ to \S+ .*{re.escape(unit)}", printed)
    assert "In 2 simulations of" in printed.replace("in 2", "In 2")
    assert "measured.csv, trajectory 6" in page
    assert page.count("<svg") >= 5
    field = runpy.run_path(str(folder / "equations.py"))["vector_field"]
    assert field(2.0) == pytest.approx([-2.0], abs=0.1)


@pytest.mark.slow
def test_equations_are_found_and_pass(tmp_path):
    write(tmp_path / "measured.csv", (0, 1))
    arguments = [str(tmp_path / "measured.csv"), "--trajectory", "run", "--known", "x = v"]
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
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "equations.py").write_text("of an earlier search")
    arguments = [str(tmp_path / "half.csv"), "--trajectory", "run", "--states", "x"]
    discover.main([*arguments, "--replicates", "20", "--simulations", "0", "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert printed.startswith("No equation found for x, because its past explains how it moves and the measured states")
    assert "a state that was not measured, or a term that the library lacks" in printed
    record = json.loads((tmp_path / "out" / "equations.json").read_text())
    assert [check["holds"] for check in record["checks"]] == [None] * 5 + [False]
    assert (record["missing"], record["equations"]) == (["x"], ["dx/dt: no equation found"])
    assert record["verdict"][0] in html.unescape((tmp_path / "out" / "report.html").read_text())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["equations.json", "report.html"]
    assert record["coverage"] is None


DAMPED = systems.System(
    name="damped pendulum",
    equations=Equations.of([sympy.Symbol("v"), -4 * sympy.sin(X) - 0.3 * sympy.Symbol("v")], (X, sympy.Symbol("v"))),
    initial=systems.Uniform(low=(-2.4, -0.5), high=(2.4, 0.5)),
    duration=8.0,
    samples=81,
)


def found(tmp_path, capsys, *arguments):
    """The record of a search and its print, which the page repeats."""
    given = [str(tmp_path / "measured.csv"), "--trajectory", "run", *arguments]
    discover.main([*given, "--replicates", "20", "--simulations", "2", "--output", str(tmp_path / "out")])
    record, printed = json.loads((tmp_path / "out" / "equations.json").read_text()), capsys.readouterr().out
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    for line in (*record["equations"], *record["verdict"]):
        assert line in printed
        assert line in page
    assert [check["holds"] for check in record["checks"]] == [True] * 6
    return record, printed


@pytest.mark.slow
def test_a_pendulum_is_found_from_its_angle_alone(tmp_path, capsys):
    write(tmp_path / "measured.csv", (0,), system=DAMPED, level=0.01)
    options = ["--order", "2", "--degree", "1", "--terms", "sin(x)", "--signs", "x: dx_dt < 0"]
    record, printed = found(tmp_path, capsys, *options)
    assert printed.startswith("Equation found for x.")
    terms = {term["term"]: term for term in record["terms"]}
    assert terms.keys() == {"dx_dt", "sin(x)"}
    assert terms["sin(x)"]["coefficient"] == pytest.approx(-4, abs=0.05)
    assert terms["dx_dt"]["coefficient"] == pytest.approx(-0.3, abs=0.02)
    assert terms["dx_dt"]["unit"] == "1/s"
    assert record["equations"][0].startswith("d2x/dt2 = -0.")
    assert record["search"]["order"] == 2
    field = runpy.run_path(str(tmp_path / "out/equations.py"))["vector_field"]
    assert field(np.pi / 2, 1.0) == pytest.approx([1.0, -4.3], abs=0.1)


@pytest.mark.slow
def test_an_oscillator_is_found_from_its_position_and_a_delay(tmp_path, capsys):
    write(tmp_path / "measured.csv", (0,), system=systems.DAMPED_OSCILLATOR, level=0.01)
    record, _ = found(tmp_path, capsys, "--delays", "1", "--delay", "1", "--degree", "2")
    rate = np.sqrt(0.99)
    b = -rate / (np.exp(0.1) * np.sin(rate))
    terms = {(term["state"], term["term"]): term["coefficient"] for term in record["terms"]}
    assert terms.keys() == {(of, term) for of in ("x", "x_delay1") for term in ("x", "x_delay1")}
    assert terms["x", "x_delay1"] == pytest.approx(b, abs=0.02)
    assert terms["x", "x"] == pytest.approx(-0.1 - b * np.exp(0.1) * np.cos(rate), abs=0.02)
    assert "x_delay1 is x 1 s before" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_populations_are_found_from_their_logarithms(tmp_path, capsys):
    write(tmp_path / "measured.csv", (0, 1), system=systems.LOTKA_VOLTERRA, level=0.01)
    record, printed = found(tmp_path, capsys, "--log", "x", "v", "--degree", "2", "--known", "x = 1.5")
    terms = {(term["state"], term["term"]): term for term in record["terms"]}
    want = {("log x", "1"): 1.5, ("log x", "v"): -1, ("log v", "1"): -3, ("log v", "x"): 1}
    assert {key: term["coefficient"] for key, term in terms.items()} == pytest.approx(want, abs=0.03)
    assert terms["log x", "1"]["inclusion"] is None
    assert [terms[key]["unit"] for key in want] == ["1/s", "1/m", "1/s", "1/(m*s)"]
    assert printed.count("d(log x)/dt = 1.5 - ") == 1
    assert printed.count("dx/dt = x (1.5 - ") == 1


HARE = "30,47.2,70.2,77.4,36.3,20.6,18.1,21.4,22,25.4,27.1,40.3,57,76.6,52.3,19.5,11.2,7.6,14.6,16.2,24.7"
LYNX = "4,6.1,9.8,35.2,59.4,41.7,19,13,8.3,9.1,7.4,8,12.3,19.5,45.7,51.1,29.7,15.8,9.7,10.1,8.6"
"""Pelts of the Hudson's Bay Company in thousands, 1900 to 1920."""


@pytest.mark.slow
def test_twenty_one_years_run_with_warnings(tmp_path, capsys):
    rows = [",".join(row) for row in zip(map(str, range(1900, 1921)), HARE.split(","), LYNX.split(","), strict=True)]
    (tmp_path / "pelts.csv").write_text("\n".join(["year,hare,lynx", *rows]))
    arguments = [str(tmp_path / "pelts.csv"), "--degree", "2", "--replicates", "20", "--simulations", "0"]
    discover.main([*arguments, "--output", str(tmp_path / "out")])
    page, printed = (tmp_path / "out" / "report.html").read_text(), capsys.readouterr().out
    warning = "21 samples of one trajectory are too few to hold any out: NOTHING here was tested on data that the"
    assert warning in page
    assert f"warning: {warning}" in printed
    assert "none was held out; on the same one" in printed
    record = json.loads((tmp_path / "out" / "equations.json").read_text())
    assert record["checks"][0]["holds"] is not True


def test_short_records_are_warned_of():
    assert _short(np.array([121] * 7), window=11, candidates=10, unseen=True) == []
    first, second = _short(np.array([21]), window=9, candidates=10, unseen=False)
    assert first == (
        "21 samples of one trajectory are too few to hold any out: NOTHING here was tested on data that the equations "
        "were not found on. Measure another trajectory, or 80 samples."
    )
    assert second == (
        "21 samples make 7 windows, FEWER than the 10 candidate terms: such equations may be chance. Measure more, or "
        "lower --degree."
    )


def test_one_record_is_cut_and_one_of_five_is_held_out():
    def record(name, size=50):
        return Record(source=name, times=np.arange(float(size)), states=np.zeros((size, 1)), inputs=np.zeros((size, 0)))

    train, test = split([record("long", 100)])
    assert (train[0].times.size, test[0].times.size, test[0].source) == (80, 20, "long, its last part")
    short = (record("short", 79),)
    assert split(short) == (short, ())
    train, test = split([record("long", 100)], overlap=3)
    assert (train[0].times[-1], test[0].times[0]) == (79.0, 83.0)
    whole = (record("long", 100),)
    assert split(whole, overlap=5) == (whole, ())
    train, test = split([record(str(index)) for index in range(11)])
    assert ([one.source for one in test], len(train)) == (["9", "10"], 9)


def test_whole_trajectories_are_held_out():
    def pieces(name, count=3):
        whole = np.zeros((16, 1))
        for number in range(count):
            source, trajectory = (f"{name}, after {number}", name) if number else (name, "")
            yield Record(source=source, times=whole[:, 0], states=whole, inputs=whole[:, :0], trajectory=trajectory)

    train, test = split([*pieces("a"), *pieces("b")])
    assert ([one.source for one in train], [one.source for one in test]) == (
        ["a", "a, after 1", "a, after 2"],
        ["b", "b, after 1", "b, after 2"],
    )
    train, test = split([*pieces("a", 6)])  # a single one
    assert ([one.source for one in test], len(train)) == (["a, after 5"], 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--terms", "sin(x"], "error: terms must be expressions such as x*y or sin(x), got 'sin(x': '(' was never"),
        (["--terms", "__import__('os').getcwd()"], "is no arithmetic"),
        (["--terms", "sin(w)"], "terms must be made of x, v, got w in 'sin(w)'"),
        (["--known", "z = v"], "known must be such as"),
        (["--signs", "v: x**9 < 0"], "signs must be of terms of the library"),
        (["--data", "{file}"], "paths must name each file once"),
        (["--states", "x", "w"], "there must be a column 'w'"),
        (["--output", "{file}"], "--output must be a folder, got the file"),
        (["--log", "x"], "measured.csv:"),
        (["--log", "x"], ": x must be > 0 for its logarithm (--log), got -"),
        (["--log", "z"], "log must name states, which are x, v, got 'z'. Name one of them, or none."),
        (
            ["--delays", "2"],
            "--delays and --delay must be given together, got 2 and None. Add the other one, as in --d",
        ),
        (["--delay", "2"], "--delays and --delay must be given together, got 0 and 2.0."),
        (["--delays", "-1", "--delay", "1"], "delays must be at least 1 and delay > 0, got -1 and 1. Give both."),
        (["--delays", "3", "--delay", "4"], "got 3 of 4, which leave 1 of 121 samples in measured.csv, trajectory 0."),
        (["--delays", "1", "--delay", "0.25"], "delay must be a whole number of steps, got 0.25 with a step of 0.1 in"),
        (
            ["--delays", "1", "--delay", "1", "--order", "2"],
            "--delays and --order 2 must not be combined, got both: eit",
        ),
        (["--order", "2", "--terms", "dw_dt"], "terms must be made of x, v, dx_dt, dv_dt, got dw_dt in 'dw_dt'. Did"),
    ],
)
def test_mistakes_are_told_before_the_search(tmp_path, capsys, arguments, message):
    write(tmp_path / "measured.csv", (0, 1), count=2)
    given = [one.replace("{file}", str(tmp_path / "measured.csv")) for one in arguments]
    with pytest.raises(SystemExit):
        discover.main([str(tmp_path / "measured.csv"), "--trajectory", "run", *given])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "discovered").exists()


def test_a_file_must_be_named(capsys):
    with pytest.raises(SystemExit):
        discover.main([])
    assert "error: paths must name at least one file, got none." in capsys.readouterr().err
