"""Notice of a lost process by JAX's coordination service, which would abort this process with a dump."""

import contextlib
import ctypes
import dataclasses
import functools
import importlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

from jax._src import distributed

# The callback, the level, and the count before a device is touched have no public name, and these modules no stubs.
_jax: Any = importlib.import_module("jaxlib._jax")
_utils: Any = importlib.import_module("jaxlib.utils")

_OPTION = "missed_heartbeat_callback"
_BAD_CAST = b"St8bad_cast"
_ERRORS = 3
"""Level of absl's log above which only fatal messages are printed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processes:
    """Place of this process among those of the run."""

    index: int
    count: int


def processes() -> Processes:
    """Return the place of this process, without touching a device."""
    return Processes(index=distributed.global_state.process_id, count=distributed.global_state.num_processes)


def answers() -> bool:
    """Whether process 0, in which the service lives, accepts a connection."""
    host, _, port = (distributed.global_state.coordinator_address or "").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def calling(lost: Callable[[], None]) -> Iterator[None]:
    """Have JAX's coordination service call a function when it has lost a process, if it is started within a block.

    The service hears at once that process 0 is gone, since it lives there, and of any other process when its
    heartbeats have failed to come.

    Args:
        lost: function that ends this process.  It is called in a thread that JAX made.
    """
    client = _jax.get_distributed_runtime_client
    if _OPTION not in (client.__doc__ or ""):
        yield
        return

    @functools.wraps(client)
    def with_callback(*arguments: Any, **options: Any) -> Any:
        if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "0":
            # Else the service prints that it has an error, just before it calls.
            _utils.absl_set_min_log_level(_ERRORS)
        _on_bad_cast(lost)
        return client(*arguments, **options, **{_OPTION: lambda *_: lost()})

    _jax.get_distributed_runtime_client = with_callback
    try:
        yield
    finally:
        _jax.get_distributed_runtime_client = client


def _on_bad_cast(lost: Callable[[], None]) -> None:
    """Call a function in place of the termination by an uncaught `std::bad_cast`.

    jaxlib has no Python type for the status that it would give to the callback, so that it never gets to call it.
    """
    try:
        library = ctypes.CDLL("libstdc++.so.6")
        set_terminate, exception_type = library._ZSt13set_terminatePFvvE, library.__cxa_current_exception_type
    except (OSError, AttributeError):  # another C++ library, as on macOS: the process aborts
        return
    handler = ctypes.CFUNCTYPE(None)
    set_terminate.restype = exception_type.restype = ctypes.c_void_p
    before: list[Callable[[], None]] = []

    def terminate() -> None:
        found = exception_type()
        # The name follows the pointer to the virtual table.
        name = ctypes.c_char_p.from_address(found + ctypes.sizeof(ctypes.c_void_p)).value if found else None
        if name == _BAD_CAST:
            lost()
        before[0]()

    _kept.append(handler(terminate))
    before.append(handler(set_terminate(_kept[-1])))


_kept: list[Any] = []
"""Handlers that C++ has pointers to."""
