"""Configs as JSON: frozen dataclasses encoded and decoded to equal objects, and the differences of two.

A dataclass is written as its fields plus `"type": "package:Class"`, the public path by which users import it, so
that files can move within a package and stored configs stay readable.  A class whose fields have changed turns those of
older configs into today's by a class method `upgraded`; one that has another name today stands in `_RENAMED`.  This is
the only place in the library where a string names code; a test decodes every config that the repository ships.
"""

import dataclasses
import importlib
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxkd.runtime.storage.files import read_json, write_json

_SCALARS = (str, int, float, bool, type(None))
_NUMBER = "number"
"""Key of a number that JSON lacks: inf, -inf or nan."""
_RENAMED = {"jaxkd.evals:LikelihoodJudge": "jaxkd.evals:ScoringJudge"}
"""Public path today of each class that had another one."""


def encode(config: Any) -> Any:
    """Encode a config as JSON values.

    Args:
        config: dataclasses, tuples, strings, numbers, booleans and None, in any nesting.

    Raises:
        TypeError: any other type, which would not decode to an equal value.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        kind = type(config)
        fields = {field.name: encode(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {"type": public_path(kind), **fields}
    if isinstance(config, tuple):
        return [encode(item) for item in config]
    if isinstance(config, float) and not math.isfinite(config):
        return {_NUMBER: str(config)}
    if isinstance(config, _SCALARS):
        return config
    raise TypeError(
        f"a config must hold dataclasses, tuples, strings, numbers, booleans and None, got {type(config).__name__}."
    )


def public_path(kind: type) -> str:
    """Return the outermost package that exports a class, as "package:Class"; its module if none does.

    Example:
        >>> from jaxkd.losses import ForwardKL
        >>> public_path(ForwardKL)
        'jaxkd.losses:ForwardKL'
    """
    for package in itertools.accumulate(kind.__module__.split("."), "{}.{}".format):
        if getattr(sys.modules.get(package), kind.__qualname__, None) is kind:
            return f"{package}:{kind.__qualname__}"
    return f"{kind.__module__}:{kind.__qualname__}"


def decode(value: Any) -> Any:
    """Invert `encode`; lists become tuples.

    Raises:
        ValueError: a type that does not exist, or fields that its class does not have.
    """
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    if value.keys() == {_NUMBER}:
        return float(value[_NUMBER])
    name = str(value.get("type", ""))
    name = _RENAMED.get(name, name)
    module, _, qualname = name.partition(":")
    try:
        kind = getattr(importlib.import_module(module or "jaxkd"), qualname or "")
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"type must name a dataclass that can be imported, as 'module:Class', got {name!r}. It was moved or "
            "renamed, or is defined in a config file: move it into a module."
        ) from error
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"type must name a dataclass, as 'module:Class', got {name!r}.")
    stored = {key: decode(item) for key, item in value.items() if key != "type"}
    fields = getattr(kind, "upgraded", dict)(stored)
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise ValueError(f"{name} has no field {', '.join(unknown)}. Its fields are {', '.join(sorted(known))}.")
    return kind(**fields)


def save(path: Path, config: Any) -> None:
    """Write a config for `load` to read."""
    write_json(path, encode(config))


def load(path: Path) -> Any:
    """Read a config of `save`.

    Raises:
        ValueError: a damaged file, or as `decode`; the file is named.
    """
    value = read_json(path)
    try:
        return decode(value)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def differences(old: Any, new: Any) -> list[str]:
    """List `field: old -> new` for every leaf that differs.

    Example:
        >>> from jaxkd.training.optimizer import Optimizer
        >>> differences(Optimizer(learning_rate=0.1), Optimizer(learning_rate=0.2))
        ['learning_rate: 0.1 -> 0.2']
    """
    return [f"{path}: {json.dumps(a)} -> {json.dumps(b)}" for path, a, b in _leaves(encode(old), encode(new), "")]


def _leaves(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the leaves in which two JSON values differ, or the smallest incomparable parts."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        for name in old:
            yield from _leaves(old[name], new[name], f"{path}.{name}" if path else name)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _leaves(*pair, f"{path}.{index}")
    elif old != new:
        yield path, old, new
