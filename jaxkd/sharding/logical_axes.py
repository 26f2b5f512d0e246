"""The mapping from logical axes to mesh axes, for every array in the library.

A model names the axes of its parameters by their meaning; this table maps them to the mesh.  All functions read the
ambient mesh (`jax.set_mesh`) and do nothing without one, so the same code runs on one device and on a pod.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import jax
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.typing import DATA, FSDP, TENSOR, Params

ROWS = (DATA, FSDP)
"""Mesh axes over which the rows of a batch are split."""

LOGICAL_TO_MESH: Mapping[str | None, str | tuple[str, ...] | None] = MappingProxyType(
    {
        "rows": ROWS,
        "vocab": TENSOR,
        "embed": FSDP,
        "heads": TENSOR,
        "kv_heads": TENSOR,
        "mlp": TENSOR,
        "layers": None,
        None: None,
    }
)

Layout: TypeAlias = Literal["sharded", "tensor", "replicated"]
"""Placement of a model's parameters: sharded by the table, split over the tensor axis alone, or replicated on each
device.  If a teacher fits, replication saves gathering it in every step; the student may still be sharded."""

_WHOLE_OVER: Mapping[Layout, tuple[str, ...]] = MappingProxyType(
    {"sharded": (), "tensor": (FSDP,), "replicated": (FSDP, TENSOR)}
)


def partition_spec(
    axes: tuple[str | None, ...],
    shape: tuple[int, ...],
    mesh: jax.sharding.AbstractMesh,
    *,
    layout: Layout = "sharded",
) -> PartitionSpec:
    """Return the mesh axes of an array whose axes are named `axes`.

    An axis whose length the mesh does not divide is not split: key/value heads are often fewer than
    the devices of the tensor axis.

    Raises:
        ValueError: an axis name that the table does not have, a rank that differs, or an unknown layout.
    """
    if layout not in _WHOLE_OVER:
        raise ValueError(f"layout must be one of {', '.join(_WHOLE_OVER)}, got {layout!r}.")
    if len(axes) != len(shape):
        raise ValueError(f"axes must name each dimension once, got {axes} for the shape {shape}.")
    spec = []
    for axis, length in zip(axes, shape, strict=True):
        if axis not in LOGICAL_TO_MESH:
            known = ", ".join(sorted(name for name in LOGICAL_TO_MESH if name))
            raise ValueError(f"axes must be logical axis names, got {axis!r}. Known names: {known}.")
        target = LOGICAL_TO_MESH[axis]
        target = None if target in _WHOLE_OVER[layout] else target
        names = (target,) if isinstance(target, str) else (target or ())
        size = 1
        for name in names:
            size *= mesh.shape[name]
        spec.append(target if length % size == 0 else None)
    return PartitionSpec(*spec)


def constrain(array: jax.Array, *axes: str | None, layout: Layout = "sharded") -> jax.Array:
    """Constrain the sharding of `array` by its logical axes; without a mesh, return it unchanged."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return array
    return jax.lax.with_sharding_constraint(array, partition_spec(axes, array.shape, mesh, layout=layout))


def shardings(tree: Params, axes: Params | None = None, *, layout: Layout = "sharded") -> Params | None:
    """Return the sharding of each leaf of `tree` on the ambient mesh; None without a mesh.

    Args:
        tree: arrays or `jax.ShapeDtypeStruct`s.
        axes: the same dict with a tuple of logical axis names in place of each leaf; None replicates every leaf on each
            device.
        layout: the mesh axes over which leaves are split.

    Raises:
        ValueError: a leaf without axes, or as `partition_spec`.
    """
    mesh = jax.sharding.get_mesh()
    if mesh.empty:
        return None
    if axes is None:
        return jax.tree.map(lambda leaf: NamedSharding(mesh, PartitionSpec()), tree)
    named = dict(jax.tree.leaves_with_path(axes, is_leaf=lambda node: isinstance(node, tuple)))

    def of(path: tuple, leaf: jax.Array) -> NamedSharding:
        if path not in named:
            name = ".".join(entry.key for entry in path)
            raise ValueError(
                f"every parameter must have logical axes, got none for {name} of shape {leaf.shape}. "
                "A module names them where it makes the parameter."
            )
        return NamedSharding(mesh, partition_spec(named[path], leaf.shape, mesh.abstract_mesh, layout=layout))

    return jax.tree.map_with_path(of, tree)


def with_shardings(tree: Params, axes: Params | None = None, *, layout: Layout = "sharded") -> Params:
    """Add to each `jax.ShapeDtypeStruct` its sharding on the ambient mesh; unchanged without a mesh.

    Args:
        tree: `jax.ShapeDtypeStruct`s.
        axes: as in `shardings`.
        layout: as in `shardings`.
    """
    targets = shardings(tree, axes, layout=layout)
    if targets is None:
        return tree
    return jax.tree.map(lambda leaf, to: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=to), tree, targets)


def shard(tree: Params, axes: Params | None = None) -> Params:
    """Move host arrays onto the ambient mesh; each device receives only its own part.

    Args:
        tree: arrays.
        axes: as in `shardings`.
    """
    return jax.device_put(tree, shardings(tree, axes))
