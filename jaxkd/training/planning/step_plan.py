"""Plan of one optimizer step: its batch, its parameters, and what it asks of a device."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp

from jaxkd.runtime.checkpoint import tree_bytes
from jaxkd.sharding.targets import GIB
from jaxkd.training.compiled_step import CompiledStep
from jaxkd.training.planning.matmul_flops import matmul_flops

_OUT_OF_MEMORY = re.compile(r"(?:Used |HLO temporaries \()(?P<size>[\d.]+)(?P<unit>[KMG])(?: of |\) exceeds)")
"""Two messages of the compiler of TPUs: all arrays of a program, or its temporary ones alone, exceed the memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepPlan:
    """Requirements of a step, by the compiler of the devices of its mesh."""

    description: str
    """Lines for a reader: devices, batch, parameters by group, optimizer, memory."""
    memory: float | None
    """Bytes of one device: arguments, results and temporary arrays; None if the compiler does not tell."""
    flops: int
    """Floating-point operations of the matrix products, over all devices."""
    devices: int
    """Devices of the mesh."""


def step_plan(step: CompiledStep) -> StepPlan:
    """Compile a step under the ambient mesh, and return its plan."""
    state, batch = step.abstract_state(), step.recipe.abstract_batch()
    frozen = step.frozen(step.recipe.abstract().frozen)
    key = jax.eval_shape(lambda: jax.random.key(0))
    traced = step.jit().trace(state.without_rollout_state(), frozen, batch, key)
    memory, line = _memory(traced.lower())
    mesh = jax.sharding.get_mesh()
    sizes = " x ".join(f"{name} {size}" for name, size in mesh.shape.items())
    lines = [
        f"devices        {mesh.size} x {mesh.devices.flat[0].device_kind}, mesh {sizes}",
        f"batch          {_shapes(batch)}",
        *(_group("trainable", name, tree) for name, tree in state.params.items()),
        *(_group("frozen", name, tree) for name, tree in frozen.items()),
        f"optimizer      {tree_bytes(state.optimizer) / GIB:.2f} GiB over all devices",
        *([f"step           {line}"] if line else []),
    ]
    return StepPlan(
        description="\n".join(lines), memory=memory, flops=matmul_flops(traced.jaxpr.jaxpr), devices=mesh.size
    )


def _memory(lowered: Any) -> tuple[float | None, str]:
    """Return the bytes of one device, and how they are made up."""
    try:
        found = lowered.compile().memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        # The compiler of a TPU refuses what does not fit.
        needed = _OUT_OF_MEMORY.search(str(error))
        if needed is None:
            raise
        size = float(needed["size"]) * {"K": 2**10, "M": 2**20, "G": GIB}[needed["unit"]]
        return size, f"at least {size / GIB:.2f} GiB a device, more than it has"
    if found is None:
        return None, ""
    # The donated state is argument and result in the same memory: it counts once.
    kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    temporary = found.temp_size_in_bytes
    return (
        kept + temporary,
        f"{(kept + temporary) / GIB:.2f} GiB a device: {kept / GIB:.2f} arguments and results, "
        f"{temporary / GIB:.2f} temporary",
    )


def _shapes(batch: Any) -> str:
    leaves = jax.tree_util.tree_flatten_with_path(batch)[0]
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return ", ".join(f"{name} {leaf.dtype}{list(leaf.shape)}" for name, (_, leaf) in zip(names, leaves, strict=True))


def _group(kind: str, name: str, tree: Any) -> str:
    leaves = jax.tree.leaves(tree)
    count = sum(leaf.size for leaf in leaves) / 1e6
    numbers = "parameters" if any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves) else "integers"
    return f"{kind:<14} {name}: {count:,.1f} M {numbers}, {tree_bytes(tree) / GIB:.2f} GiB over all devices"
