"""A module of ours and one of a peer, each in a process on the same processor core, queried in turn."""

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
"""Function from a request, by name and value, to its answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sides:
    """The two processes."""

    ours: Ask
    theirs: Ask
    environment: Environment
    """Environment of our process, with the versions of the peer's packages."""


@contextlib.contextmanager
def sides(peer: str, *, ours: str, theirs: str) -> Iterator[Sides]:
    """Start both processes, with one thread each.

    Args:
        peer: name of the peer, in whose environment `theirs` runs.
        ours: module that answers `environment=True` and the benchmark's requests.
        theirs: module that answers `versions=True` and the same requests.

    Raises:
        ChildProcessError: the peer cannot be installed.
        ValueError: the machine cannot restrict a process to one core.
    """
    python, core = interpreter(peer), _core()
    start = functools.partial(Worker, core=core, environment=ONE_CORE | {"HF_HUB_OFFLINE": "1"})
    with start(Path(sys.executable), ours) as own, start(python, theirs) as other:
        here = Environment(**own.ask(environment=True))
        versions = {**here.versions, **other.ask(versions=True)}
        yield Sides(ours=own.ask, theirs=other.ask, environment=dataclasses.replace(here, versions=versions))


def _core() -> int:
    """Return a core that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        raise ValueError("a process must be kept to one core, which this system cannot, got none. Run it on Linux.")
    return max(os.sched_getaffinity(0))
