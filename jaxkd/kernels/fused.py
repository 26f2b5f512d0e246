"""A kernel as one differentiable function, on one device or sharded over a mesh.

The gradient is the kernel's own, so a loss can be differentiated once, in reverse mode.  So are all collectives:
nothing is differentiated through them.
"""

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
    computed = functools.partial(_computed, kernel, divergence)
    if axes := explicit_axes():
        tokens = PartitionSpec(*jax.typeof(inputs.values["student"]).sharding.spec[:-1])
        computed = jax.sharding.auto_axes(computed, axes=axes, out_sharding=(PartitionSpec(), tokens))
    return computed(inputs.values, inputs.heads, inputs.targets)


def _computed(
    kernel: Kernel, divergence: Any, values: Values, heads: Heads, targets: Targets
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
    total, columns = _loss(kernel, divergence, layout, values, heads, targets)
    return total, jax.tree.map(lambda column: column[: math.prod(shape)].reshape(shape), columns)


def _loss_value(
    kernel: Kernel, divergence: Any, layout: Layout, values: Values, heads: Heads, targets: Targets
) -> tuple[Scalar, Summed]:
    def evaluate(inputs: Inputs) -> Summed:
        return kernel.evaluate(divergence, inputs, layout)

    columns = _spread(layout, evaluate, Inputs(values=values, heads=heads, targets=targets), outputs=layout.tokens)
    return columns.total(targets), columns


def _loss_forward(
    kernel: Kernel, divergence: Any, layout: Layout, values: Values, heads: Heads, targets: Targets
) -> tuple[tuple[Scalar, Summed], Any]:
    def forward(inputs: Inputs) -> tuple[Summed, Any]:
        return kernel.forward(divergence, inputs, layout)

    inputs = Inputs(values=values, heads=heads, targets=targets)
    outputs = layout.tokens, kernel.residual_specs(divergence, inputs, layout)
    columns, residual = _spread(layout, forward, inputs, outputs=outputs)
    return (columns.total(targets), columns), (values, heads, targets, residual)


def _loss_backward(
    kernel: Kernel, divergence: Any, layout: Layout, saved: Any, cotangents: tuple[Scalar, Any]
) -> tuple[Any, Any, None]:
    values, heads, targets, residual = saved
    scale, _ = cotangents
    inputs = Inputs(values=values, heads=heads, targets=targets)

    def backward(inputs: Inputs, residual: Any, scale: Scalar) -> Gradients:
        return kernel.backward(divergence, inputs, residual, scale, layout)

    residual_specs = kernel.residual_specs(divergence, inputs, layout)
    outputs = layout.gradient_specs(inputs, divergence)
    gradients = _spread(layout, backward, inputs, (residual, residual_specs), (scale, PartitionSpec()), outputs=outputs)
    to_values = {side: gradients.values.get(side) for side in values}
    to_heads = {side: gradients.heads.get(side) for side in heads}
    return to_values, to_heads, None


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
