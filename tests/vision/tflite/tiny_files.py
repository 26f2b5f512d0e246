"""TFLite files that the tests write themselves, with the tables of the schema and nothing more."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9}
OPTIONS = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 2,
    "AVERAGE_POOL_2D": 5,
    "MAX_POOL_2D": 5,
    "FULLY_CONNECTED": 8,
    "ADD": 11,
    "RESIZE_BILINEAR": 15,
    "MUL": 21,
    "MEAN": 27,
}
"""Number of the table of options in the union, by operator."""
CODES = {
    "ADD": 0,
    "AVERAGE_POOL_2D": 1,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 9,
    "LOGISTIC": 14,
    "MAX_POOL_2D": 17,
    "MUL": 18,
    "RELU": 19,
    "RESIZE_BILINEAR": 23,
    "SOFTMAX": 25,
    "MEAN": 40,
    "HARD_SWISH": 117,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyTensor:
    name: str
    shape: tuple[int, ...]
    values: np.ndarray | None = None
    dtype: str = "float32"


def constant(name: str, values: Any) -> TinyTensor:
    array = np.asarray(values)
    return TinyTensor(name=name, shape=array.shape, values=array, dtype=array.dtype.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyOperation:
    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Mapping[int, tuple[str, int]] = dataclasses.field(default_factory=dict)
    """Type ("Int8", "Int32", "Bool") and value of each field."""
    custom_options: bytes = b""


def write(
    path: Path,
    tensors: Sequence[TinyTensor],
    operations: Sequence[TinyOperation],
    *,
    inputs: Sequence[int],
    outputs: Sequence[int],
    version: int = 3,
    graphs: int = 1,
) -> Path:
    """Write a file."""
    builder = flatbuffers.Builder(1024)
    kinds = sorted({operation.kind for operation in operations})

    def table(fields: Mapping[int, tuple[str, Any]], slots: int) -> int:
        builder.StartObject(slots)
        for field, (kind, value) in fields.items():
            if kind == "Offset":
                builder.PrependUOffsetTRelativeSlot(field, value, 0)
            else:
                getattr(builder, f"Prepend{kind}Slot")(field, value, None)
        return builder.EndObject()

    def vector(items: Sequence[Any], size: int, prepend: Callable[[Any], None]) -> int:
        builder.StartVector(size, len(items), size)
        for item in reversed(items):
            prepend(item)
        return builder.EndVector()

    def numbers(items: Sequence[int]) -> int:
        return vector(items, 4, builder.PrependInt32)

    def offsets(items: Sequence[int]) -> int:
        return vector(items, 4, builder.PrependUOffsetTRelative)

    def data(values: np.ndarray | bytes) -> int:
        content = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
        builder.StartVector(1, len(content), 16)
        builder.head -= len(content)
        builder.Bytes[builder.head : builder.head + len(content)] = content
        return builder.EndVector()

    buffers = [table({}, 1)]
    described = []
    for tensor in tensors:
        place = 0
        if tensor.values is not None:
            place = len(buffers)
            content = data(tensor.values)
            buffers.append(table({0: ("Offset", content)}, 1))
        name, shape = builder.CreateString(tensor.name), numbers(tensor.shape)
        described.append((name, shape, TYPES[tensor.dtype], place))
    tables = [
        table({0: ("Offset", shape), 1: ("Int8", kind), 2: ("Uint32", place), 3: ("Offset", name)}, 4)
        for name, shape, kind, place in described
    ]
    steps = []
    for operation in operations:
        fields: dict[int, tuple[str, Any]] = {
            0: ("Uint32", kinds.index(operation.kind)),
            1: ("Offset", numbers(operation.inputs)),
            2: ("Offset", numbers(operation.outputs)),
        }
        if operation.options:
            fields[3] = ("Uint8", OPTIONS[operation.kind])
            fields[4] = ("Offset", table(operation.options, 8))
        if operation.custom_options:
            fields[5] = ("Offset", data(operation.custom_options))
        steps.append(table(fields, 6))
    graph_fields = {0: offsets(tables), 1: numbers(inputs), 2: numbers(outputs), 3: offsets(steps)}
    graph = table({field: ("Offset", value) for field, value in graph_fields.items()}, 4)
    codes = []
    for kind in kinds:
        number = CODES.get(kind, 32)
        names = {} if kind in CODES else {1: ("Offset", builder.CreateString(kind))}
        codes.append(table({0: ("Int8", min(number, 127)), **names, 2: ("Int32", 1), 3: ("Int32", number)}, 4))
    fields = {1: offsets(codes), 2: offsets([graph] * graphs), 4: offsets(buffers)}
    root = table({0: ("Uint32", version), **{field: ("Offset", value) for field, value in fields.items()}}, 5)
    builder.Finish(root, file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def convolution_options(
    *, kind: str = "CONV_2D", padding: int = 0, strides=(1, 1), dilations=(1, 1), activation: int = 0
) -> dict[int, tuple[str, int]]:
    """Options of a convolution: rows, then columns; numbers of the schema for padding and activation."""
    after = 3 if kind == "CONV_2D" else 4
    fields = {
        0: ("Int8", padding),
        1: ("Int32", strides[1]),
        2: ("Int32", strides[0]),
        after: ("Int8", activation),
        after + 1: ("Int32", dilations[1]),
        after + 2: ("Int32", dilations[0]),
    }
    return fields if kind == "CONV_2D" else {**fields, 3: ("Int32", 1)}


def pool_options(*, padding: int = 0, strides=(1, 1), size=(2, 2), activation: int = 0) -> dict[int, tuple[str, int]]:
    return {
        0: ("Int8", padding),
        1: ("Int32", strides[1]),
        2: ("Int32", strides[0]),
        3: ("Int32", size[1]),
        4: ("Int32", size[0]),
        5: ("Int8", activation),
    }
