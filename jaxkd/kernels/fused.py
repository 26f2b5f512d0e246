"""A kernel as one differentiable function, on one device or sharded over a mesh.

The gradient is the kernel's own, so a loss can be differentiated once, in reverse mode.  So are all collectives:
nothing is differentiated through them.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array

from jaxkd.kernels.inputs import Gradients, Heads, Inputs, Summed, Targets, Values
from jaxkd.kernels.layout import Layout, ambient, explicit_axes
from jaxkd.typing import Scalar


@runtime_checkable
class Kernel(Protocol):
    """A memory-bounded computation of the loss of a flat list of tokens; frozen, so that it is hashable."""

    def evaluate(self, divergence: Any, inputs: Inputs, layout: Layout, /) -> Summed:
        """Compute the columns alone."""
        ...

    def forward(self, divergence: Any, inputs: Inputs, layout: Layout, /) -> tuple[Summed, Any]:
        """Compute the columns, and the residual that `backward` needs besides the inputs."""
        ...

    def backward(self, divergence: Any, inputs: Inputs, residual: Any, scale: Scalar, layout: Layout, /) -> Gradients:
        """Compute the gradient of `scale` times the total."""
        ...

    def residual_specs(self, divergence: Any, inputs: Inputs, layout: Layout, /) -> Any:
        """Return the partition specs of the residual."""
        ...


class _Arrays(NamedTuple):
    """Arguments by which a loss is differentiated; not all of them get a gradient."""

    temperature: Scalar | None
    """Temperature of the divergence if it is an array."""
    values: Values
    heads: Heads
    targets: Targets

    @property
    def inputs(self) -> Inputs:
        """Arguments of the kernel."""
        return Inputs(values=self.values, heads=self.heads, targets=self.targets)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Static:
    """Arguments of a loss that can be hashed."""

    kernel: Kernel
    divergence: Any
    layout: Layout

    def at(self, temperature: Scalar | None) -> Any:
        """Return the divergence; undoes `_hashable`."""
        return self.divergence if temperature is None else dataclasses.replace(self.divergence, temperature=temperature)


def fused(kernel: Kernel, divergence: Any, inputs: Inputs) -> tuple[Scalar, Any]:
    """Compute the differentiable total and the columns of the kernel, under the ambient mesh.

    Inside, all axes of the mesh are `Auto`; where the caller's are `Explicit`, as `jax.make_mesh` makes them by
    default, the total is replicated and the columns are sharded as the student's hidden states.
    """
    divergence, temperature = _hashable(divergence)
    computed = functools.partial(_computed, kernel, divergence)
    if axes := explicit_axes():
        tokens = PartitionSpec(*jax.typeof(inputs.values["student"]).sharding.spec[:-1])
        computed = jax.sharding.auto_axes(axes=axes, out_sharding=(PartitionSpec(), tokens))(computed)
    return computed(_Arrays(temperature, inputs.values, inputs.heads, inputs.targets))


def _hashable(divergence: Any) -> tuple[Any, Scalar | None]:
    """Split a divergence whose temperature is an array into one that can be hashed, and that array.

    The number in its place is any but 1, at which kernels skip the softmax at a temperature.
    """
    temperature = getattr(divergence, "temperature", None)
    if not isinstance(temperature, jax.Array):
        return divergence, None
    return dataclasses.replace(divergence, temperature=2.0), temperature


def _computed(kernel: Kernel, divergence: Any, arrays: _Arrays) -> tuple[Scalar, Any]:
    shape = arrays.values["student"].shape[:-1]
    layout = ambient(arrays.heads)
    missing = -(shape[0] if shape else 1) % layout.row_shards

    def flat(array: Array) -> Array:
        array = array if shape else array[None]
        if missing:  # padding has weight 0
            array = jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
        return array.reshape(-1, *array.shape[max(len(shape), 1) :])

    arrays = arrays._replace(values=jax.tree.map(flat, arrays.values), targets=jax.tree.map(flat, arrays.targets))
    total, columns = _loss(_Static(kernel=kernel, divergence=divergence, layout=layout), arrays)
    return total, jax.tree.map(lambda column: column[: math.prod(shape)].reshape(shape), columns)


def _loss_value(static: _Static, arrays: _Arrays) -> tuple[Scalar, Summed]:
    def evaluate(divergence: Any, inputs: Inputs) -> Summed:
        return static.kernel.evaluate(divergence, inputs, static.layout)

    columns = _spread(static, evaluate, arrays, outputs=static.layout.tokens)
    return columns.total(arrays.targets), columns


def _loss_forward(static: _Static, arrays: _Arrays) -> tuple[tuple[Scalar, Summed], tuple[_Arrays, Any]]:
    def forward(divergence: Any, inputs: Inputs) -> tuple[Summed, Any]:
        return static.kernel.forward(divergence, inputs, static.layout)

    outputs = static.layout.tokens, _residual_specs(static, arrays)
    columns, residual = _spread(static, forward, arrays, outputs=outputs)
    return (columns.total(arrays.targets), columns), (arrays, residual)


def _loss_backward(static: _Static, saved: tuple[_Arrays, Any], cotangents: tuple[Scalar, Any]) -> tuple[Any]:
    (arrays, residual), (scale, _) = saved, cotangents

    def backward(divergence: Any, inputs: Inputs, residual: Any, scale: Scalar) -> Gradients:
        return static.kernel.backward(divergence, inputs, residual, scale, static.layout)

    outputs = static.layout.gradient_specs(arrays.inputs, static.divergence)
    others = (residual, _residual_specs(static, arrays)), (scale, PartitionSpec())
    gradients = _spread(static, backward, arrays, *others, outputs=outputs)
    to_values = {side: gradients.values.get(side) for side in arrays.values}
    to_heads = {side: gradients.heads.get(side) for side in arrays.heads}
    return (arrays._replace(temperature=None, values=to_values, heads=to_heads, targets=None),)


_loss = jax.custom_vjp(_loss_value, nondiff_argnums=(0,))
_loss.defvjp(_loss_forward, _loss_backward)


def _residual_specs(static: _Static, arrays: _Arrays) -> Any:
    return static.kernel.residual_specs(static.divergence, arrays.inputs, static.layout)


def _spread(
    static: _Static, function: Callable[..., Any], arrays: _Arrays, *others: tuple[Any, Any], outputs: Any
) -> Any:
    """Run `function(divergence, inputs, *others)` on every device's own tokens and rows of the heads.

    Args:
        static: loss and layout of the arrays.
        function: runs on each device, on its own part of the arrays.
        arrays: arguments of the whole loss.
        others: further arguments, each with its partition specs.
        outputs: partition specs of what `function` returns.
    """
    layout = static.layout

    def local(arrays: _Arrays, *others: Any) -> Any:
        gathered = arrays._replace(heads=layout.gathered(arrays.heads))
        return function(static.at(arrays.temperature), gathered.inputs, *others)

    arguments = (arrays, *(argument for argument, _ in others))
    if not layout.axes:
        return local(*arguments)
    specs = arrays._replace(
        temperature=PartitionSpec(),
        values=layout.tokens,
        heads=layout.head_specs(arrays.heads),
        targets=layout.tokens,
    )
    all_specs = (specs, *(specs for _, specs in others))
    # Nothing is differentiated inside, so types need not record which values vary between devices.
    spread = jax.shard_map(local, in_specs=all_specs, out_specs=outputs, axis_names=layout.axes, check_vma=False)
    return jax.jit(spread)(*arguments)  # not jitted, shard_map takes all axes of the mesh or none
