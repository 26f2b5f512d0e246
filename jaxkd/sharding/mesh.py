"""The device mesh, the processes that share it, and the placement of optimizer states and batches."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxkd.sharding.devices import devices as available
from jaxkd.sharding.logical_axes import ROWS
from jaxkd.typing import DATA, FSDP, TENSOR, Params

Batch = TypeVar("Batch")

_PROCESS_VARIABLES = ("JAXKD_COORDINATOR", "JAXKD_PROCESS_ID", "JAXKD_NUM_PROCESSES")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshShape:
    """Number of devices along each mesh axis; one axis may be -1 and takes all remaining devices.

    Raises:
        ValueError: a size that is neither positive nor -1, or two sizes of -1.
    """

    data: int = -1
    """Devices over which rows are split and parameters replicated."""
    fsdp: int = 1
    """Devices over which rows are split and parameters sharded."""
    tensor: int = 1
    """Devices over which heads, feed-forward units and the vocabulary are split."""

    def __post_init__(self) -> None:
        sizes = dataclasses.asdict(self)
        for name, size in sizes.items():
            if size < 1 and size != -1:
                raise ValueError(f"{name} must be a number of devices or -1 (all that are left), got {size}.")
        if list(sizes.values()).count(-1) > 1:
            raise ValueError(f"only one of data, fsdp and tensor may be -1, got {sizes}. Give the others a number.")


def make(shape: MeshShape, devices: Sequence[Any] | None = None) -> Mesh:
    """Make the mesh with axes data, fsdp, tensor over `devices` (None: those of `jaxkd.sharding.devices`).

    In a run of one process, fully specified sizes may use fewer devices than there are: the first ones.

    Raises:
        ValueError: the sizes do not fit the number of devices, or one row would span processes.
    """
    devices = available() if devices is None else list(devices)
    sizes = {DATA: shape.data, FSDP: shape.fsdp, TENSOR: shape.tensor}
    known = math.prod(size for size in sizes.values() if size != -1)
    free = next((name for name, size in sizes.items() if size == -1), None)
    described = " x ".join(f"{name} {size}" for name, size in sizes.items())
    if free is not None:
        if len(devices) % known:
            raise ValueError(
                f"the sizes of the mesh must divide the number of devices, got {described} and {len(devices)} devices."
            )
        sizes[free] = len(devices) // known
    elif known < len(devices) and jax.process_count() == 1:
        devices = devices[:known]
    elif known != len(devices):
        raise ValueError(
            f"the sizes of the mesh must multiply to the number of devices (fewer only in a run of one process), got "
            f"{described} and {len(devices)} devices. Set one of them to -1."
        )
    processes = len({device.process_index for device in devices})
    if (sizes[DATA] * sizes[FSDP]) % processes:
        raise ValueError(
            f"data x fsdp must be a multiple of the number of processes, so that each holds whole rows, got "
            f"{sizes[DATA]} x {sizes[FSDP]} and {processes} processes. Lower tensor."
        )
    # Explicit axes, JAX's default, fail in ordinary model code: a gather from an embedding that is
    # split over fsdp raises DuplicateSpecError.
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * 3, devices=devices)


def check_rows(shape: MeshShape, rows: int) -> None:
    """Reject rows that the mesh of `shape` cannot split evenly, before anything is computed.

    Raises:
        ValueError: as `make`, or rows that are not a multiple of data x fsdp.
    """
    parts = _row_parts(make(shape))
    if rows % parts:
        raise ValueError(
            f"the rows of a batch or micro-batch must be a multiple of data x fsdp, got {rows} and {parts}. "
            "Change data.rows, accumulation or mesh."
        )


def _row_parts(mesh: Mesh) -> int:
    return math.prod(mesh.shape[name] for name in ROWS)


def initialize_processes(environment: Mapping[str, str] = os.environ) -> None:
    """Connect the processes of one run; does nothing in a run of one process.

    Call it before anything touches a device.  JAXKD_COORDINATOR (host:port of process 0), JAXKD_PROCESS_ID and
    JAXKD_NUM_PROCESSES describe the run; JAXKD_DISTRIBUTED=1 without them lets JAX detect it (TPU pods, Slurm,
    Open MPI).  A second call does nothing.

    Raises:
        ValueError: only some of the three variables are set, or one is not a number in its range.
    """
    if jax.distributed.is_initialized():
        return
    given = {name: environment[name] for name in _PROCESS_VARIABLES if environment.get(name)}
    if not given:
        if environment.get("JAXKD_DISTRIBUTED") == "1":
            jax.distributed.initialize()
        return
    missing = [name for name in _PROCESS_VARIABLES if name not in given]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be set too, got only {', '.join(given)}. Set all three or none.")
    coordinator, process_id, count = (given[name] for name in _PROCESS_VARIABLES)
    if not (process_id.isdecimal() and count.isdecimal() and int(process_id) < int(count)):
        raise ValueError(
            f"JAXKD_PROCESS_ID must be a number from 0 and below JAXKD_NUM_PROCESSES, got {process_id!r} and {count!r}."
        )
    jax.distributed.initialize(coordinator, num_processes=int(count), process_id=int(process_id))


def optimizer_shardings(state: Any, params: Params, params_shardings: Params | None) -> Any:
    """Return the sharding of each leaf of an optimizer's state.

    A leaf whose path ends with the path of a parameter, and that has its shape, is a moment of that parameter and is
    sharded like it; every other leaf is replicated.

    Args:
        state: `jax.eval_shape(transformation.init, params)`.
        params: arrays or `jax.ShapeDtypeStruct`s.
        params_shardings: a `NamedSharding` for each parameter, or None without a mesh.

    Returns:
        A tree like `state`, or None without a mesh.
    """
    if params_shardings is None:
        return None
    placed = jax.tree.leaves(params_shardings)
    if not placed:
        raise ValueError("params_shardings must hold the sharding of at least one parameter, got an empty tree.")
    replicated = NamedSharding(placed[0].mesh, PartitionSpec())
    paths = jax.tree_util.tree_flatten_with_path(params)[0]
    known = {path: (leaf.shape, sharding) for (path, leaf), sharding in zip(paths, placed, strict=True)}

    def shard(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        for start in range(len(path)):  # the longest suffix first
            shape, sharding = known.get(path[start:], (None, None))
            if sharding is not None and leaf.shape == shape:
                return sharding
        return replicated

    return jax.tree_util.tree_map_with_path(shard, state)


def over_processes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the maximum of each number over all processes, which all pass the same names."""
    if jax.process_count() == 1:
        return dict(sizes)
    from jax.experimental import multihost_utils

    largest = np.max(multihost_utils.process_allgather(np.array(list(sizes.values()))), axis=0)
    return dict(zip(sizes, largest.tolist(), strict=True))


def global_batch(batch: Batch, mesh: Mesh) -> Batch:
    """Assemble one batch from the rows of all processes; rows are split over data and fsdp.

    Args:
        batch: a tree of NumPy arrays whose first axis is this process's rows.  All processes pass the same shapes.
        mesh: mesh that receives the rows.

    Raises:
        ValueError: the rows of all processes cannot be split evenly over the mesh.
    """
    sharding = NamedSharding(mesh, PartitionSpec(ROWS))
    processes = len({device.process_index for device in mesh.devices.flat})
    parts = _row_parts(mesh)

    def shard(array: np.ndarray) -> jax.Array:
        rows = len(array) * processes
        if rows % parts:
            raise ValueError(
                f"the rows of a batch must be a multiple of data x fsdp, got {rows} and {parts}. Change the number of "
                "rows or the mesh."
            )
        return jax.make_array_from_process_local_data(sharding, array, (rows, *array.shape[1:]))

    return jax.tree.map(shard, batch)


def on_ambient(batch: Batch) -> Batch:
    """Apply `global_batch` on the mesh set by `jax.set_mesh`; without one, return the batch unchanged.

    Raises:
        ValueError: as `global_batch`.
    """
    ambient = jax.sharding.get_mesh()
    return batch if ambient.empty else global_batch(batch, ambient)
