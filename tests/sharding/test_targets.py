"""Accelerators to plan for, on a machine that has none."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxkd.sharding import MeshShape, devices, mesh
from jaxkd.sharding.targets import GIB, MEM_FRACTION, TARGETS, Gpu, Tpu, find


def test_several_gpus_of_a_machine_are_named_by_their_number():
    eight = find("8xh100-80gb")
    assert (eight.name, eight.count, eight.memory) == ("8xh100-80gb", 8, TARGETS["h100-80gb"].memory)
    assert find("h100-80gb").count == 1
    assert find("v5e-8").count == 8


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("h100-80", "h100-80gb"), ("v5e8", "v5e-8"), ("2xv5e-8", "v5e-8"), ("0xh100-80gb", "h100-80gb")],
)
def test_an_unknown_target_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=rf"target must be one of .*, got '{name}'\. Try .*\b{nearest}\b"):
        find(name)


@pytest.mark.parametrize(
    ("name", "error", "packages"),
    [
        ("h100-80gb", NotImplementedError("topology not implemented"), "jax-cuda12-plugin and jax-cuda12-pjrt"),
        ("v5e-8", RuntimeError("JAX TPU support not installed"), "libtpu"),
    ],
)
def test_a_missing_compiler_is_named_with_its_installation(monkeypatch, name, error, packages):
    def missing(*arguments, **options):
        raise error

    monkeypatch.setattr(topologies, "get_topology_desc", missing)
    message = (
        f"the compiler of {name} must be installed, got no {packages}. Install it with "
        "`pip install 'jaxkd-distill[targets]'`; it needs no accelerator."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        find(name).devices()


def test_other_failures_of_a_compiler_are_its_own(monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("lockfile")

    monkeypatch.setattr(topologies, "get_topology_desc", broken)
    with pytest.raises(RuntimeError, match="lockfile"):
        find("v5e-8").devices()


def test_a_gpu_gives_the_part_that_jax_takes(monkeypatch):
    gpu, tpu = find("h100-80gb"), find("v5e-8")
    monkeypatch.delenv(MEM_FRACTION, raising=False)
    assert gpu.usable() == 0.75 * gpu.memory
    monkeypatch.setenv(MEM_FRACTION, "0.92")
    assert gpu.usable() == 0.92 * gpu.memory
    assert tpu.usable() == tpu.memory == 16 * GIB


def test_planned_devices_are_those_of_meshes():
    real = jax.devices()
    assert devices.devices() == real
    with devices.planned(real[:2]):
        assert devices.is_planned()
        assert devices.platform() == "cpu"
        assert mesh.make(MeshShape()).devices.size == 2
        with pytest.raises(ValueError, match="must divide the number of devices"):
            mesh.make(MeshShape(data=-1, fsdp=4))
    assert not devices.is_planned()
    assert mesh.make(MeshShape()).devices.size == len(real)


@pytest.mark.targets
@pytest.mark.parametrize("name", ["2xh100-80gb", "a100-40gb", "h200-141gb", "v4-8", "v5e-8", "v5p-8", "v6e-8"])
def test_a_target_compiles_and_tells_its_memory(name):
    """The product of two bfloat16 matrices, of which each device has some rows."""
    target = find(name)
    found = target.devices()
    assert len(found) == target.count
    assert found[0].platform == {Gpu: "gpu", Tpu: "tpu"}[type(target)]
    rows = NamedSharding(Mesh(np.array(found), ("data",)), PartitionSpec("data"))
    a = jax.ShapeDtypeStruct((1024, 256), jnp.bfloat16, sharding=rows)
    b = jax.ShapeDtypeStruct((256, 512), jnp.bfloat16, sharding=NamedSharding(rows.mesh, PartitionSpec()))
    memory = jax.jit(jnp.matmul, out_shardings=rows).lower(a, b).compile().memory_analysis()
    assert memory.argument_size_in_bytes == 2 * (1024 * 256 // target.count + 256 * 512)
    assert memory.output_size_in_bytes == 2 * 1024 * 512 // target.count
