"""From an operation of a file to the function that computes it."""

import dataclasses
import functools
import struct
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxkd.vision.layers.resizing import resize
from jaxkd.vision.tflite import operations
from jaxkd.vision.tflite.flatbuffer import BOOL, INT8, INT32, FlatTable
from jaxkd.vision.tflite.operations import Activation
from jaxkd.vision.tflite.schema import GraphTensor, Operation
from jaxkd.vision.tflite.windows import Padding, Window

Compute = Callable[..., Array]
"""Function from the arrays that an operation reads to its result."""

KINDS = (
    "ADD",
    "AVERAGE_POOL_2D",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEQUANTIZE",
    "FULLY_CONNECTED",
    "HARD_SWISH",
    "LOGISTIC",
    "MAX_POOL_2D",
    "MEAN",
    "MUL",
    "RELU",
    "RESIZE_BILINEAR",
    "Convolution2DTransposeBias",
)
"""Operations that are known here; the last is a custom one of MediaPipe, a transposed convolution with a bias."""

_PADDINGS: tuple[Padding, Padding] = ("SAME", "VALID")
# The schema has tanh and the sign too, which the runtime's kernels ignore.
_ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "relu_n1_to_1", "relu6")
_FROM_OUTPUTS, _DEPTHWISE, _MATRIX = (1, 2, 3, 0), (1, 2, 0, 3), (1, 0)
"""Axes of the weights in the order of [rows, columns, i, o], or of [i, o]; the file has those of outputs first, or one
of length 1."""

_CUSTOM_PADDINGS: dict[int, Padding] = {1: "SAME", 2: "VALID"}
_CUSTOM_OPTIONS = struct.Struct("<iii")

_DEFAULTS = FlatTable(struct.pack("<HHi", 4, 4, 4), 4)
"""Options of an operation that names none: all have their defaults."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Computation:
    """Function that an operation computes."""

    inputs: int
    """Number of tensors that it reads as arrays, the first ones of the operation."""
    compute: Compute
    axes: tuple[int, ...] | None = None
    """Axes of its weights, the second of these tensors, in the order in which `compute` takes them; None: it has no
    weights."""


def computation(operation: Operation, tensors: Sequence[GraphTensor | None]) -> Computation:
    """Return what an operation computes.

    Args:
        operation: operation of the file.
        tensors: tensors that it reads, with the values of those that the file holds; None for one that is left out.

    Raises:
        ValueError: an operation or an option that is not known here.
    """
    options = operation.options or _DEFAULTS
    partial = functools.partial
    match operation.kind:
        case "ADD":
            return Computation(
                inputs=2, compute=_activated(lambda a, b: jnp.add(*_of_one_rank(a, b)), _activation(options, 0))
            )
        case "MUL":
            return Computation(
                inputs=2, compute=_activated(lambda a, b: jnp.multiply(*_of_one_rank(a, b)), _activation(options, 0))
            )
        case "DEQUANTIZE":
            # Weights of half precision became float32 when they were read.
            return Computation(inputs=1, compute=lambda values: values)
        case "RELU":
            return Computation(inputs=1, compute=jax.nn.relu)
        case "LOGISTIC":
            return Computation(inputs=1, compute=jax.nn.sigmoid)
        case "HARD_SWISH":
            return Computation(inputs=1, compute=operations.hard_swish)
        case "CONV_2D":
            window = _window(options, dilations=4)
            return _weighted(
                partial(operations.convolution, window=window), axes=_FROM_OUTPUTS, activation=_activation(options, 3)
            )
        case "DEPTHWISE_CONV_2D":
            window = _window(options, dilations=5)
            return _weighted(
                partial(operations.depthwise_convolution, window=window),
                axes=_DEPTHWISE,
                activation=_activation(options, 4),
            )
        case "FULLY_CONNECTED":
            if layout := options.number(1, INT8):
                raise ValueError(f"its weights must be in the default layout, 0, got {layout}")
            keep_axes = bool(options.number(2, BOOL))
            return _weighted(
                partial(operations.fully_connected, keep_axes=keep_axes),
                axes=_MATRIX,
                activation=_activation(options, 0),
            )
        case "AVERAGE_POOL_2D" | "MAX_POOL_2D":
            pool = operations.average_pool if operation.kind == "AVERAGE_POOL_2D" else operations.max_pool
            size = options.number(4, INT32), options.number(3, INT32)
            return Computation(
                inputs=1, compute=_activated(partial(pool, size=size, window=_window(options)), _activation(options, 5))
            )
        case "MEAN":
            axes, keep_axes = _axes(tensors), bool(options.number(0, BOOL))
            return Computation(inputs=1, compute=lambda values: jnp.mean(values, axes, keepdims=keep_axes))
        case "RESIZE_BILINEAR":
            return Computation(inputs=1, compute=_resize(options, _integers(tensors, 2)))
        case "Convolution2DTransposeBias":
            window = _transposed_window(operation.custom_options)
            return _weighted(partial(operations.transposed_convolution, window=window), axes=_FROM_OUTPUTS)
        case _:
            raise ValueError(f"the operation must be one of {', '.join(KINDS)}")


def _weighted(compute: Compute, *, axes: tuple[int, ...], activation: Activation = "none") -> Computation:
    """Return a computation with weights and, where one is given, a bias."""

    def weighted(values: Array, weights: Array, bias: Array | None = None) -> Array:
        result = compute(values, weights)
        if bias is not None:
            result = result + bias.reshape((1,) * (result.ndim - 1) + bias.shape)
        return operations.activate(result, activation)

    return Computation(inputs=3, compute=weighted, axes=axes)


def _activated(compute: Compute, activation: Activation) -> Compute:
    return lambda *arrays: operations.activate(compute(*arrays), activation)


def _activation(options: FlatTable, field: int) -> Activation:
    number = options.number(field, INT8)
    if not 0 <= number < len(_ACTIVATIONS):
        raise ValueError(f"its activation must be one of {', '.join(_ACTIVATIONS)}, 0 to 3, got {number}")
    return _ACTIVATIONS[number]


def _window(options: FlatTable, *, dilations: int | None = None) -> Window:
    """Return the window of the options; those of columns come before those of rows.

    Args:
        options: options of a convolution or a pool.
        dilations: field of the dilation of columns; None: pools have none.
    """
    padding = options.number(0, INT8)
    if padding not in (0, 1):
        raise ValueError(f"its padding must be one of {', '.join(_PADDINGS)}, 0 or 1, got {padding}")
    dilated = (1, 1) if dilations is None else tuple(options.number(dilations + row, INT32, 1) for row in (1, 0))
    return Window(
        padding=_PADDINGS[padding],
        strides=(options.number(2, INT32), options.number(1, INT32)),
        dilations=(dilated[0], dilated[1]),
    )


def _transposed_window(options: bytes) -> Window:
    if len(options) < _CUSTOM_OPTIONS.size:
        raise ValueError(f"its options must have at least {_CUSTOM_OPTIONS.size} bytes, got {len(options)}")
    padding, right, down = _CUSTOM_OPTIONS.unpack_from(options)
    if padding not in _CUSTOM_PADDINGS or any(options[_CUSTOM_OPTIONS.size :]):
        raise ValueError(f"its padding must be SAME or VALID, 1 or 2, and nothing else be set, got {options.hex()}")
    return Window(padding=_CUSTOM_PADDINGS[padding], strides=(down, right))


def _resize(options: FlatTable, size: tuple[int, ...]) -> Compute:
    corners, halves = (bool(options.number(field, BOOL)) for field in (2, 3))
    if corners and halves:
        raise ValueError("only one of align_corners and half_pixel_centers must be set, got both")
    return lambda images: resize(images, (size[0], size[1]), align_corners=corners, half_pixel_centers=halves)


def _axes(tensors: Sequence[GraphTensor | None]) -> tuple[int, ...]:
    values = tensors[0]
    rank = len(values.shape) if values is not None else 0
    axes = tuple(axis % max(rank, 1) for axis in _integers(tensors, None))
    if 0 in axes:
        raise ValueError("its axes must leave out that of the images, 0")
    return axes


def _integers(tensors: Sequence[GraphTensor | None], count: int | None) -> tuple[int, ...]:
    """Return the numbers of the second tensor, which the file must hold."""
    tensor = tensors[1] if len(tensors) > 1 else None
    if tensor is None or tensor.values is None or tensor.values.dtype != np.int32:
        raise ValueError("its second input must be int32 numbers that the file holds")
    values = tuple(int(value) for value in tensor.values.ravel())
    if count is not None and (len(values) != count or min(values) < 1):
        raise ValueError(f"its second input must be {count} positive numbers, got {values}")
    return values


def _of_one_rank(a: Array, b: Array) -> tuple[Array, Array]:
    rank = max(a.ndim, b.ndim)
    first, second = (array.reshape((1,) * (rank - array.ndim) + array.shape) for array in (a, b))
    return first, second
