"""Tables of measured columns: text, NPZ and NetCDF 3, read so that every error is reported with its location."""

import abc
import csv
import dataclasses
import functools
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float

_MISSING = ("", "NA")
"""Missing values, in any case, besides nan and inf, which Python reads."""

_WITH_UNIT = re.compile(r"(?P<name>.*?)\s*(?:\[(?P<bracketed>.*)\]|\((?P<parenthesised>.*)\))", re.DOTALL)
_QUOTED_OR_UNIT = re.compile(r'"[^"]*"|\[[^]]*\]|\([^)]*\)')
_SPACED_NAME = re.compile(r'(?:"[^"]*"|[^\s\[(]+)(?:\s*(?:\[[^]]*\]|\([^)]*\)))?')
_SPACED_CELL = re.compile(r'"[^"]*"|\S+')
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_CLASSIC = (b"CDF\x01", b"CDF\x02")
_HDF5 = b"\x89HDF"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Some columns of a file, with the rows of all its trajectories one after another."""

    values: Float[np.ndarray, "rows columns"]
    """Values, nan or infinite if missing."""
    trajectories: Sequence[str] | None
    """Name of each row's trajectory, "" if missing; None if the file does not distinguish trajectories."""
    where: Callable[[int], str]
    """Location of a row in the file, "in line 12" or "at sample 11"."""
    at: Callable[[int], str]
    """File and location of a row, "prey.csv:12" or "prey.npz, sample 11"."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Table(abc.ABC):
    """A file whose header is read."""

    source: str
    """Display name of the file."""
    names: tuple[str, ...]
    units: Mapping[str, str]

    @abc.abstractmethod
    def rows(self, columns: Sequence[str], trajectory: str | None) -> Rows:
        """Read columns as numbers; `trajectory` is a column whose values, of any type, name trajectories.

        Raises:
            ValueError: a cell or an array that is not numeric, lengths that differ, no rows.
        """


def read(path: Path, source: str) -> Table:
    """Read a file in the format of its suffix.

    Raises:
        ValueError: an unknown suffix, no header, two columns with one name, or content in another format.
        FileNotFoundError: the file does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"paths must name existing files, got {str(path)!r} ({path.absolute()}).")
    reader = _FORMATS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{source}: the file must end in {', '.join(_FORMATS)}, got {path.suffix!r}. Convert it to one of them."
        )
    return reader(path, source)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _TextTable(Table):
    cells: Sequence[Sequence[str]]
    lines: Sequence[int]

    def rows(self, columns: Sequence[str], trajectory: str | None) -> Rows:
        places = [self.names.index(column) for column in columns]
        values = np.empty((len(self.cells), len(columns)))
        for row, cells in enumerate(self.cells):
            for column, place in enumerate(places):
                try:
                    values[row, column] = _number(cells[place])
                except ValueError as error:
                    raise ValueError(self._no_number(row, columns[column], cells[place])) from error
        label = None if trajectory is None else self.names.index(trajectory)
        return Rows(
            values=values,
            trajectories=None if label is None else [cells[label] for cells in self.cells],
            where=lambda row: f"in line {self.lines[row]}",
            at=self._at,
        )

    def _at(self, row: int) -> str:
        return f"{self.source}:{self.lines[row]}"

    def _no_number(self, row: int, column: str, cell: str) -> str:
        fix = "Correct the cell, leave it empty, or leave the column out with --states."
        if _DECIMAL_COMMA.fullmatch(cell):
            fix = "Decimal commas are not supported: write a point, as in 1.5."
        return f"{self._at(row)}: {column} must be a number, got {cell!r}. {fix}"


def _text(path: Path, source: str) -> _TextTable:
    try:
        # `splitlines` would count more lines than an editor.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{source}: the file must be UTF-8, got {error.reason} at byte {error.start}. Save it as UTF-8."
        ) from error
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and line.lstrip()[0] != "#"]
    numbers, written = [number for number, _ in filled], [line for _, line in filled]
    delimiter = _delimiter(written[0]) if written else ","
    rows, ends = _cells(written, delimiter, source)
    if not rows or all(_is_number(cell) for cell in rows[0]):
        got = repr(written[0][:40]) if written else "nothing"
        raise ValueError(
            f"{source}: the file must begin with a header, the names of its columns, got {got}. "
            "Add that line, without a # before it."
        )
    names, units = _header(rows[0], source)
    for cells, end in zip(rows[1:], ends[1:], strict=True):
        if len(cells) != len(names):
            between = {" ": "white space", "\t": "tabs"}.get(delimiter, repr(delimiter))
            raise ValueError(
                f"{source}:{numbers[end]}: a row must have a cell for each of the {len(names)} columns, got "
                f"{len(cells)}, with {between} between them. Correct the row, or the header."
            )
    if not rows[1:]:
        raise _without_rows(source)
    return _TextTable(source=source, names=names, units=units, cells=rows[1:], lines=[numbers[end] for end in ends[1:]])


def _delimiter(header: str) -> str:
    """Return the delimiter of the names, " " for white space of any length; ignores quotes and units."""
    bare = _QUOTED_OR_UNIT.sub("", header)
    return next((delimiter for delimiter in "\t;," if delimiter in bare.strip()), " ")


def _cells(lines: Sequence[str], delimiter: str, source: str) -> tuple[list[list[str]], list[int]]:
    """Return the cells of each row, and the index of its last line."""
    if delimiter == " ":
        rows = [
            [cell.replace('"', "") for cell in (_SPACED_CELL if row else _SPACED_NAME).findall(line)]
            for row, line in enumerate(lines)
        ]
        return rows, list(range(len(lines)))
    rows, ends = [], []
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
    try:
        for cells in reader:
            rows.append([cell.strip() for cell in cells])
            ends.append(reader.line_num - 1)
    except csv.Error as error:
        raise ValueError(f"{source}: quotes must enclose cells, got: {error}. Correct those of the file.") from error
    return rows, ends


def _number(cell: str) -> float:
    """Return the number in a cell, nan or infinite if missing.

    Raises:
        ValueError: no number.
    """
    if cell.upper() in _MISSING:
        return math.nan
    # Only Python reads 1_000 as a number.
    return float(cell.replace("_", "?"))


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return bool(_DECIMAL_COMMA.fullmatch(cell))
    return True


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _ArrayTable(Table):
    """Arrays `[times]` or `[trajectories, times]`; the former are shared by all trajectories."""

    array: Callable[[str], np.ndarray]
    """Function from a name, without the unit, to its array."""

    def rows(self, columns: Sequence[str], trajectory: str | None) -> Rows:
        arrays = {name: self._numbers(name) for name in columns}
        labels = {} if trajectory is None else {trajectory: self.array(trajectory)}
        like = max(arrays, key=lambda name: arrays[name].ndim)
        shape = arrays[like].shape
        for name, array in (arrays | labels).items():
            if array.shape not in (shape, shape[-1:]):
                raise ValueError(
                    f"{self.source}: array {name!r} must have the shape {shape} of {like!r}, or {shape[-1:]}, got "
                    f"{array.shape}. Arrays are [times] or [trajectories, times]; leave others out with --states."
                )
        if not math.prod(shape):
            raise _without_rows(self.source)
        several, samples = len(shape) == 2, shape[-1]

        def flat(array: np.ndarray) -> np.ndarray:
            return np.reshape(np.broadcast_to(array, shape), -1)

        def sample(row: int) -> str:
            return f"sample {row % samples}" + (f" of trajectory {row // samples}" if several else "")

        trajectories = [_label(value) for array in labels.values() for value in flat(array).tolist()]
        if trajectory is None and several:
            trajectories = [str(index) for index in range(shape[0]) for _ in range(samples)]
        return Rows(
            values=np.stack([flat(array) for array in arrays.values()], axis=1),
            trajectories=trajectories or None,
            where=lambda row: f"at {sample(row)}",
            at=lambda row: f"{self.source}, {sample(row)}",
        )

    def _numbers(self, name: str) -> Float[np.ndarray, "..."]:
        array = self.array(name)
        if array.dtype.kind not in "fiub" or array.ndim not in (1, 2):
            raise ValueError(
                f"{self.source}: array {name!r} must hold real numbers, [times] or [trajectories, times], got "
                f"{array.dtype} and the shape {array.shape}. Convert it, or leave it out with --states."
            )
        return array.astype(np.float64)


def _label(value: Any) -> str:
    """Return a trajectory's name; "" for nan."""
    if isinstance(value, float):
        return "" if math.isnan(value) else str(value).removesuffix(".0")
    return value.decode() if isinstance(value, bytes) else str(value)


def _npz(path: Path, source: str) -> _ArrayTable:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{source}: the file must be an NPZ archive. Write it with np.savez.")
    with np.load(path) as archive:
        keys = archive.files
    names, units = _header(keys, source)
    array = functools.partial(_npz_array, path, source, dict(zip(names, keys, strict=True)))
    return _ArrayTable(source=source, names=names, units=units, array=array)


def _npz_array(path: Path, source: str, keys: Mapping[str, str], name: str) -> np.ndarray:
    with np.load(path) as archive:
        try:
            return np.asarray(archive[keys[name]])
        except (ValueError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{source}: array {name!r} must hold numbers, got Python objects or a torn file: {error}. "
                "Convert it, or leave it out with --states."
            ) from error


def _netcdf(path: Path, source: str) -> _ArrayTable:
    with path.open("rb") as file:
        signature = file.read(4)
    if signature not in _CLASSIC:
        got = "NetCDF 4, which is HDF5" if signature == _HDF5 else repr(signature)
        raise ValueError(
            f"{source}: the file must be NetCDF 3 classic, got {got}. "
            f"Convert it, for instance by `nccopy -k classic {path.name} classic.nc`."
        )
    # Scaled, and masked where the file marks a value as missing.
    try:
        with scipy.io.netcdf_file(path, mmap=False, maskandscale=True) as file:
            variables = dict(file.variables)
            found = [_filled(variable[...]) for variable in variables.values()]
    except (ValueError, IndexError) as error:
        raise ValueError(f"{source}: the file must be complete, got: {error}. Copy it again.") from error
    names, units = _header(list(variables), source)
    for name, variable in zip(names, variables.values(), strict=True):
        unit = getattr(variable, "units", b"")
        unit = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
        units |= {name: unit.strip()} if unit.strip() else {}
    return _ArrayTable(source=source, names=names, units=units, array=dict(zip(names, found, strict=True)).__getitem__)


def _filled(values: np.ndarray) -> np.ndarray:
    if not np.ma.isMaskedArray(values) or values.dtype.kind not in "fiu":
        return np.asarray(values)
    return np.ma.filled(values.astype(np.float64), np.nan)


def _header(cells: Sequence[str], source: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return names, and the units that are stated."""
    names, units = [], {}
    for cell in cells:
        match = _WITH_UNIT.fullmatch(cell.strip())
        name = cell.strip() if match is None else match["name"]
        unit = "" if match is None else (match["bracketed"] or match["parenthesised"] or "").strip()
        if name and name in names:
            raise ValueError(f"{source}: names of columns must differ, got {name!r} twice. Rename one of them.")
        names.append(name)
        units |= {name: unit} if unit else {}
    return tuple(names), units


def _without_rows(source: str) -> ValueError:
    return ValueError(f"{source}: the file must hold at least one row, got its header alone. Give another file.")


_FORMATS: Mapping[str, Callable[[Path, str], Table]] = {
    ".csv": _text,
    ".tsv": _text,
    ".txt": _text,
    ".npz": _npz,
    ".nc": _netcdf,
}
