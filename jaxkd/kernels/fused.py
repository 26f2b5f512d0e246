"""A kernel as one differentiable function, on one device or sharded over a mesh.

The gradient is the kernel's own, so a loss can be differentiated once, in reverse mode.  So are all collectives:
nothing is differentiated through them.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

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
    return computed(temperature, inputs.values, inputs.heads, inputs.targets)


def _hashable(divergence: Any) -> tuple[Any, Scalar | None]:
    """Split a divergence whose temperature is an array into one that can be hashed, and that array.

    The number in its place is any but 1, at which kernels skip the softmax at a temperature.
    """
    temperature = getattr(divergence, "temperature", None)
    if not isinstance(temperature, jax.Array):
        return divergence, None
    return dataclasses.replace(divergence, temperature=2.0), temperature


def _at(divergence: Any, temperature: Scalar | None) -> Any:
    """Undo `_hashable`."""
    return divergence if temperature is None else dataclasses.replace(divergence, temperature=temperature)


def _computed(
    kernel: Kernel, divergence: Any, temperature: Scalar | None, values: Values, heads: Heads, targets: Targets
) -> tuple[Scalar, Any]:
    shape = values["student"].shape[:-1]
    layout = ambient(heads)
    missing = -(shape[0] if shape else 1) % layout.row_shards

    def flat(array: Array) -> Array:
        array = array if shape else array[None]
        if missing:  # padding has weight 0
            array = jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
        return array.reshape(-1, *array.shape[max(len(shape), 1) :])

    values, targets = jax.tree.map(flat, values), jax.tree.map(flat, targets)
    total, columns = _loss(kernel, divergence, layout, temperature, values, heads, targets)
    return total, jax.tree.map(lambda column: column[: math.prod(shape)].reshape(shape), columns)


def _loss_value(
    kernel: Kernel,
    divergence: Any,
    layout: Layout,
    temperature: Scalar | None,
    values: Values,
    heads: Heads,
    targets: Targets,
) -> tuple[Scalar, Summed]:
    def evaluate(inputs: Inputs, temperature: Scalar | None) -> Summed:
        return kernel.evaluate(_at(divergence, temperature), inputs, layout)

    inputs = Inputs(values=values, heads=heads, targets=targets)
    columns = _spread(layout, evaluate, inputs, (temperature, PartitionSpec()), outputs=layout.tokens)
    return columns.total(targets), columns


def _loss_forward(
    kernel: Kernel,
    divergence: Any,
    layout: Layout,
    temperature: Scalar | None,
    values: Values,
    heads: Heads,
    targets: Targets,
) -> tuple[tuple[Scalar, Summed], Any]:
    def forward(inputs: Inputs, temperature: Scalar | None) -> tuple[Summed, Any]:
        return kernel.forward(_at(divergence, temperature), inputs, layout)

    inputs = Inputs(values=values, heads=heads, targets=targets)
    outputs = layout.tokens, kernel.residual_specs(divergence, inputs, layout)
    columns, residual = _spread(layout, forward, inputs, (temperature, PartitionSpec()), outputs=outputs)
    return (columns.total(targets), columns), (temperature, values, heads, targets, residual)


def _loss_backward(
    kernel: Kernel, divergence: Any, layout: Layout, saved: Any, cotangents: tuple[Scalar, Any]
) -> tuple[None, Any, Any, None]:
    temperature, values, heads, targets, residual = saved
    scale, _ = cotangents
    inputs = Inputs(values=values, heads=heads, targets=targets)

    def backward(inputs: Inputs, temperature: Scalar | None, residual: Any, scale: Scalar) -> Gradients:
        return kernel.backward(_at(divergence, temperature), inputs, residual, scale, layout)

    residual_specs = kernel.residual_specs(divergence, inputs, layout)
    outputs = layout.gradient_specs(inputs, divergence)
    others = (temperature, PartitionSpec()), (residual, residual_specs), (scale, PartitionSpec())
    gradients = _spread(layout, backward, inputs, *others, outputs=outputs)
    to_values = {side: gradients.values.get(side) for side in values}
    to_heads = {side: gradients.heads.get(side) for side in heads}
    return None, to_values, to_heads, None


_loss = jax.custom_vjp(_loss_value, nondiff_argnums=(0, 1, 2))
_loss.defvjp(_loss_forward, _loss_backward)


def _spread(
    layout: Layout, function: Callable[..., Any], inputs: Inputs, *others: tuple[Any, Any], outputs: Any
) -> Any:
    """Run `function(inputs, *others)` on every device's own tokens and rows of the heads.

    Args:
        layout: layout of the arrays.
        function: runs on each device, on its own part of the arrays.
        inputs: inputs of the whole loss.
        others: further arguments, each with its partition specs.
        outputs: partition specs of what `function` returns.
    """

    def local(values: Values, heads: Heads, targets: Targets, *others: Any) -> Any:
        return function(Inputs(values=values, heads=layout.gathered(heads), targets=targets), *others)

    arguments = (inputs.values, inputs.heads, inputs.targets, *(argument for argument, _ in others))
    if not layout.axes:
        return local(*arguments)
    specs = (layout.tokens, layout.head_specs(inputs.heads), layout.tokens, *(specs for _, specs in others))
    # Nothing is differentiated inside, so types need not record which values vary between devices.
    spread = jax.shard_map(local, in_specs=specs, out_specs=outputs, axis_names=layout.axes, check_vma=False)
    return jax.jit(spread)(*arguments)  # not jitted, shard_map takes all axes of the mesh or none
