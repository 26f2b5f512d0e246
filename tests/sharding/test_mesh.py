"""The mesh, and what is placed on it; processes are real ones."""

import os
import socket
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.records import TokenBatch
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as mesh_lib
from jaxkd.training import Group, Optimizer
from jaxkd.training.optimizer import build


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (MeshShape(), (8, 1, 1)),
        (MeshShape(fsdp=4), (2, 4, 1)),
        (MeshShape(data=2, fsdp=-1, tensor=2), (2, 2, 2)),
        (MeshShape(data=1, fsdp=1, tensor=8), (1, 1, 8)),
    ],
)
def test_mesh_takes_all_devices(shape, expected):
    mesh = mesh_lib.make(shape)
    assert mesh.axis_names == ("data", "fsdp", "tensor")
    assert mesh.devices.shape == expected
    assert set(mesh.axis_types) == {jax.sharding.AxisType.Auto}


def test_mesh_of_one_device_is_a_mesh():
    assert mesh_lib.make(MeshShape(), jax.devices()[:1]).devices.shape == (1, 1, 1)


def test_sizes_that_are_all_given_may_use_the_first_devices_only():
    assert mesh_lib.make(MeshShape(data=2, fsdp=2)).devices.flatten().tolist() == jax.devices()[:4]


def test_rows_that_cannot_be_split_are_refused():
    mesh_lib.check_rows(MeshShape(data=4, fsdp=2), 16)
    with pytest.raises(ValueError, match="must be a multiple of data x fsdp, got 4 and 8. Change data.rows"):
        mesh_lib.check_rows(MeshShape(data=4, fsdp=2), 4)


def test_mesh_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must divide the number of devices, got data -1 x fsdp 3 x tensor 1 and 8"):
        mesh_lib.make(MeshShape(fsdp=3))
    with pytest.raises(
        ValueError, match=r"must multiply to the number of devices .* got data 16 .* and 8 devices\. Set one"
    ):
        mesh_lib.make(MeshShape(data=16))
    with pytest.raises(ValueError, match=r"fsdp must be a number of devices or -1.*got 0"):
        MeshShape(fsdp=0)
    with pytest.raises(ValueError, match="only one of data, fsdp and tensor may be -1"):
        MeshShape(fsdp=-1)


def test_row_that_would_span_processes_is_refused():
    class Device:
        def __init__(self, process_index):
            self.process_index = process_index

    devices = [Device(0), Device(0), Device(1), Device(1)]
    with pytest.raises(ValueError, match=r"data x fsdp must be a multiple of the number of processes.*1 x 1 and 2"):
        mesh_lib.make(MeshShape(data=1, tensor=4), devices)


def test_moments_are_placed_with_their_parameters():
    mesh = mesh_lib.make(MeshShape(data=2, fsdp=2, tensor=2))
    params = {
        "student": {"up": jax.ShapeDtypeStruct((4, 8), jnp.float32), "norm": jax.ShapeDtypeStruct((4,), jnp.float32)},
        "projectors": {"up": jax.ShapeDtypeStruct((6, 2), jnp.float32)},
    }
    specs = {"student": {"up": ("fsdp", "tensor"), "norm": (None,)}, "projectors": {"up": (None, "tensor")}}
    placed = jax.tree.map(lambda _, spec: NamedSharding(mesh, PartitionSpec(*spec)), params, specs)
    transformation = build(Optimizer(groups=(Group(name="projectors", learning_rate=1.0),)), 5)
    state = jax.eval_shape(transformation.init, params)

    shardings = mesh_lib.optimizer_shardings(state, params, placed)
    assert jax.tree.structure(shardings) == jax.tree.structure(state)
    for path, sharding in jax.tree_util.tree_flatten_with_path(shardings)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        wanted = {"student/up": ("fsdp", "tensor"), "projectors/up": (None, "tensor")}
        spec = next((spec for suffix, spec in wanted.items() if name.endswith(suffix)), None)
        assert sharding.spec == (PartitionSpec(*spec) if spec else PartitionSpec(*sharding.spec)), name
        if spec is None:
            assert sharding.is_fully_replicated, name
    made = jax.jit(transformation.init, out_shardings=shardings)(
        jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), params)
    )
    jax.tree.map(
        lambda leaf, sharding: leaf.sharding.is_equivalent_to(sharding, leaf.ndim) or pytest.fail(), made, shardings
    )


def test_leaf_of_another_shape_is_replicated():
    mesh = mesh_lib.make(MeshShape(fsdp=8, data=1))
    params = {"up": jax.ShapeDtypeStruct((8,), jnp.float32)}
    placed = {"up": NamedSharding(mesh, PartitionSpec("fsdp"))}
    state = {"memory": {"up": jax.ShapeDtypeStruct((3, 8), jnp.float32)}, "mean": {"up": params["up"]}}
    shardings = mesh_lib.optimizer_shardings(state, params, placed)
    assert shardings["memory"]["up"].spec == PartitionSpec()
    assert shardings["mean"]["up"].spec == PartitionSpec("fsdp")


def test_longest_path_decides_between_parameters_of_one_name():
    mesh = mesh_lib.make(MeshShape(fsdp=8, data=1))
    up = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    specs = {"up": PartitionSpec("fsdp"), "student": {"up": PartitionSpec(None, "fsdp")}}
    placed = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    params = {"up": up, "student": {"up": up}}
    shardings = mesh_lib.optimizer_shardings({"mu": params}, params, placed)
    assert shardings == {"mu": placed}


def test_no_mesh_means_no_shardings():
    assert mesh_lib.optimizer_shardings({"count": jnp.zeros(())}, {"up": jnp.zeros(2)}, None) is None
    with pytest.raises(ValueError, match="params_shardings must hold the sharding of at least one parameter"):
        mesh_lib.optimizer_shardings({}, {}, {})


def _batch(rows):
    numbers = np.arange(rows * 3, dtype=np.int32).reshape(rows, 3)
    mask = np.ones((rows, 2), bool)
    targets = np.zeros((rows, 2), np.int32)
    return TokenBatch(tokens=numbers, positions=numbers, segment_ids=numbers, target_positions=targets,
                      labels=targets, loss_mask=mask, example_ids=targets)  # fmt: skip


def test_global_batch_splits_rows():
    mesh = mesh_lib.make(MeshShape(data=2, fsdp=2, tensor=2))
    batch = mesh_lib.global_batch(_batch(4), mesh)
    np.testing.assert_array_equal(batch.tokens, _batch(4).tokens)
    assert batch.teacher is None
    assert batch.loss_mask.dtype == bool
    assert {shard.data.shape for shard in batch.tokens.addressable_shards} == {(1, 3)}


def test_global_batch_that_does_not_split_is_refused():
    mesh = mesh_lib.make(MeshShape(data=2, fsdp=2, tensor=2))
    with pytest.raises(ValueError, match="rows of a batch must be a multiple of data x fsdp, got 3 and 4"):
        mesh_lib.global_batch(_batch(3), mesh)


def test_batch_without_a_mesh_stays_where_it_is():
    batch = _batch(4)
    assert mesh_lib.on_ambient(batch) is batch
    with jax.set_mesh(mesh_lib.make(MeshShape(data=4), jax.devices()[:4])):
        assert {shard.data.shape for shard in mesh_lib.on_ambient(batch).tokens.addressable_shards} == {(1, 3)}


def test_one_process_needs_no_initialization():
    mesh_lib.initialize_processes({})
    mesh_lib.initialize_processes({"JAXKD_DISTRIBUTED": "0"})
    assert not jax.distributed.is_initialized()


def test_incomplete_description_of_processes_is_refused():
    with pytest.raises(ValueError, match="JAXKD_PROCESS_ID, JAXKD_NUM_PROCESSES must be set too, got only JAXKD_COORD"):
        mesh_lib.initialize_processes({"JAXKD_COORDINATOR": "localhost:1"})
    for process_id in ("2", "one"):
        described = {"JAXKD_COORDINATOR": "h:1", "JAXKD_PROCESS_ID": process_id, "JAXKD_NUM_PROCESSES": "2"}
        with pytest.raises(ValueError, match="JAXKD_PROCESS_ID must be a number from 0 and below JAXKD_NUM_PROCESSES"):
            mesh_lib.initialize_processes(described)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"JAXKD_DISTRIBUTED": "1"}, ((), {})),
        (
            {"JAXKD_COORDINATOR": "h:1", "JAXKD_PROCESS_ID": "1", "JAXKD_NUM_PROCESSES": "2", "JAXKD_DISTRIBUTED": "1"},
            (("h:1",), {"num_processes": 2, "process_id": 1}),
        ),
    ],
)
def test_environment_reaches_jax(monkeypatch, environment, expected):
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **kwargs: calls.append((args, kwargs)))
    mesh_lib.initialize_processes(environment)
    assert calls == [expected]


PROCESS = """
    import warnings
    warnings.simplefilter("error")
    import sys
    import jax, numpy as np
    from jax.experimental import multihost_utils
    from jaxkd.sharding import mesh as mesh_lib
    from jaxkd.runtime.checkpoint import Checkpoints

    mesh_lib.initialize_processes()
    mesh_lib.initialize_processes()  # the second call does nothing
    mesh = mesh_lib.make(mesh_lib.MeshShape(fsdp=2))
    assert (jax.process_count(), mesh.devices.shape) == (2, (2, 2, 1))
    rows = np.arange(4, dtype=np.float32).reshape(2, 2) + 4 * jax.process_index()
    batch = mesh_lib.global_batch({"rows": rows}, mesh)
    assert batch["rows"].shape == (4, 2)
    total = jax.jit(lambda batch: (batch["rows"] ** 2).sum())(batch)
    assert float(total) == float((np.arange(8) ** 2).sum()), total
    with Checkpoints(sys.argv[1]) as checkpoints:
        checkpoints.save(1, batch, {"examples": 4})
    jax.distributed.shutdown()
    print("done")
"""


@pytest.mark.slow
def test_two_processes_share_a_batch_and_a_checkpoint(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROCESS), str(tmp_path)],
            env={
                **os.environ,
                "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
                "JAXKD_COORDINATOR": f"127.0.0.1:{port}",
                "JAXKD_PROCESS_ID": str(index),
                "JAXKD_NUM_PROCESSES": "2",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (stdout, stderr) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, stderr
        assert stdout.strip().endswith("done")

    from jaxkd.runtime.checkpoint import Checkpoints

    mesh = mesh_lib.make(MeshShape())
    target = {"rows": jax.ShapeDtypeStruct((4, 2), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))}
    with Checkpoints(tmp_path) as checkpoints:
        arrays, record = checkpoints.restore(1, target)
    np.testing.assert_array_equal(arrays["rows"], np.arange(8).reshape(4, 2))
    assert record == {"examples": 4}
