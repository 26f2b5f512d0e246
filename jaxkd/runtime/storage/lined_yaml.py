"""YAML whose mappings know the lines of their keys, so that every fault can be reported with its line."""

from pathlib import Path
from typing import Any

import yaml


class LinedMapping(dict[str, Any]):
    """A mapping of a YAML file, and the line of each key, counted from 1."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        """Line where the mapping begins."""
        self.lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        """Return the line of a key, or that of the mapping for a key that is missing."""
        return self.lines.get(key, self.line)


class _Loader(yaml.SafeLoader):
    """Loader of plain values; a repeated key is a fault, where YAML would let the last one win."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> LinedMapping:
    found = LinedMapping(node.start_mark.line + 1)
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key, line = str(loader.construct_object(key_node, deep=True)), key_node.start_mark.line + 1
        if key in found:
            raise LinedError(line, f"{key} must stand once, got it in line {found.lines[key]} too. Remove one.")
        found[key], found.lines[key] = loader.construct_object(value_node, deep=True), line
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class LinedError(ValueError):
    """A fault of a YAML file, and its line."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def load(path: Path) -> LinedMapping:
    """Read a YAML file that holds one mapping.

    Raises:
        LinedError: a file that is not UTF-8, not YAML, or holds something else.
        OSError: no such file.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"an invalid byte, {error.reason}"
        line = data[: error.start].count(b"\n") + 1
        raise LinedError(line, f"the file must be UTF-8, got {encoding}. Save it as UTF-8.") from error
    try:
        found = yaml.load(text, _Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise LinedError(1 if mark is None else mark.line + 1, f"the file must be YAML, got {problem}.") from error
    if not isinstance(found, LinedMapping):
        raise LinedError(1, f"the file must hold a mapping, got {type(found).__name__}.")
    return found
