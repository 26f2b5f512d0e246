"""A module of ours and one of a peer, each in a process on the same processor core, asked in turn."""

import contextlib
import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.environment import Environment
from benchmarks.peers.environment import interpreter
from benchmarks.worker import ONE_CORE, Worker

Ask = Callable[..., dict[str, Any]]
"""A request by name and value -> its answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sides:
    """The two processes."""

    ours: Ask
    theirs: Ask
    environment: Environment
    """Of ours, with the versions of theirs."""


@contextlib.contextmanager
def sides(peer: str, *, ours: str, theirs: str) -> Iterator[Sides]:
    """Start both, with one thread each.

    Args:
        peer: whose environment theirs runs in.
        ours: a module that answers `environment=True` and what it is there for.
        theirs: a module that answers `versions=True` and the same.

    Raises:
        ChildProcessError: the peer cannot be installed.
        ValueError: a machine where a process cannot be kept to one core.
    """
    python, core = interpreter(peer), _core()
    start = functools.partial(Worker, core=core, environment=ONE_CORE | {"HF_HUB_OFFLINE": "1"})
    with start(Path(sys.executable), ours) as own, start(python, theirs) as other:
        here = Environment(**own.ask(environment=True))
        versions = {**here.versions, **other.ask(versions=True)}
        yield Sides(ours=own.ask, theirs=other.ask, environment=dataclasses.replace(here, versions=versions))


def _core() -> int:
    """One that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        raise ValueError("a process must be kept to one core, which this system cannot, got none. Run it on Linux.")
    return max(os.sched_getaffinity(0))
