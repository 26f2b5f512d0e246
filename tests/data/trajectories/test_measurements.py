"""Measured trajectories from files."""

import numpy as np
import pytest
import scipy.io

from jaxkd.data.trajectories.measurements import Measurements, by_trajectory, longest_step, read

TIMES = 0.1 * np.arange(20)
STATES = np.stack([np.cos(TIMES), np.sin(TIMES)], axis=1)


def lines(times=TIMES, states=STATES, *, before="", between=","):
    """Rows of text; numbers are written so that they are read back exactly."""
    return [before + between.join(map(repr, map(float, row))) for row in np.column_stack([times, states])]


@pytest.fixture
def write(tmp_path):
    """A text file."""

    def write(*rows, name="prey.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes("\n".join(rows).encode(encoding))
        return path

    return write


@pytest.fixture
def npz(tmp_path):
    """An NPZ file."""

    def npz(**arrays):
        np.savez(tmp_path / "prey.npz", **arrays)
        return tmp_path / "prey.npz"

    return npz


@pytest.fixture
def netcdf(tmp_path):
    """A NetCDF 3 file of variables with their units and other attributes."""

    def netcdf(**variables):
        with scipy.io.netcdf_file(tmp_path / "prey.nc", "w") as file:
            for name, (values, attributes) in variables.items():
                axes = [f"{name}_{axis}" for axis in range(values.ndim)]
                for axis, length in zip(axes, values.shape, strict=True):
                    file.createDimension(axis, length)
                variable = file.createVariable(name, values.dtype, axes)
                variable[...] = values
                for attribute, value in attributes.items():
                    setattr(variable, attribute, value)
        return tmp_path / "prey.nc"

    return netcdf


def require_circle(measured: Measurements):
    """All of TIMES and STATES in one record."""
    (record,) = measured.records
    np.testing.assert_array_equal(record.times, TIMES)
    np.testing.assert_array_equal(record.states, STATES)
    assert record.inputs.shape == (20, 0)
    assert {array.dtype for array in (record.times, record.states, record.inputs)} == {np.dtype(np.float64)}
    assert (measured.time, measured.states, measured.inputs) == ("t", ("x", "y"), ())
    assert measured.warnings == ()


@pytest.mark.parametrize(
    ("name", "header", "between"),
    [
        ("a.csv", "t,x,y", ","),
        ("a.CSV", '"t","x","y"', ", "),
        ("a.csv", "t;x [m,s];y", ";"),
        ("a.tsv", "t\tx (a b)\ty", "\t"),
        ("a.txt", "t x [kg m] y(s)", "  "),
        ("a.txt", '"t"  "x" y', " \t "),
        ("a.txt", " t, x, y ", ", "),
    ],
)
def test_delimiters_are_found(write, name, header, between):
    path = write(header, *lines(between=between), name=name)
    require_circle(read([path]))
    assert read([path]).records[0].source == name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_comments_and_empty_lines_are_skipped(write, encoding):
    require_circle(read([write("# made by hand", "", "t,x,y", "  # °C", *lines(), "", "\r", encoding=encoding)]))


def test_units_stand_behind_names(write):
    path = write("time [s],prey (kg/(m s)),fox[°C],none []", *lines(states=STATES[:, [0, 1, 0]]))
    measured = read([path], states=["fox", "none", "prey"])
    assert measured.units == {"time": "s", "fox": "°C", "prey": "kg/(m s)"}
    assert measured.states == ("fox", "none", "prey")


@pytest.mark.parametrize(
    ("header", "asked", "time", "states"),
    [
        ("x,t,y", {}, "t", ("x", "y")),
        ("x,Time,y", {}, "Time", ("x", "y")),
        ("seconds,x,y", {}, "seconds", ("x", "y")),
        ("t,T,y", {}, "t", ("T", "y")),
        ("T,x,t", {}, "T", ("x", "t")),
        ("seconds,x,T", {"states": ["T"]}, "seconds", ("T",)),
        ("t,x,T", {"time": "x"}, "x", ("t", "T")),
    ],
)
def test_the_column_of_times(write, header, asked, time, states):
    # All columns increase, so that each may be the time.
    measured = read([write(header, *lines(states=np.stack([TIMES, TIMES], axis=1)))], **asked)
    assert (measured.time, measured.states) == (time, states)


def test_columns_that_are_asked_for(write):
    path = write("note,y,t,u,lambda,x", *(f"high,{k},{k},{10 * k},?,{k * k}" for k in range(20)))
    measured = read([path], states=["x", "y"], inputs=["u"])
    assert (measured.states, measured.inputs) == (("x", "y"), ("u",))
    np.testing.assert_array_equal(measured.records[0].states[4], [16, 4])
    np.testing.assert_array_equal(measured.records[0].inputs[4], [40])
    path = write("t,x,y", *lines())
    assert read([path], inputs=["x"]).states == ("y",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"states": ["prej"]}, r"prey\.csv: there must be a column 'prej', got t, prey, fox\. Did you mean 'prey'\?"),
        ({"inputs": ["PREY"]}, r"a column 'PREY', got t, prey, fox\. Did you mean 'prey'\?"),
        ({"time": "hours"}, r"a column 'hours', got t, prey, fox\. Name one of them\."),
        ({"trajectory": "run"}, r"a column 'run', got"),
        ({"inputs": ["prey", "fox"]}, r"a column for time and one for a state, got t, prey, fox\. Give a file with"),
        ({"states": ["fox"], "inputs": ["fox"]}, r"must name different columns, got 'fox' 2 times\. Name it once"),
    ],
)
def test_columns_that_cannot_be_had(write, asked, message):
    with pytest.raises(ValueError, match=message):
        read([write("t,prey,fox", *lines())], **asked)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("pressure-1", "pressure_1"), ("lambda", "lambda_"), ("2nd x²", "x2nd_x"), ("Δ %", "Δ"), ("", "x")],
)
def test_names_must_be_identifiers(write, name, suggestion):
    message = rf"prey\.csv: names of columns must be .*, got '{name}' for column 3\. Rename it, .* '{suggestion}'"
    with pytest.raises(ValueError, match=message):
        read([write(f"t,x,{name}", *lines())])
    assert read([write(f"t,x,{name}", *lines())], states=["x"]).states == ("x",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"must begin with a header, the names of its columns, got nothing\. Add that line"),
        (["# t,x,y", *lines()], r"must begin with a header, .*, got '0\.0,1\.0,0\.0'\. Add that line, without a #"),
        (["0,0;1,5"], r"must begin with a header"),
        (["t,x,y"], r"prey\.csv: the file must hold at least one row, got its header alone\. Give another file"),
        (["t,x [m],x [s]"], r"names of columns must differ, got 'x' twice\. Rename one"),
        (["t", *"0123"], r"must be a column for time and one for a state, got t\."),
        (["t,x,y", *lines()[:4], "0.4,1"], r"csv:6: a row must have a cell for each of the 3 columns, got 2, with ','"),
        (["t x y", "0 1 1 1"], r"csv:2: a row must .*, got 4, with white space between them\. Correct the row"),
        (["t,x,y", '0,"1,1'], r"quotes must enclose cells, got: unexpected end of data\. Correct those"),
        (["t,x,y", "", *lines()[:4], "0.4,abc,1"], r"^prey\.csv:7: x must be a number, got 'abc'\. Correct the cell"),
        (["t,x,y", "0,1_000,1"], r"prey\.csv:2: x must be a number, got '1_000'"),
        (["t;x;y", "0;1,5;1"], r"prey\.csv:2: x must be .*, got '1,5'\. Decimal commas are not supported: write a poi"),
    ],
)
def test_malformed_text_is_refused(write, rows, message):
    with pytest.raises(ValueError, match=message):
        read([write(*rows)])


def test_the_last_line_of_a_quoted_cell_is_told(write):
    with pytest.raises(ValueError, match=r"prey\.csv:4: x must be a number, got 'abc'"):
        read([write("t,note,x", "0,fine,1", '1,"in two', 'lines",abc')], states=["x"])


def test_files_that_are_none(write, tmp_path):
    with pytest.raises(ValueError, match=r"prey\.xlsx: the file must end in \.csv, .*\.nc, got '\.xlsx'\. Convert it"):
        read([write(name="prey.xlsx")])
    with pytest.raises(FileNotFoundError, match=r"paths must name existing files, got '.*none\.csv'"):
        read([tmp_path / "none.csv"])
    with pytest.raises(ValueError, match=r"prey\.csv: the file must be UTF-8, got .* at byte 0\. Save it as UTF-8"):
        read([write("t,x", encoding="utf-16")])
    with pytest.raises(ValueError, match=r"paths must name at least one file, got none"):
        read([])
    path = write("t,x,y", *lines())
    with pytest.raises(ValueError, match=r"paths must name each file once, got '.*prey\.csv' 2 times"):
        read([path, path])


def test_several_files(write, tmp_path):
    (tmp_path / "old").mkdir()
    first = write("t,x [m],y,u", *lines(states=np.hstack([STATES, STATES[:, :1]])), name="a.csv")
    second = write("u,y,x [m],t", *lines(STATES[:, 0], np.stack([STATES[:, 1], STATES[:, 0], TIMES], 1)), name="b.csv")
    measured = read([first, second], inputs=["u"])
    assert [record.source for record in measured.records] == ["a.csv", "b.csv"]
    for record in measured.records:
        np.testing.assert_array_equal(record.states, STATES)
        np.testing.assert_array_equal(record.inputs, STATES[:, :1])
    again = write(first.read_text(), name="old/a.csv")
    sources = [record.source for record in read([first, again, second], inputs=["u"]).records]
    assert sources == [str(first), str(again), "b.csv"]


@pytest.mark.parametrize(
    ("header", "asked", "message"),
    [
        ("t,x [m],z", {}, r"b\.csv must have the columns of a\.csv, t, x, y, got t, x, z\. Rename them, or name those"),
        ("time,x [m],y", {}, r"b\.csv must have the columns of a\.csv, t, x, y, got time, x, y"),
        ("t,x [m],z", {"states": ["x", "y"]}, r"b\.csv: there must be a column 'y', got t, x, z"),
        ("t,x [km],y", {}, r"x must have the same unit in all files, got m in a\.csv and km in b\.csv\. Convert one"),
        ("t [s],x [m],y", {}, r"t must have the same unit in all files, got no unit in a\.csv and s in b\.csv"),
    ],
)
def test_files_that_do_not_fit_together(write, header, asked, message):
    with pytest.raises(ValueError, match=message):
        read([write("t,x [m],y", *lines(), name="a.csv"), write(header, *lines(), name="b.csv")], **asked)


def test_a_column_tells_trajectories_apart(write):
    rows = [
        row for pair in zip(lines(before="fox,"), lines(states=-STATES, before="1.0,"), strict=True) for row in pair
    ]
    measured = read([write("run-name,t,x,y", *rows, ",7,7,7")], trajectory="run-name")
    assert [record.source for record in measured.records] == ["prey.csv, trajectory fox", "prey.csv, trajectory 1.0"]
    for sign, record in zip((1, -1), measured.records, strict=True):
        np.testing.assert_array_equal(record.times, TIMES)
        np.testing.assert_array_equal(record.states, sign * STATES)
    assert measured.warnings == ("prey.csv: 1 row with missing values left out (the first in line 42).",)


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "NA", "inf", "-inf"])
def test_rows_with_missing_values_are_left_out(write, missing):
    rows = lines()
    rows[10], rows[12] = f"1.0,{missing},1", f"{missing},1,1"
    measured = read([write("t,x,y", "", *rows)])
    np.testing.assert_array_equal(measured.records[0].states, np.delete(STATES, [10, 12], axis=0))
    assert measured.warnings == ("prey.csv: 2 rows with missing values left out (the first in line 13).",)


def test_what_has_no_logarithm_is_refused(write, npz):
    rows = lines(states=1.0 + np.abs(STATES))
    assert len(read([write("t,x,y", *rows)], positive=["y"]).records) == 1
    rows[10], rows[12] = "1.0,1,0", "1.2,1,-3"
    path = write("t,x,y", *rows)
    assert len(read([path], positive=["x"]).records) == 1
    with pytest.raises(ValueError) as raised:
        read([path], positive=["x", "y"])
    assert str(raised.value) == (
        "prey.csv:12: y must be > 0 for its logarithm (--log), got 0, and 1 more. Leave those cells empty if they are "
        "no measurements, or y out of --log."
    )
    with pytest.raises(
        ValueError, match=r"prey\.npz, sample 0: y must be > 0 for its logarithm \(--log\), got 0, and 3"
    ):
        read([npz(t=TIMES, x=STATES[:, 0], y=STATES[:, 1] * (TIMES > 0.35))], positive=["y"])
    with pytest.raises(ValueError, match=r"log must name states, which are x, got 'y'\. Name one of them, or none\."):
        read([path], inputs=["y"], positive=["y"])


def test_repeated_rows_are_left_out(write):
    rows = lines()
    measured = read([write("t,x,y", *rows[:5], rows[4], rows[4], *rows[5:])])
    np.testing.assert_array_equal(measured.records[0].times, TIMES)
    assert measured.warnings == ("prey.csv: 2 repeated rows left out (the first in line 7).",)


def test_times_must_increase(write):
    rows = lines()
    message = r"prey\.csv:22: t must increase, got 0 after 1\.9\. Sort the rows by t, or name .* \(--trajectory\)"
    with pytest.raises(ValueError, match=message):
        read([write("t,x,y", *rows, *rows)])
    message = r"prey\.csv:4: a row must have a time of its own, got t 0\.1 with other values .* \(--trajectory\)"
    with pytest.raises(ValueError, match=message):
        read([write("t,x,y", *rows[:2], "0.1,5,5", *rows[2:])])


def test_records_are_cut_at_gaps(write):
    times = np.concatenate([TIMES, 3.2 + TIMES, 9 + TIMES[:3], [13.0]])
    states = np.resize(STATES, (44, 2))
    measured = read([write("t,x,y", *lines(times, states))])
    assert [record.source for record in measured.records] == ["prey.csv", "prey.csv, after the gap at 1.9"]
    np.testing.assert_array_equal(measured.records[1].times, 3.2 + TIMES)
    np.testing.assert_array_equal(measured.records[1].states, states[20:40])
    assert measured.warnings == (
        "prey.csv: cut at 3 gaps in t (the first after 1.9).",
        "prey.csv: 2 records of fewer than 16 samples left out (the first is prey.csv, after the gap at 5.1, with 3).",
    )


def test_steps_up_to_five_medians_are_no_gap(write):
    times = np.arange(20.0) + 4 * (np.arange(20) >= 9)
    assert len(read([write("t,x,y", *lines(times))]).records) == 1
    times[9:] += 0.5
    assert [record.times.size for record in read([write("t,x,y", *lines(times))]).records] == [9, 11]


def test_even_steps_have_gaps_beyond_five_medians():
    steps = np.full(100, 0.1)
    assert longest_step(steps) == 0.5
    rounded = np.diff(0.1 * np.arange(101))
    assert longest_step(rounded) == 5 * np.median(rounded)
    steps[:20] = 7.0  # gaps
    assert longest_step(steps) == pytest.approx(0.5)
    jitter = 1 + 0.1 * np.random.default_rng(0).normal(size=100)
    assert longest_step(jitter) == 5 * np.median(jitter)


def test_random_sample_times_have_no_gaps(write):
    """One in 32 steps of a Poisson process is longer than five medians, hence some in almost each record of 100."""
    generator = np.random.default_rng(0)
    steps = generator.exponential(size=(1_000, 99))
    assert np.mean([np.any(one > 5 * np.median(one)) for one in steps]) > 0.9
    assert not any(np.any(one > longest_step(one)) for one in steps)
    times = np.cumsum(steps[0])
    states = np.resize(STATES, (99, 2))
    assert len(read([write("t,x,y", *lines(times, states))]).records) == 1
    times[50:] += 30.0  # far beyond
    assert [record.times.size for record in read([write("t,x,y", *lines(times, states))]).records] == [50, 49]


def test_records_of_one_trajectory_belong_together(write):
    times = np.concatenate([TIMES, 3.2 + TIMES])
    cut = lines(times, np.resize(STATES, (40, 2)), before="a,")
    measured = read([write("run,t,x,y", *cut, *lines(before="b,"))], trajectory="run")
    sources = [[record.source for record in group] for group in by_trajectory(measured.records)]
    a = "prey.csv, trajectory a"
    assert sources == [[a, f"{a}, after the gap at 1.9"], ["prey.csv, trajectory b"]]


@pytest.mark.parametrize(("samples", "cut"), [(7, False), (8, True)])
def test_a_short_record_is_not_cut(write, samples, cut):
    rows = [*lines()[: samples - 1], "9,9,9"]
    with pytest.raises(ValueError, match="must hold a record") as raised:
        read([write("t,x,y", *rows)])
    assert ("cut at 1 gap" in str(raised.value)) == cut


def test_nothing_left_is_told_with_the_reasons(write):
    few = write("t,x,y", *lines()[:8], name="few.csv")
    message = (
        r"paths must hold a record of at least 9 samples, got none\. "
        r"few\.csv: 1 record of fewer than 9 samples left out \(the first is few\.csv, with 8\)\. "
        r"prey\.csv: 20 rows with missing values left out \(the first in line 2\)\. .* Give longer records"
    )
    with pytest.raises(ValueError, match=message):
        read([few, write("t,x,y", *["0,,"] * 20)])
    assert len(read([few, write("t,x,y", *lines()[:16])]).records) == 1


def test_short_records_are_read_with_a_warning_if_there_are_no_others(write):
    few, fewer, long = (write("t,x,y", *lines()[:size], name=f"{size}.csv") for size in (15, 8, 16))
    measured = read([few, fewer])
    assert [record.source for record in measured.records] == ["15.csv"]
    assert measured.warnings == (
        "8.csv: 1 record of fewer than 9 samples left out (the first is 8.csv, with 8).",
        "ALL records have fewer than 16 samples, at most 15: expect little of them.",
    )
    measured = read([few, long])
    assert [record.source for record in measured.records] == ["16.csv"]
    assert measured.warnings == ("15.csv: 1 record of fewer than 16 samples left out (the first is 15.csv, with 15).",)


def test_a_state_that_never_changes_is_told(write):
    def rows(y):
        return [f"{k},{k},{y(k)}" for k in range(20)]

    still = write("t,x,y", *rows(lambda k: 3), name="still.csv")
    other = write("t,x,y", *rows(lambda k: 4), name="other.csv")
    assert read([still, other]).warnings == ("y never changes in any record: its equation will be 0.",)
    assert read([still, other, write("t,x,y", *rows(lambda k: k % 2))]).warnings == ()


def test_npz(npz):
    measured = read([npz(**{"t [s]": TIMES, "x (m)": STATES[:, 0], "y": STATES[:, 1]})])
    require_circle(measured)
    assert measured.units == {"t": "s", "x": "m"}
    assert measured.records[0].source == "prey.npz"


@pytest.mark.parametrize("times", [TIMES, np.stack([TIMES, TIMES + 1])], ids=["shared", "own"])
def test_npz_of_several_trajectories(npz, times):
    x = np.stack([np.cos(TIMES), np.sin(TIMES)])
    on = np.arange(20) > 9
    path = npz(t=times, x=x, y=np.float32(x), on=on, steps=np.arange(20), numbers=np.zeros(3))
    measured = read([path], states=["x", "y"], inputs=["on", "steps"])
    assert [record.source for record in measured.records] == ["prey.npz, trajectory 0", "prey.npz, trajectory 1"]
    second = measured.records[1]
    np.testing.assert_array_equal(second.times, np.broadcast_to(times, (2, 20))[1])
    np.testing.assert_array_equal(second.states, np.stack([x[1], np.float32(x[1])], axis=1))
    np.testing.assert_array_equal(second.inputs, np.stack([on, np.arange(20)], axis=1))
    assert {array.dtype for array in (second.states, second.inputs)} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["b", "a"], ["b", "a"]),
        ([b"b", b"a"], ["b", "a"]),
        ([7, 3], ["7", "3"]),
        ([7.0, 2.5], ["7", "2.5"]),
    ],
)
def test_an_array_tells_trajectories_apart(npz, values, names):
    run = np.repeat(values, 20)
    measured = read([npz(t=np.tile(TIMES, 2), x=np.arange(40.0), run=run)], trajectory="run")
    assert [record.source for record in measured.records] == [f"prey.npz, trajectory {name}" for name in names]


def test_places_in_arrays(npz):
    x = np.ones((2, 20))
    x[1, 3] = np.nan
    run = np.repeat([0.0, np.nan], 20)
    measured = read([npz(t=TIMES, x=x)])
    assert "prey.npz: 1 row with missing values left out (the first at sample 3 of trajectory 1)." in measured.warnings
    measured = read([npz(t=np.tile(TIMES, 2), x=np.arange(40.0), run=run)], trajectory="run")
    assert measured.warnings == ("prey.npz: 20 rows with missing values left out (the first at sample 20).",)
    with pytest.raises(ValueError, match=r"prey\.npz, sample 5: t must increase, got 0\.4 after 0\.5"):
        read([npz(t=np.insert(TIMES, 4, 0.5), x=np.arange(21))])


X = r"prey\.npz: array 'x' must "


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(20) + 1j, X + r"hold real numbers, .*, got complex128 and the shape \(20,\)\. Convert it, or leave"),
        (np.ones((2, 2, 20)), X + r"hold .* \[times\] or \[trajectories, times\], got float64 and the shape \(2, 2, "),
        (np.float64(1), X + r"hold .*, got float64 and the shape \(\)"),
        (np.array(["a"] * 20), X + r"hold real numbers, .*, got <U1 and"),
        (np.array([None] * 20), X + r"hold numbers, got Python objects or a torn file: .* Convert it, or leave"),
        (np.ones(19), X + r"have the shape \(20,\) of 't', or \(20,\), got \(19,\)\. Arrays are \[times\]"),
    ],
)
def test_arrays_that_do_not_fit(npz, x, message):
    path = npz(t=TIMES, x=x, y=TIMES)
    with pytest.raises(ValueError, match=message):
        read([path])
    assert read([path], states=["y"]).states == ("y",)


def test_arrays_that_do_not_fit_several_trajectories(npz):
    with pytest.raises(ValueError, match=r"array 't' must have the shape \(20, 2\) of 'x', or \(2,\), got \(20,\)"):
        read([npz(t=TIMES, x=STATES)])
    with pytest.raises(ValueError, match=r"array 'run' must have the shape \(2, 20\) of 'x', or \(20,\), got \(2,\)"):
        read([npz(t=TIMES, x=STATES.T, run=np.arange(2))], trajectory="run")


def test_arrays_without_samples_and_other_archives(npz, tmp_path):
    with pytest.raises(ValueError, match=r"prey\.npz: the file must hold at least one row"):
        read([npz(t=TIMES[:0], x=TIMES[:0])])
    with pytest.raises(ValueError, match=r"names of columns must differ, got 'x' twice"):
        read([npz(**{"t": TIMES, "x": TIMES, "x [m]": TIMES})])
    (tmp_path / "prey.npz").write_text("t,x,y")
    with pytest.raises(ValueError, match=r"prey\.npz: the file must be an NPZ archive\. Write it with np\.savez"):
        read([tmp_path / "prey.npz"])


def test_netcdf(netcdf):
    measured = read([netcdf(t=(TIMES, {"units": "s"}), x=(STATES[:, 0], {"units": "m"}), y=(STATES[:, 1], {}))])
    require_circle(measured)
    assert measured.units == {"t": "s", "x": "m"}


def test_netcdf_of_several_trajectories_scaled_and_with_missing_values(netcdf):
    x = np.tile(np.arange(20, dtype=np.int16), (2, 1))
    x[1, 3] = -9
    attributes = {"scale_factor": 0.5, "add_offset": 1.0, "missing_value": np.int16(-9)}
    measured = read([netcdf(t=(TIMES, {}), x=(x, attributes))])
    assert [record.source for record in measured.records] == ["prey.nc, trajectory 0", "prey.nc, trajectory 1"]
    np.testing.assert_array_equal(measured.records[0].states[:, 0], 1 + 0.5 * np.arange(20))
    np.testing.assert_array_equal(measured.records[1].times, np.delete(TIMES, 3))
    assert measured.warnings == (
        "prey.nc: 1 row with missing values left out (the first at sample 3 of trajectory 1).",
    )


def test_other_netcdf_is_refused(netcdf, tmp_path):
    path = netcdf(t=(TIMES, {}), x=(TIMES, {}), name=(np.array([b"a", b"-"]), {"missing_value": b"-"}))
    with pytest.raises(ValueError, match=r"prey\.nc: array 'name' must hold real numbers, .*, got \|S1 and the shape"):
        read([path])
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"prey\.nc: the file must be complete, got: .*\. Copy it again"):
        read([path])
    for signature, got in ((b"\x89HDF\r\n\x1a\n", "NetCDF 4, which is HDF5"), (b"CDF\x05", r"b'CDF\\x05'")):
        (tmp_path / "prey.nc").write_bytes(signature + b"rest")
        message = (
            rf"prey\.nc: the file must be NetCDF 3 classic, got {got}\. .*`nccopy -k classic prey\.nc classic\.nc`"
        )
        with pytest.raises(ValueError, match=message):
            read([tmp_path / "prey.nc"])
