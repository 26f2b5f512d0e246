"""Devices that a program runs on, or is planned for."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

_planned: ContextVar[Sequence[Any]] = ContextVar("planned devices", default=())


def devices() -> list[Any]:
    """Return the devices of all processes; within `planned`, those of the plan."""
    return list(_planned.get()) or jax.devices()


def platform() -> str:
    """Return the platform that programs are compiled for: cpu, cuda, gpu or tpu."""
    return _planned.get()[0].platform if _planned.get() else jax.default_backend()


def is_planned() -> bool:
    """Return whether programs are compiled for devices that this process does not have."""
    return bool(_planned.get())


@contextlib.contextmanager
def planned(others: Sequence[Any]) -> Iterator[None]:
    """Make meshes of `others`, within the block: programs are compiled for them and cannot run.

    Args:
        others: devices of `jaxkd.sharding.targets.Target.devices`; without any, nothing changes.
    """
    if not others:
        yield
        return
    token, cached = _planned.set(tuple(others)), jax.config.values["jax_enable_compilation_cache"]
    # Programs for devices that are not there can be kept, but not read again.
    _keep_programs(False)
    try:
        yield
    finally:
        _planned.reset(token)
        _keep_programs(cached)


def _keep_programs(keep: bool) -> None:
    jax.config.update("jax_enable_compilation_cache", keep)
    compilation_cache.reset_cache()  # which decides once whether it is used
