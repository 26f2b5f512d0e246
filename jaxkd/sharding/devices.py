"""Devices that a program runs on, or is planned for."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jax

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
    token = _planned.set(tuple(others))
    try:
        yield
    finally:
        _planned.reset(token)
