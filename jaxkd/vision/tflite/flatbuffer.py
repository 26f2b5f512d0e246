"""Tables of a flatbuffer, read within the bounds of its bytes."""

import contextlib
import struct
from collections.abc import Iterator

import numpy as np
from flatbuffers import number_types, table
from jaxtyping import Shaped
from numpy.typing import DTypeLike

INT8, UINT8, INT32, UINT32 = (
    number_types.Int8Flags,
    number_types.Uint8Flags,
    number_types.Int32Flags,
    number_types.Uint32Flags,
)
BOOL = number_types.BoolFlags

_FIRST_SLOT, _SLOT_SIZE, _OFFSET_SIZE = 4, 2, 4


class FlatTable:
    """Table in the bytes of a file; fields are read by their number in the schema, and may be absent."""

    def __init__(self, content: bytes, position: int):
        self._content = content
        self._table = table.Table(content, position)

    def number(self, field: int, flags: type, default: int = 0) -> int:
        """Return an integer or a boolean, `default` if it is absent.

        Raises:
            ValueError: a place outside of the file, as for all methods.
        """
        with _within_file():
            offset = self._offset(field)
            return default if offset is None else int(self._table.Get(flags, self._table.Pos + offset))

    def text(self, field: int) -> str:
        """Return a string, empty if it is absent."""
        return bytes(self.array(field, np.uint8)).decode(errors="replace")

    def array(self, field: int, dtype: DTypeLike) -> Shaped[np.ndarray, " n"]:
        """Return a vector of numbers, empty if it is absent."""
        with _within_file():
            if (offset := self._offset(field)) is None:
                return np.zeros(0, dtype)
            start, length = self._table.Vector(offset), self._table.VectorLen(offset)
            return np.frombuffer(self._content, np.dtype(dtype).newbyteorder("<"), count=length, offset=start)

    def table(self, field: int) -> "FlatTable | None":
        """Return a table, also one of a union; None if it is absent."""
        with _within_file():
            if (offset := self._offset(field)) is None:
                return None
            return FlatTable(self._content, self._table.Indirect(self._table.Pos + offset))

    def tables(self, field: int) -> "list[FlatTable]":
        """Return the tables of a vector, none if it is absent."""
        with _within_file():
            if (offset := self._offset(field)) is None:
                return []
            start = self._table.Vector(offset)
            count = len(self.array(field, np.uint32))
            places = range(start, start + count * _OFFSET_SIZE, _OFFSET_SIZE)
            return [FlatTable(self._content, self._table.Indirect(place)) for place in places]

    def _offset(self, field: int) -> int | None:
        return self._table.Offset(_FIRST_SLOT + _SLOT_SIZE * field) or None


def root(content: bytes) -> FlatTable:
    """Return the table that a file begins with.

    Raises:
        ValueError: a place outside of the file.
    """
    with _within_file():
        return FlatTable(content, table.Table(content, 0).Indirect(0))


@contextlib.contextmanager
def _within_file() -> Iterator[None]:
    """Turn the errors of places outside of the file into one.

    `struct` and NumPy raise theirs beyond its end, and flatbuffers, for a negative one, a TypeError.
    """
    try:
        yield
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError(f"an offset must lead to a place within the file, got one beyond ({error})") from error
