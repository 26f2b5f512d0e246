"""Fields of JSON files, whose faults are named with the file and the entry."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Float

Value = TypeVar("Value")


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds an object.

    Raises:
        ValueError: a file that is no JSON, or holds something else.
        FileNotFoundError: a missing file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, got {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object at its root, got {type(content).__name__}.")
    return content


def field(entry: Any, name: str, type_: type[Value], *, where: str) -> Value:
    """Return a field of an object.

    Args:
        entry: the object.
        name: of the field.
        type_: that it must have; a float may be an int.
        where: file and entry, for messages.

    Raises:
        ValueError: no object, or a field that is missing or of another type.
    """
    value = entry.get(name) if isinstance(entry, Mapping) else None
    fits = isinstance(value, (int, float) if type_ is float else type_)
    if not fits or (isinstance(value, bool) and type_ is not bool):
        present = ", ".join(map(str, list(entry)[:6])) if isinstance(entry, Mapping) else type(entry).__name__
        got = f"{str(value)[:60]!r}" if value is not None else f"only {present or 'nothing'}"
        raise ValueError(f"{where} must have a field {name} of type {type_.__name__}, got {got}.")
    return cast(Value, value)


def numbers(values: Any, shape: Sequence[int | None], *, where: str) -> Float[np.ndarray, "..."]:
    """Return nested lists as an array, float64.

    Args:
        values: nested lists of numbers.
        shape: required shape; None: any length.
        where: file and entry, for messages.

    Raises:
        ValueError: something that is no number, or another shape.
    """
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{where} must be numbers of the shape {_text(shape)}, got {str(values)[:60]!r}.") from None
    if len(found.shape) != len(shape) or any(
        one not in (None, two) for one, two in zip(shape, found.shape, strict=True)
    ):
        raise ValueError(f"{where} must be numbers of the shape {_text(shape)}, got the shape {found.shape}.")
    return found


def _text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("n" if one is None else str(one) for one in shape) + "]"
