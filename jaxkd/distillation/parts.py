"""Frozen parts of a recipe: their abstract shapes, and the loaded arrays."""

from collections.abc import Mapping
from typing import Protocol

from jaxkd.typing import Params


class Part(Protocol):
    """Frozen arrays that a loss reads: a teacher, a reference, a table between vocabularies."""

    def abstract(self) -> Params:
        """Shapes, dtypes and shardings of what `load` returns; loads no weights."""
        ...

    def load(self) -> Params:
        """Load the arrays, sharded under the ambient mesh."""
        ...


def abstract_parts(parts: Mapping[str, Part]) -> Params:
    """Return the shapes of all parts, by name."""
    return {name: part.abstract() for name, part in parts.items()}


def load_parts(parts: Mapping[str, Part]) -> Params:
    """Load all parts, by name."""
    return {name: part.load() for name, part in parts.items()}
