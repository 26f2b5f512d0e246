"""Fields of a mapping in a suite's YAML, read with a fault for each that is not what it must be."""

import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jaxkd.runtime.storage.lined_yaml import LinedMapping

Choice = TypeVar("Choice", bound=str)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of a file of a suite."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.text}"


class Fields:
    """Fields of a mapping in a suite's file; a fault is noted with its line, and a default takes its place."""

    def __init__(self, found: LinedMapping, path: Path, faults: list[Fault]) -> None:
        self.found, self.path, self.faults = found, path, faults

    def fault(self, key: str, text: str) -> None:
        """Note a fault at the line of a key."""
        self.faults.append(Fault(path=self.path, line=self.found.line_of(key), text=text))

    def known(self, names: Sequence[str]) -> None:
        """Note each key that is none of `names`."""
        for key in self.found:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                self.fault(key, f"{key} must be one of {', '.join(names)}.{hint}")

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text, which must not be empty unless there is a default."""
        value = self.found.get(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and key in ("version", "id"):
            value = str(value)  # YAML reads 1 and 1.0 as numbers
        if not isinstance(value, str) or (default is None and not value.strip()):
            self.fault(key, f"{key} must be a text, got {shown(value)}.")
            return default or "?"
        return value

    def one_of(self, key: str, choices: Sequence[Choice], default: Choice | None = None) -> Choice:
        """Return one of some texts; the first of them after a fault."""
        value = self.found.get(key, default)
        if value not in choices:
            self.fault(key, f"{key} must be one of {', '.join(choices)}, got {shown(value)}.")
            return choices[0]
        return choices[choices.index(value)]

    def texts(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.found.get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
            self.fault(key, f"{key} must be a list of texts that are not empty, got {shown(value)}. Quote them.")
            return tuple(default)
        return tuple(value)

    def number(self, key: str, default: float, *, least: float, whole: bool) -> float:
        """Return a finite number of at least `least`."""
        value = self.found.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else int | float)
            or not least <= value < float("inf")
        ):
            name = "a whole number" if whole else "a number"
            self.fault(key, f"{key} must be {name} of at least {least}, got {shown(value)}.")
            return default
        return value

    def mapping(self, key: str) -> "Fields | None":
        """Return the fields of a mapping; None if there is none."""
        value = self.found.get(key)
        if isinstance(value, LinedMapping):
            return Fields(value, self.path, self.faults)
        if value is not None:
            self.fault(key, f"{key} must be a mapping, got {shown(value)}.")
        return None

    def mappings(self, key: str) -> Iterator["Fields"]:
        """Yield the fields of each mapping of a list."""
        value = self.found.get(key)
        if not isinstance(value, list) or not value:
            self.fault(key, f"{key} must be a list of at least one mapping, got {shown(value)}.")
            return
        for one in value:
            if isinstance(one, LinedMapping):
                yield Fields(one, self.path, self.faults)
            else:
                self.fault(key, f"{key} must be a list of mappings, got {shown(one)} in it.")


def shown(value: Any) -> str:
    """Return a value for a message."""
    return "nothing" if value is None else f"{value!r}"
