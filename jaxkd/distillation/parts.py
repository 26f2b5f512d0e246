"""Frozen parts of a recipe: what each looks like before anything is loaded, and the part itself."""

from collections.abc import Mapping
from typing import Protocol

from jaxkd.typing import Params


class Part(Protocol):
    """Arrays that a loss reads and no step changes: a teacher, a reference, a table between vocabularies."""

    def abstract(self) -> Params:
        """Shapes, dtypes and shardings of what `load` returns; loads no weights."""
        ...

    def load(self) -> Params:
        """Arrays, sharded under the ambient mesh."""
        ...


def abstract_parts(parts: Mapping[str, Part]) -> Params:
    """Shapes of all parts, by their names."""
    return {name: part.abstract() for name, part in parts.items()}


def load_parts(parts: Mapping[str, Part]) -> Params:
    """All parts, by their names."""
    return {name: part.load() for name, part in parts.items()}
