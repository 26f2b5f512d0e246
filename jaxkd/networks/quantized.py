"""Matrices stored in 8 or 4 bits, for teachers, which are never trained.

Each matrix of the blocks is replaced by a dict: `{"int8": values, "scale": ...}`, or `{"int4": ..., "scale": ...}` with
two values in a byte.  Each axis length of `scale` divides that of the matrix, so one number scales one block.
Embedding, head, norms and biases stay unchanged: a table is read row by row or by the loss, and in a large model it is
a few per cent.

`Functional.apply` dequantises the matrices where a block is applied, inside the scan over the layers: one layer at a
time exists as floats.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int8, UInt8

from jaxkd.sharding import Layout, constrain
from jaxkd.typing import Params

Quantization: TypeAlias = Literal["int8", "int4"]

LOWEST: dict[Quantization, int] = {"int8": -128, "int4": -8}
"""Lowest stored value; the highest is smaller by one in magnitude."""

GROUP = 32
"""Largest number of inputs that share a scale in int4.  In int8 all inputs of an output share one."""

Axes: TypeAlias = tuple[str | None, ...]
"""Logical names of an array's axes."""


def keeper(
    axes: Params, *, quantization: Quantization | None, layout: Layout = "sharded"
) -> Callable[[str, ArrayLike], ArrayLike | Params]:
    """Return `(dotted path, parameter) -> stored form`, for parameters that arrive one after another.

    Args:
        axes: logical axes of all parameters.
        quantization: as in `quantize`; None stores each unchanged.
        layout: as in `quantize`.
    """
    if quantization is None:
        return lambda path, parameter: parameter
    by_path = {
        ".".join(entry.key for entry in path): names
        for path, names in jax.tree.leaves_with_path(axes, is_leaf=lambda node: isinstance(node, tuple))
    }

    def keep(path: str, parameter: ArrayLike) -> ArrayLike | Params:
        if path.startswith("blocks.") and path.endswith(".kernel"):
            return quantize(jnp.asarray(parameter), axes=by_path[path], quantization=quantization, layout=layout)
        return parameter

    return keep


def quantize_params(params: Params, axes: Params, *, quantization: Quantization) -> Params:
    """Quantise the matrices of a decoder's blocks.

    Args:
        params: parameters on the host or on devices; one matrix at a time exists twice.
        axes: logical axes of the same dict, as `decoder.logical_axes` returns them.
        quantization: as in `quantize`.

    Returns:
        The same dict; the quantised matrices are jax arrays, on the devices of `params`.

    Raises:
        ValueError: as `quantize`.
    """
    keep = keeper(axes, quantization=quantization)
    return jax.tree.map_with_path(lambda path, leaf: keep(".".join(entry.key for entry in path), leaf), params)


def quantize(
    matrix: Float[Array, "l ..."], *, axes: Axes, quantization: Quantization, layout: Layout = "sharded"
) -> Params:
    """Quantise one matrix, stacked over the layers, to `{quantization: values, "scale": scale}`.

    A weight w becomes `round(w / s)`.  The scale s belongs to a group of weights, and maps the one of largest magnitude
    to the lowest value, -128 or -8.  The group is an output channel of a layer (int8), or `GROUP` consecutive inputs of
    one (int4), fewer if their number is not a multiple of it.

    Args:
        matrix: weights, in the dtype of the scale and of the result of `dense`.
        axes: logical axes of the matrix, "layers" first.
        quantization: int8 nearly preserves a teacher's distribution; int4 halves the memory again.
        layout: placement of values and scales on the ambient mesh, if there is one.

    Raises:
        ValueError: an unknown quantization, or int4 and an odd last axis.

    Source: inferred; the rule of ggml's Q4_0, and of LLM.int8() (arXiv 2208.07339, section 2) that a scale
    belongs to an output channel.  Deviation: scales have the dtype of the matrix.

    Example:
        >>> import jax.numpy as jnp
        >>> matrix = jnp.array([[[0.5, -1.0], [0.25, 2.0]]])
        >>> stored = quantize(matrix, axes=("layers", "embed", "mlp"), quantization="int8")
        >>> stored["int8"].tolist(), stored["scale"].tolist()
        ([[[-128, 64], [-64, -128]]], [[[-0.00390625, -0.015625]]])
    """
    if quantization not in LOWEST:
        raise ValueError(f"quantization must be one of {', '.join(LOWEST)} or None, got {quantization!r}.")
    if quantization == "int4" and matrix.shape[-1] % 2:
        raise ValueError(
            "the last axis of a matrix must be even for int4, which packs two values in a byte, "
            f"got {matrix.shape}. Use int8."
        )
    return _quantize(matrix, axes, quantization, layout)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _quantize(matrix: Float[Array, "l ..."], axes: Axes, quantization: Quantization, layout: Layout) -> Params:
    precision, lowest = jnp.promote_types(matrix.dtype, jnp.float32), LOWEST[quantization]
    blocks = _scale_shape(matrix.shape, axes, quantization)
    # Split each axis in two, blocks and entries of a block, and reduce the inner axes.
    halves = [size for whole, count in zip(matrix.shape, blocks, strict=True) for size in (count, whole // count)]
    groups, inner = matrix.astype(precision).reshape(halves), tuple(range(1, len(halves), 2))
    least, most = groups.min(axis=inner), groups.max(axis=inner)
    extreme = jnp.where(most > -least, most, least)
    scale = jnp.where(extreme == 0, 1.0, extreme / lowest).astype(matrix.dtype)
    values = jnp.round(matrix.astype(precision) / _spread(scale.astype(precision), matrix.shape))
    # A weight of the same magnitude with the other sign would be one too high.
    values = jnp.clip(values, lowest, -lowest - 1).astype(jnp.int8)
    values = _pack(values) if quantization == "int4" else values
    return {name: constrain(part, *axes, layout=layout) for name, part in ((quantization, values), ("scale", scale))}


def dense(params: Params | Any) -> Params | Any:
    """Dequantise every quantised matrix of the dict to the dtype of its scale; leave all other leaves unchanged."""
    if not isinstance(params, dict):
        return params
    for quantization in LOWEST:
        if quantization in params:
            values, scale = params[quantization], params["scale"]
            values = _unpack(values) if quantization == "int4" else values
            precision = jnp.promote_types(scale.dtype, jnp.float32)
            return (values.astype(precision) * _spread(scale.astype(precision), values.shape)).astype(scale.dtype)
    return {name: dense(value) for name, value in params.items()}


def abstract(params: Params, axes: Params, *, quantization: Quantization) -> Params:
    """Return `quantize_params` of `jax.ShapeDtypeStruct`s."""
    return jax.eval_shape(functools.partial(quantize_params, axes=axes, quantization=quantization), params)


def logical_axes(params: Params, axes: Params) -> Params:
    """Return the logical axes of parameters that may be quantised.

    Values and scale are sharded as the matrix would be; an axis of the scale that the mesh does not divide is not
    split.

    Args:
        params: parameters, or a part of their dict.
        axes: logical axes of the unquantised model.
    """

    def of(value: Any, names: Any) -> Any:
        if isinstance(names, dict):
            return logical_axes(value, names)
        return dict.fromkeys(value, names) if isinstance(value, dict) else names

    return {name: of(value, axes[name]) for name, value in params.items()}


def _scale_shape(shape: tuple[int, ...], axes: Axes, quantization: Quantization) -> tuple[int, ...]:
    """Return the shape of one scale per output channel, or per group of inputs along the last input axis."""
    place, last = axes.index("embed"), len(axes) - 1
    # A product either reads the residual stream or, where "embed" comes last, writes it.
    inputs = (place,) if place < last else tuple(range(1, last))
    if quantization == "int8":
        return tuple(1 if axis in inputs else length for axis, length in enumerate(shape))
    length = shape[inputs[-1]]
    group = max(size for size in range(1, GROUP + 1) if length % size == 0)
    return tuple(size // group if axis == inputs[-1] else size for axis, size in enumerate(shape))


def _spread(scale: Float[Array, "..."], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Repeat each scale over its block."""
    for axis, (blocks, whole) in enumerate(zip(scale.shape, shape, strict=True)):
        if 1 < blocks < whole:
            scale = jnp.repeat(scale, whole // blocks, axis)
    return jnp.broadcast_to(scale, shape)


def _pack(values: Int8[Array, "*shape n"]) -> UInt8[Array, "*shape pairs"]:
    """Pack two values of -8..7 into each byte, the even ones into its lower half."""
    halves = jax.lax.bitcast_convert_type(values, jnp.uint8).reshape(*values.shape[:-1], -1, 2)
    return (halves[..., 0] & 0xF) | (halves[..., 1] << 4)


def _unpack(packed: UInt8[Array, "*shape pairs"]) -> Int8[Array, "*shape n"]:
    signed = jax.lax.bitcast_convert_type(packed, jnp.int8)
    # Shifting a signed byte down repeats its highest bit: the sign of four bits.
    halves = jnp.stack([(signed << 4) >> 4, signed >> 4], axis=-1)
    return halves.reshape(*packed.shape[:-1], -1)
