"""Requirements of a training step, computed without running it: shapes, parameters, compiled memory."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxkd.runtime.checkpoint import tree_bytes
from jaxkd.training.compiled_step import CompiledStep


def step_plan(step: CompiledStep) -> str:
    """Describe the batch, the parameters by group and the memory of the compiled step, under the ambient mesh."""
    state, batch = step.abstract_state(), step.recipe.abstract_batch()
    frozen = step.frozen(step.recipe.abstract().frozen)
    key = jax.eval_shape(lambda: jax.random.key(0))
    memory = step.jit().lower(state.without_rollout_state(), frozen, batch, key).compile().memory_analysis()
    mesh = jax.sharding.get_mesh()
    sizes = " x ".join(f"{name} {size}" for name, size in mesh.shape.items())
    lines = [
        f"devices        {mesh.size} x {mesh.devices.flat[0].device_kind}, mesh {sizes}",
        f"batch          {_shapes(batch)}",
        *(_group("trainable", name, tree) for name, tree in state.params.items()),
        *(_group("frozen", name, tree) for name, tree in frozen.items()),
        f"optimizer      {tree_bytes(state.optimizer) / 2**30:.2f} GiB over all devices",
    ]
    if memory is not None:
        # The donated state is argument and result in the same memory: it counts once.
        kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        temporary = memory.temp_size_in_bytes
        lines.append(
            f"step           {(kept + temporary) / 2**30:.2f} GiB a device: {kept / 2**30:.2f} arguments and results, "
            f"{temporary / 2**30:.2f} temporary"
        )
    return "\n".join(lines)


def _shapes(batch: Any) -> str:
    leaves = jax.tree_util.tree_flatten_with_path(batch)[0]
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    return ", ".join(f"{name} {leaf.dtype}{list(leaf.shape)}" for name, (_, leaf) in zip(names, leaves, strict=True))


def _group(kind: str, name: str, tree: Any) -> str:
    leaves = jax.tree.leaves(tree)
    count = sum(leaf.size for leaf in leaves) / 1e6
    numbers = "parameters" if any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves) else "integers"
    return f"{kind:<14} {name}: {count:,.1f} M {numbers}, {tree_bytes(tree) / 2**30:.2f} GiB over all devices"
