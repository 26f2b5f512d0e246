"""One line and status 75 for the processes that are left, whichever part of JAX notices the loss first."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import jax

from jaxkd.runtime.lost_process import coordination
from jaxkd.runtime.storage.saved_steps import SavedSteps

_SIGNS = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "socket closed",
    "remote process exited",  # NCCL
    "stopped sending heartbeats",
)
"""Texts of errors, in lower case, by which a collective operation reports that the other side is gone."""

_folders: list[Path] = []
"""Folder of the training that is in progress, if one is."""

_ending = threading.Lock()
"""Held by the first thread that ends this process."""


@contextlib.contextmanager
def ends() -> Iterator[None]:
    """End this process with one line and status 75 if, during a block, the run loses another process.

    The others can neither go on nor shut down in order: what waits for all processes would wait for the lost one.
    """
    with coordination.calling(_end), _ending_by_errors():
        yield


@contextlib.contextmanager
def saved_in(folder: Path) -> Iterator[None]:
    """Name the newest checkpoint of a folder if, during a block, the run loses another process.

    It is the innermost block of a training: others wait, as they end, for the saves of all processes.

    Args:
        folder: folder of checkpoints.
    """
    _folders.append(folder)
    try:
        with _ending_by_errors():
            yield
    finally:
        _folders.pop()


@contextlib.contextmanager
def _ending_by_errors() -> Iterator[None]:
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # ValueError for some of Gloo's
        if coordination.processes().count > 1 and any(sign in str(error).lower() for sign in _SIGNS):
            _end()
        raise


def _end() -> NoReturn:
    """Say which process was lost and up to where the run is saved, and end without any shutdown."""
    _ending.acquire()  # for ever: a second thread that comes here must not print
    try:
        sys.stdout.flush()
        sys.stderr.write(f"{_message()}\n")
        sys.stderr.flush()
    finally:
        os._exit(os.EX_TEMPFAIL)


def _message() -> str:
    processes = coordination.processes()
    lost = None
    if processes.count == 2:
        lost = 1 - processes.index
    elif processes.index > 0 and not coordination.answers():
        lost = 0
    who = f"one of {processes.count} processes"
    if lost is not None:
        who = f"process {lost} of {processes.count}, counted from 0"
    saved = ""
    if _folders:
        steps = SavedSteps(_folders[-1]).steps()
        saved = f"; saved up to step {steps[-1]}" if steps else "; nothing was saved yet"
    return f"lost {who}{saved}. Run the same command to go on."
