"""Arrays put onto their devices part by part, so that the host never holds more than a part."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

Source: TypeAlias = Callable[[], np.ndarray]
"""An array of the target's shape that is read from the disk where it is indexed; made when it is needed."""


def placed(target: jax.ShapeDtypeStruct, source: Source) -> jax.Array:
    """One array; each device's part is read, cast and sent alone.

    Args:
        target: its shape, dtype and sharding; without a sharding it goes to the default device.
        source: of any dtype that casts to the target's.
    """
    array = source()

    def part(index: tuple[slice, ...]) -> np.ndarray:
        # Always a copy: an array that shares the file's pages would keep them, and change with the file.
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
    """The arrays of `sources` along a new first axis, which the target's shape has and no device splits.

    The stack is allocated on the devices and filled in place, row by row.
    """
    sharding = target.sharding
    row_sharding = None
    if isinstance(sharding, NamedSharding):
        row_sharding = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))
    row = jax.ShapeDtypeStruct(target.shape[1:], target.dtype, sharding=row_sharding)
    stack = jnp.zeros(target.shape, target.dtype, device=sharding)
    for number, source in enumerate(sources):
        # Waited for, or the rows that were read but not yet copied would pile up on the host.
        stack = jax.block_until_ready(_with_row(sharding)(stack, placed(row, source), number))
    return stack


@functools.lru_cache
def _with_row(sharding: jax.sharding.Sharding | None) -> Callable[..., jax.Array]:
    """`(stack, row, number) -> stack` with that row replaced; the stack's buffer is donated."""
    replaced = functools.partial(jax.lax.dynamic_update_index_in_dim, axis=0)
    return jax.jit(replaced, donate_argnums=0, out_shardings=sharding)
