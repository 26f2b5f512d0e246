"""Matrices stored in 8 or 4 bits: for teachers, which are read and never trained.

A matrix of the blocks becomes a dict in its place: `{"int8": values, "scale": ...}`, or
`{"int4": ..., "scale": ...}` with two values in a byte.  Each axis of `scale` divides the same axis of the
matrix, so one number scales the block between.  Embedding, head, norms and biases stay as they are:
a table is read row by row or by the loss, and in a large model it is a few per cent.

`Functional.apply` makes the matrices whole where a block is applied, inside the scan over the layers:
one layer at a time is there as floats.
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
"""The lowest stored value; the highest is one less in size."""

GROUP = 32
"""Most inputs that share a scale in int4.  In int8 all inputs of an output do."""

Axes: TypeAlias = tuple[str | None, ...]
"""Logical names of an array's axes."""


def keeper(
    axes: Params, *, quantization: Quantization | None, layout: Layout = "sharded"
) -> Callable[[str, ArrayLike], ArrayLike | Params]:
    """`(dotted path, parameter) -> what is kept of it`: for parameters that arrive one after another.

    Args:
        axes: logical axes of all parameters.
        quantization: as in `quantize`; None keeps each as it is.
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
    """The parameters of a decoder with the matrices of its blocks stored in fewer bits.

    Args:
        params: on the host or on devices; one matrix at a time is there twice.
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
    """One matrix, stacked over the layers: `{quantization: values, "scale": scale}`.

    A weight w becomes `round(w / s)`.  The scale s belongs to a group of weights, and is such that the
    one of largest size becomes the lowest value, -128 or -8.  The group is an output channel of a layer
    (int8), or `GROUP` consecutive inputs of one (int4): fewer where they are no multiple of it.

    Args:
        matrix: in the dtype that its scale will have, and that `dense` gives it back in.
        axes: its logical axes, "layers" first.
        quantization: int8 keeps a teacher's distribution nearly as it is; int4 halves the memory again.
        layout: how values and scales lie on the ambient mesh, where there is one.

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
    # Each axis in two, the blocks and what lies in one, so that the inner axes are reduced.
    halves = [size for whole, count in zip(matrix.shape, blocks, strict=True) for size in (count, whole // count)]
    groups, inner = matrix.astype(precision).reshape(halves), tuple(range(1, len(halves), 2))
    least, most = groups.min(axis=inner), groups.max(axis=inner)
    extreme = jnp.where(most > -least, most, least)
    scale = jnp.where(extreme == 0, 1.0, extreme / lowest).astype(matrix.dtype)
    values = jnp.round(matrix.astype(precision) / _spread(scale.astype(precision), matrix.shape))
    # The weight that is as large with the other sign would be one too high.
    values = jnp.clip(values, lowest, -lowest - 1).astype(jnp.int8)
    values = _pack(values) if quantization == "int4" else values
    return {name: constrain(part, *axes, layout=layout) for name, part in ((quantization, values), ("scale", scale))}


def dense(params: Params | Any) -> Params | Any:
    """The same dict with every quantised matrix as floats, in the dtype of its scale; all others as they are."""
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
    """`quantize_params` of `jax.ShapeDtypeStruct`s."""
    return jax.eval_shape(functools.partial(quantize_params, axes=axes, quantization=quantization), params)


def logical_axes(params: Params, axes: Params) -> Params:
    """Logical axes of parameters that may be quantised.

    Values and scale are split as the matrix would be; an axis of the scale that the mesh does not
    divide stays whole.

    Args:
        params: as they are, or a part of the dict.
        axes: of the same model, not quantised.
    """

    def of(value: Any, names: Any) -> Any:
        if isinstance(names, dict):
            return logical_axes(value, names)
        return dict.fromkeys(value, names) if isinstance(value, dict) else names

    return {name: of(value, axes[name]) for name, value in params.items()}


def _scale_shape(shape: tuple[int, ...], axes: Axes, quantization: Quantization) -> tuple[int, ...]:
    """One scale for all inputs of an output channel, or for a group of them along the last input axis."""
    place, last = axes.index("embed"), len(axes) - 1
    # A product either reads the residual stream or, where "embed" comes last, writes it.
    inputs = (place,) if place < last else tuple(range(1, last))
    if quantization == "int8":
        return tuple(1 if axis in inputs else length for axis, length in enumerate(shape))
    length = shape[inputs[-1]]
    group = max(size for size in range(1, GROUP + 1) if length % size == 0)
    return tuple(size // group if axis == inputs[-1] else size for axis, size in enumerate(shape))


def _spread(scale: Float[Array, "..."], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Each scale repeated over its block."""
    for axis, (blocks, whole) in enumerate(zip(scale.shape, shape, strict=True)):
        if 1 < blocks < whole:
            scale = jnp.repeat(scale, whole // blocks, axis)
    return jnp.broadcast_to(scale, shape)


def _pack(values: Int8[Array, "*shape n"]) -> UInt8[Array, "*shape pairs"]:
    """Two values of -8..7 in each byte, the even ones in its lower half."""
    halves = jax.lax.bitcast_convert_type(values, jnp.uint8).reshape(*values.shape[:-1], -1, 2)
    return (halves[..., 0] & 0xF) | (halves[..., 1] << 4)


def _unpack(packed: UInt8[Array, "*shape pairs"]) -> Int8[Array, "*shape n"]:
    signed = jax.lax.bitcast_convert_type(packed, jnp.int8)
    # Shifting a signed byte down repeats its highest bit: the sign of four bits.
    halves = jnp.stack([(signed << 4) >> 4, signed >> 4], axis=-1)
    return halves.reshape(*packed.shape[:-1], -1)
