"""Placement of a kernel's arrays on a mesh, and the collectives that it requires.

A kernel runs inside one `shard_map`.  Tokens are split over the data and fsdp axes; the rows of a head, that is the
vocabulary, over the tensor axis; a head's width over the fsdp axis, which is gathered once.  No device ever holds
logits beyond those of its own tokens and rows.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Int

from jaxkd.kernels.divergence import Divergence
from jaxkd.kernels.inputs import Gradients, Heads, Inputs
from jaxkd.records import Head
from jaxkd.typing import DATA, FSDP, TENSOR


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The mesh axes over which a kernel's arrays are split; all empty on one device."""

    rows: tuple[str, ...] = ()
    """Axes over which tokens are split."""
    row_shards: int = 1
    """Number of devices along these axes."""
    vocabulary: str | None = None
    """Axis over which the vocabulary is split."""
    vocabulary_shards: int = 1
    """Number of devices along this axis."""
    narrow: tuple[str, ...] = ()
    """Sides whose head is split over the fsdp axis by its width."""

    @property
    def axes(self) -> frozenset[str]:
        """Return all mesh axes that the kernel uses."""
        named = {*self.rows, *([self.vocabulary] if self.vocabulary else []), *([FSDP] if self.narrow else [])}
        return frozenset(named)

    @property
    def tokens(self) -> PartitionSpec:
        """Return the partition spec of arrays with one value per token."""
        return PartitionSpec(self.rows)

    def head_specs(self, heads: Heads) -> Heads:
        """Return partition specs in the structure of the heads."""
        return {
            side: dataclasses.replace(
                head,
                weight=PartitionSpec(self.vocabulary, FSDP if side in self.narrow else None),
                bias=None if head.bias is None else PartitionSpec(self.vocabulary),
            )
            for side, head in heads.items()
        }

    def gradient_specs(self, inputs: Inputs, divergence: Divergence | None) -> Gradients:
        """Return partition specs in the structure of the gradients."""
        heads = self.head_specs({side: inputs.heads[side] for side in inputs.differentiated(divergence)})
        return Gradients._make((dict.fromkeys(heads, self.tokens), heads))

    def gathered(self, heads: Heads) -> Heads:
        """Gather the whole width of each head."""
        return {
            side: dataclasses.replace(head, weight=jax.lax.all_gather(head.weight, FSDP, axis=1, tiled=True))
            if side in self.narrow
            else head
            for side, head in heads.items()
        }

    def first_id(self, head: Head) -> Int[Array, ""] | int:
        """Return the token id of this device's first row of a head."""
        return 0 if self.vocabulary is None else jax.lax.axis_index(self.vocabulary) * head.weight.shape[0]

    def finished(self, gradients: Gradients, inputs: Inputs) -> Gradients:
        """Sum the gradients over the devices that each computed a part, in the dtypes of the inputs."""
        values = gradients.values
        if self.vocabulary is not None:
            values = jax.lax.psum(values, self.vocabulary)
        heads = {side: self._summed(side, head) for side, head in gradients.heads.items()}

        def cast(leaf: Array, like: Array) -> Array:
            return leaf.astype(like.dtype)

        return Gradients(
            values={side: cast(value, inputs.values[side]) for side, value in values.items()},
            heads={side: jax.tree.map(cast, head, inputs.heads[side]) for side, head in heads.items()},
        )

    def _summed(self, side: str, head: Head) -> Head:
        weight, bias, others = head.weight, head.bias, self.rows
        if side in self.narrow:
            weight = jax.lax.psum_scatter(weight, FSDP, scatter_dimension=1, tiled=True)
            others = tuple(axis for axis in self.rows if axis != FSDP)
        if others:
            weight = jax.lax.psum(weight, others)
        if bias is not None and self.rows:
            bias = jax.lax.psum(bias, self.rows)
        return dataclasses.replace(head, weight=weight, bias=bias)


def ambient(heads: Heads) -> Layout:
    """Return the layout under the ambient mesh (`jax.set_mesh`).

    Axes that an enclosing `shard_map` has made manual are left to it.  A vocabulary or a width that the mesh does not
    divide is not split, nor is a vocabulary for which the heads have different numbers of rows.
    """
    mesh = jax.sharding.get_abstract_mesh()
    kinds = {} if mesh.empty else dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    sizes = {name: mesh.shape[name] for name, kind in kinds.items() if kind != AxisType.Manual}
    tensor, fsdp = sizes.get(TENSOR, 1), sizes.get(FSDP, 1)
    rows = tuple(axis for axis in (DATA, FSDP) if sizes.get(axis, 1) > 1)
    lengths = {head.weight.shape[0] for head in heads.values()}
    divided = tensor > 1 and len(lengths) == 1 and lengths.pop() % tensor == 0
    return Layout(
        rows=rows,
        row_shards=math.prod(sizes[axis] for axis in rows),
        vocabulary=TENSOR if divided else None,
        vocabulary_shards=tensor if divided else 1,
        narrow=tuple(side for side, head in heads.items() if fsdp > 1 and head.weight.shape[1] % fsdp == 0),
    )


def explicit_axes() -> tuple[str, ...]:
    """Return the axes of the ambient mesh whose shardings are part of an array's type."""
    mesh = jax.sharding.get_abstract_mesh()
    kinds = () if mesh.empty else zip(mesh.axis_names, mesh.axis_types, strict=True)
    return tuple(name for name, kind in kinds if kind == AxisType.Explicit)


def zeros_like(head: Head, dtype: jnp.dtype) -> Head:
    """Return zeros in the structure of a head."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, dtype), head)
