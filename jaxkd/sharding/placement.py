"""Placement of arrays on devices part by part, so that the host never holds more than one part."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

Source: TypeAlias = Callable[[], np.ndarray]
"""Function that opens an array of the target's shape; indexing the array reads it from disk."""


def sharded(target: jax.ShapeDtypeStruct, source: Source) -> jax.Array:
    """Place one array: each device's part is read, cast and sent separately.

    Args:
        target: shape, dtype and sharding of the result; without a sharding it goes to the default device.
        source: the array to read, of any dtype that casts to the target's.
    """
    array = source()

    def part(index: tuple[slice, ...]) -> np.ndarray:
        # Always a copy: an array that shares the file's pages would hold on to them, and change with the file.
        return np.array(array[index], target.dtype, order="C")

    if target.sharding is None:
        return jax.device_put(part(()))
    devices: dict[tuple[tuple[int | None, int | None], ...], list[Any]] = {}
    for device, index in target.sharding.addressable_devices_indices_map(target.shape).items():
        devices.setdefault(tuple((axis.start, axis.stop) for axis in index or ()), []).append(device)
    arrays = []
    for bounds, holders in devices.items():
        values = part(tuple(slice(*bound) for bound in bounds))
        arrays += [jax.device_put(values, holder) for holder in holders]
    return jax.make_array_from_single_device_arrays(target.shape, target.sharding, arrays)


def stacked(target: jax.ShapeDtypeStruct, sources: Sequence[Source]) -> jax.Array:
    """Stack the arrays of `sources` along a new first axis, which is part of the target's shape and never sharded.

    The stack is allocated on the devices and filled in place, row by row.
    """
    sharding = target.sharding
    row_sharding = None
    if isinstance(sharding, NamedSharding):
        row_sharding = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))
    row = jax.ShapeDtypeStruct(target.shape[1:], target.dtype, sharding=row_sharding)
    stack = jnp.zeros(target.shape, target.dtype, device=sharding)
    for number, source in enumerate(sources):
        # Wait, or rows that are read but not yet copied would pile up on the host.
        stack = jax.block_until_ready(_with_row(sharding)(stack, sharded(row, source), number))
    return stack


@functools.lru_cache
def _with_row(sharding: jax.sharding.Sharding | None) -> Callable[..., jax.Array]:
    """Return `(stack, row, number) -> stack`, which replaces that row; the stack's buffer is donated."""
    replaced = functools.partial(jax.lax.dynamic_update_index_in_dim, axis=0)
    return jax.jit(replaced, donate_argnums=0, out_shardings=sharding)
