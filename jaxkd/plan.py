"""What a training run would need, computed without running it: shapes, parameters, compiled memory."""

import json
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxkd import config as configs
from jaxkd import mesh as meshes
from jaxkd import train_step as steps_
from jaxkd.checkpoint import tree_bytes
from jaxkd.optim import build

if TYPE_CHECKING:
    from jaxkd.loop import Train


def training_plan(train: "Train") -> str:
    """The resolved config, the batch, the parameters by group and the memory of one compiled step."""
    from jaxkd.loop import abstract_state, jit_step

    mesh = meshes.make(train.mesh)
    with jax.set_mesh(mesh):
        optimizer = build(train.optimizer, train.steps)
        state = abstract_state(train, optimizer)
        compute = jnp.dtype(jnp.bfloat16) if train.precision == "bfloat16" else steps_.master_dtype(train.precision)
        frozen = steps_.cast(train.recipe.abstract().frozen, compute)
        batch = train.recipe.abstract_batch()
        key = jax.eval_shape(lambda: jax.random.key(0))
        memory = jit_step(train, optimizer).lower(state, frozen, batch, key).compile().memory_analysis()
    devices = jax.devices()
    lines = [
        json.dumps(configs.encode(train), indent=1),
        "",
        f"devices        {len(devices)} x {devices[0].device_kind}, mesh "
        + " x ".join(f"{name} {size}" for name, size in mesh.shape.items()),
        f"batch          {_shapes(batch)}",
        *(_group("trainable", name, tree) for name, tree in state.params.items()),
        *(_group("frozen", name, tree) for name, tree in frozen.items()),
        f"optimizer      {tree_bytes(state.optimizer) / 2**30:.2f} GiB over all devices",
    ]
    if memory is not None:
        # The donated state is an argument and an output in the same bytes: it counts once.
        total = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        lines.append(
            f"step           {(total + memory.temp_size_in_bytes) / 2**30:.2f} GiB a device: "
            f"{total / 2**30:.2f} arguments and results, {memory.temp_size_in_bytes / 2**30:.2f} temporary"
        )
    return "\n".join(lines)


def _shapes(batch: object) -> str:
    leaves = jax.tree_util.tree_flatten_with_path(batch)[0]
    return ", ".join(
        f"{jax.tree_util.keystr(path, simple=True)} {leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves
    )


def _group(kind: str, name: str, tree: object) -> str:
    count = sum(leaf.size for leaf in jax.tree.leaves(tree))
    return f"{kind:<14} {name}: {count / 1e6:,.1f} M parameters, {tree_bytes(tree) / 2**30:.2f} GiB over all devices"
