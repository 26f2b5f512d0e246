"""From logical axes to mesh axes, once, for every array in the library.

A model names the axes of its parameters by what they mean; this table says where they live.  All
functions read the ambient mesh (`jax.set_mesh`) and do nothing where there is none, so the same
code runs on one device and on a pod.
"""

from collections.abc import Mapping
from types import MappingProxyType

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


def partition_spec(
    axes: tuple[str | None, ...], shape: tuple[int, ...], mesh: jax.sharding.AbstractMesh
) -> PartitionSpec:
    """The mesh axes of an array whose axes are named `axes`.

    An axis whose length the mesh does not divide stays whole: key/value heads are often fewer than
    the devices of the tensor axis.

    Raises:
        ValueError: an axis name that the table does not have, or a rank that differs.
    """
    if len(axes) != len(shape):
        raise ValueError(f"axes must name each dimension once, got {axes} for the shape {shape}.")
    spec = []
    for axis, length in zip(axes, shape, strict=True):
        if axis not in LOGICAL_TO_MESH:
            known = ", ".join(sorted(name for name in LOGICAL_TO_MESH if name))
            raise ValueError(f"axes must be logical axis names, got {axis!r}. Known names: {known}.")
        target = LOGICAL_TO_MESH[axis]
        names = (target,) if isinstance(target, str) else (target or ())
        size = 1
        for name in names:
            size *= mesh.shape[name]
        spec.append(target if length % size == 0 else None)
    return PartitionSpec(*spec)


def constrain(array: jax.Array, *axes: str | None) -> jax.Array:
    """Pin `array` to the ambient mesh by its logical axes; the array itself where there is no mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        return array
    return jax.lax.with_sharding_constraint(array, partition_spec(axes, array.shape, mesh))


def shardings(tree: Params, axes: Params) -> Params | None:
    """The sharding of each leaf of `tree` on the ambient mesh; None where there is no mesh.

    Args:
        tree: arrays or `jax.ShapeDtypeStruct`s.
        axes: the same dict with a tuple of logical axis names in place of each leaf.
    """
    mesh = jax.sharding.get_mesh()
    if mesh.empty:
        return None
    return jax.tree.map(
        lambda leaf, names: NamedSharding(mesh, partition_spec(names, leaf.shape, mesh.abstract_mesh)), tree, axes
    )


def described(tree: Params, axes: Params) -> Params:
    """The same `jax.ShapeDtypeStruct`s with the sharding that each has on the ambient mesh; as they are without one.

    Args:
        tree: `jax.ShapeDtypeStruct`s.
        axes: the same dict with a tuple of logical axis names in place of each leaf.
    """
    targets = shardings(tree, axes)
    if targets is None:
        return tree
    return jax.tree.map(lambda leaf, to: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=to), tree, targets)


def place(tree: Params, axes: Params) -> Params:
    """Move host arrays onto the ambient mesh, each device receiving its own part only."""
    targets = shardings(tree, axes)
    return jax.tree.map(jax.numpy.asarray, tree) if targets is None else jax.device_put(tree, targets)
