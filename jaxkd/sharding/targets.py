"""Accelerators that a program can be compiled for on a machine that has none.

The compiler of a target is a package: `libtpu` for TPUs, `jax-cuda12-plugin` and `jax-cuda12-pjrt` for NVIDIA GPUs,
neither of which needs the hardware or its driver.  The extra `targets` installs them.
"""

import abc
import dataclasses
import difflib
import os
import re
from typing import Any

GIB = 2**30

MEM_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
"""Environment variable that says how much of a GPU's memory JAX takes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target(abc.ABC):
    """A number of accelerators of one kind.

    Source:
        The makers' data sheets: dense matrix products, without sparsity.
    """

    name: str
    count: int = 1
    """Devices."""
    memory: float
    """Bytes of one device."""
    bfloat16: float
    """Peak floating-point operations a second of one device, of bfloat16 matrix products."""
    float32: float
    """The same for float32 ones, at JAX's default precision: TF32 on GPUs, bfloat16 passes on TPUs."""

    @abc.abstractmethod
    def devices(self) -> list[Any]:
        """Return devices that programs can be compiled for.

        Raises:
            ValueError: the compiler is not installed.
        """

    def usable(self) -> float:
        """Return the bytes of one device that arrays and programs can fill."""
        return self.memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu(Target):
    """NVIDIA GPUs of one machine."""

    device_kind: str
    config: str
    """Description of the device for XLA, as the text of its GpuTargetConfigProto."""

    def devices(self) -> list[Any]:
        from jax.experimental import topologies

        try:
            described = topologies.get_topology_desc(
                platform="cuda", topology=f"1x1x{self.count}", target_config=self.config
            )
        except NotImplementedError as error:
            raise ValueError(_no_compiler(self.name, "jax-cuda12-plugin and jax-cuda12-pjrt")) from error
        return list(described.devices)

    def usable(self) -> float:
        return float(os.environ.get(MEM_FRACTION, 0.75)) * self.memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tpu(Target):
    """A slice of a TPU pod."""

    topology: str
    """Generation and shape, such as `v5e:2x4`."""
    options: dict[str, str] = dataclasses.field(default_factory=dict)
    """Further options of the topology: of v4 alone, that the two cores of a chip are one device."""

    def devices(self) -> list[Any]:
        from jax.experimental import topologies

        # Without these, libtpu asks a metadata server that only TPU machines have.
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", self.name)
        # A compiler takes no device, so that several processes can plan at once, or beside one that trains.
        os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
        try:
            return list(topologies.get_topology_desc(self.topology, platform="tpu", **self.options).devices)
        except RuntimeError as error:
            if "not installed" not in str(error):
                raise
            raise ValueError(_no_compiler(self.name, "libtpu")) from error


def _no_compiler(name: str, packages: str) -> str:
    return (
        f"the compiler of {name} must be installed, got no {packages}. Install it with "
        "`pip install 'jaxkd-distill[targets]'`; it needs no accelerator."
    )


def _gpu(
    name: str,
    device_kind: str,
    *,
    capability: tuple[int, int],
    cores: int,
    memory: float,
    bandwidth: float,
    cache_mib: int,
    shared_kib: tuple[int, int],
    bfloat16: float,
    float32: float,
) -> Gpu:
    """Return one GPU; `shared_kib` is the shared memory of a multiprocessor, and what one block can take of it."""
    config = f"""
        platform_name: "CUDA"
        device_description_str: "{device_kind}"
        dnn_version_info {{ major: 9 minor: 10 }}
        runtime_version {{ major: 12 minor: 9 }}
        gpu_device_info {{
          cuda_compute_capability {{ major: {capability[0]} minor: {capability[1]} }}
          core_count: {cores}
          device_memory_size: {memory:.0f}
          memory_bandwidth: {bandwidth:.0f}
          l2_cache_size: {cache_mib * 2**20}
          shared_memory_per_core: {shared_kib[0] * 2**10}
          shared_memory_per_block: 49152
          shared_memory_per_block_optin: {shared_kib[1] * 2**10}
          threads_per_block_limit: 1024
          threads_per_warp: 32
          threads_per_core_limit: 2048
          registers_per_core_limit: 65536
          registers_per_block_limit: 65536
          fpus_per_core: {128 if capability[0] >= 9 else 64}
          block_dim_limit_x: 2147483647
          block_dim_limit_y: 65535
          block_dim_limit_z: 65535
          clock_rate_ghz: 1.5
        }}
    """
    return Gpu(name=name, device_kind=device_kind, memory=memory, bfloat16=bfloat16, float32=float32, config=config)


_AMPERE: dict[str, Any] = {
    "capability": (8, 0),
    "cores": 108,
    "cache_mib": 40,
    "shared_kib": (164, 163),
    "bfloat16": 312e12,
    "float32": 156e12,
}
_HOPPER: dict[str, Any] = {
    "capability": (9, 0),
    "cores": 132,
    "cache_mib": 50,
    "shared_kib": (228, 227),
    "bfloat16": 989e12,
    "float32": 494e12,
}
_V4: dict[str, Any] = {"memory": 32 * GIB, "bfloat16": 275e12, "float32": 275e12}
_V5E: dict[str, Any] = {"memory": 16 * GIB, "bfloat16": 197e12, "float32": 197e12}
_V5P: dict[str, Any] = {"memory": 95 * GIB, "bfloat16": 459e12, "float32": 459e12}
_V6E: dict[str, Any] = {"memory": 32 * GIB, "bfloat16": 918e12, "float32": 918e12}

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _gpu("a100-40gb", "NVIDIA A100-SXM4-40GB", memory=39.4 * GIB, bandwidth=1.555e12, **_AMPERE),
        _gpu("a100-80gb", "NVIDIA A100-SXM4-80GB", memory=79.2 * GIB, bandwidth=2.039e12, **_AMPERE),
        _gpu("h100-80gb", "NVIDIA H100 80GB HBM3", memory=79.1 * GIB, bandwidth=3.352e12, **_HOPPER),
        _gpu("h200-141gb", "NVIDIA H200", memory=139.8 * GIB, bandwidth=4.8e12, **_HOPPER),
        Tpu(name="v4-8", topology="v4:2x2x1", count=4, options={"chip_config_name": "megacore"}, **_V4),
        Tpu(name="v5e-4", topology="v5e:2x2", count=4, **_V5E),
        Tpu(name="v5e-8", topology="v5e:2x4", count=8, **_V5E),
        Tpu(name="v5e-16", topology="v5e:4x4", count=16, **_V5E),
        Tpu(name="v5p-8", topology="v5p:2x2x1", count=4, **_V5P),
        Tpu(name="v6e-8", topology="v6e:2x4", count=8, **_V6E),
    )
}
"""Targets by name.  The number in a TPU's name is its maker's: cores for v4 and v5p, which have two a chip."""


def find(name: str) -> Target:
    """Return a target: a key of `TARGETS`, or several GPUs of a machine, such as `8xh100-80gb`.

    Raises:
        ValueError: an unknown name; the nearest ones are listed.
    """
    times = re.fullmatch(r"([1-9]\d*)x(.+)", name)
    target = TARGETS.get(times[2] if times else name)
    if target is None or (times and not isinstance(target, Gpu)):
        near = difflib.get_close_matches(name, TARGETS, n=3) or list(TARGETS)
        raise ValueError(
            f"target must be one of {', '.join(TARGETS)}, or several GPUs such as 8xh100-80gb, got {name!r}. "
            f"Try {' or '.join(near[:3])}."
        )
    return dataclasses.replace(target, name=name, count=int(times[1])) if times else target
