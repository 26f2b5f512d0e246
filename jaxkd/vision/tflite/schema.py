"""Contents of a TFLite file: tensors, and the operations between them, by the schema of version 3.

Source: the schema of tensorflow/tensorflow, lite/schema/schema.fbs, whose numbers of fields and of operators these are.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Shaped

from jaxkd.vision.tflite import flatbuffer
from jaxkd.vision.tflite.flatbuffer import INT8, INT32, UINT32, FlatTable
from jaxkd.vision.tflite.operator_names import CUSTOM, operator_name

VERSION = 3
IDENTIFIER = b"TFL3"

_DTYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float16), 2: np.dtype(np.int32)}
_TYPES = (
    "FLOAT32 FLOAT16 INT32 UINT8 INT64 STRING BOOL INT16 COMPLEX64 INT8 FLOAT64 COMPLEX128 UINT64 RESOURCE VARIANT "
    "UINT32 UINT16 INT4 BFLOAT16"
)
_TYPE_NAMES = _TYPES.split()

_Any = TypeVar("_Any")

_NOTHING = -1
"""Index of an optional input that is left out."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GraphTensor:
    """Tensor of the file."""

    name: str
    shape: tuple[int, ...]
    """Shape for one image: the first axis of what is computed has the length 1."""
    kind: str
    """Name of the type of its numbers."""
    values: Shaped[np.ndarray, "..."] | None
    """Numbers that the file holds; None for what is computed, or is of a type that is not read."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """Operation of the file."""

    kind: str
    """Name of the operator: that of the schema, or a custom operator's own."""
    version: int
    """Version of the operator."""
    inputs: tuple[int | None, ...]
    """Indices of tensors; None for one that is left out."""
    outputs: tuple[int, ...]
    options: FlatTable | None
    custom_options: bytes


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Tensors and operations of a file, in the order of computation."""

    tensors: tuple[GraphTensor, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse(content: bytes) -> Graph:
    """Return the graph of a TFLite file.

    Args:
        content: bytes of the file.

    Raises:
        ValueError: another format or version, several graphs, or offsets, indices and sizes that contradict each other.
    """
    if content[4:8] != IDENTIFIER:
        raise ValueError(f"bytes 4 to 7 must be {IDENTIFIER!r}, the mark of version {VERSION}, got {content[4:8]!r}")
    model = flatbuffer.root(content)
    if (version := model.number(0, UINT32)) != VERSION:
        raise ValueError(f"the version must be {VERSION}, got {version}")
    graphs, buffers = model.tables(2), model.tables(4)
    if len(graphs) != 1:
        raise ValueError(f"the file must hold one graph, got {len(graphs)}")
    codes = [_operator(code) for code in model.tables(1)]
    (graph,) = graphs
    tensors = tuple(_tensor(table, buffers) for table in graph.tables(0))
    return Graph(
        tensors=tensors,
        operations=tuple(_operation(table, codes, len(tensors)) for table in graph.tables(3)),
        inputs=_indices(graph, 1, len(tensors)),
        outputs=_indices(graph, 2, len(tensors)),
    )


def _operator(code: FlatTable) -> tuple[str, int]:
    # Numbers beyond 127 did not fit into the older field.
    number = max(code.number(0, INT8), code.number(3, INT32))
    return (code.text(1) if number == CUSTOM else operator_name(number)), code.number(2, INT32, 1)


def _tensor(table: FlatTable, buffers: list[FlatTable]) -> GraphTensor:
    name, number = table.text(3), table.number(1, INT8)
    shape = tuple(int(length) for length in table.array(0, np.int32))
    content = _item(buffers, table.number(2, UINT32), "buffer").array(0, np.uint8)
    kind = _TYPE_NAMES[number] if 0 <= number < len(_TYPE_NAMES) else f"type {number}"
    values = None
    if len(content) and number in _DTYPES:
        dtype = _DTYPES[number]
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise ValueError(
                f"tensor {name!r} of shape {shape} must have {math.prod(shape) * dtype.itemsize} bytes, "
                f"got {len(content)}"
            )
        values = np.frombuffer(content.tobytes(), dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    return GraphTensor(name=name, shape=shape, kind=kind, values=values)


def _operation(table: FlatTable, codes: list[tuple[str, int]], tensors: int) -> Operation:
    kind, version = _item(codes, table.number(0, UINT32), "operator")
    inputs = (None if index == _NOTHING else index for index in table.array(1, np.int32).tolist())
    return Operation(
        kind=kind,
        version=version,
        inputs=tuple(None if index is None else _checked(index, tensors) for index in inputs),
        outputs=_indices(table, 2, tensors),
        options=table.table(4),
        custom_options=table.array(5, np.uint8).tobytes(),
    )


def _indices(table: FlatTable, field: int, tensors: int) -> tuple[int, ...]:
    return tuple(_checked(index, tensors) for index in table.array(field, np.int32).tolist())


def _checked(index: int, tensors: int) -> int:
    _item(range(tensors), index, "tensor")
    return index


def _item(items: Sequence[_Any], index: int, what: str) -> _Any:
    if not 0 <= index < len(items):
        raise ValueError(f"the index of a {what} must be in [0, {len(items)}), got {index}")
    return items[index]
