"""A pytest plugin that records the cost of each test, one file per process: `pytest -p benchmarks.tests.suite_profile`.

JAX reports how long it traced, lowered and compiled; the rest of a test is running.
"""

import collections
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = "JAXKD_SUITE_PROFILE"
"""Environment variable that names an existing folder."""

_ACTIVITIES = {
    "/jax/core/compile/jaxpr_trace_duration": "tracing",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lowering",
    "/jax/core/compile/backend_compile_duration": "compiling",
}
_began = time.perf_counter()


class _Activities:
    """Seconds of each activity since the last `clear`, each second counted once."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: collections.Counter[str] = collections.Counter()
        self.programs = 0
        self._finished: list[tuple[float, float]] = []

    def listen(self, event: str, duration: float, **_: Any) -> None:
        """Add an activity that ends now; those within it have been added already and are taken off."""
        activity = _ACTIVITIES.get(event)
        if activity is None:
            return
        start, inner = self._clock() - duration, 0.0
        while self._finished and self._finished[-1][0] >= start:
            inner += self._finished.pop()[1]
        self._finished.append((start, duration))
        self.seconds[activity] += duration - inner
        self.programs += activity == "compiling"

    def clear(self) -> None:
        """Reset all counts."""
        self.seconds.clear()
        self._finished.clear()
        self.programs = 0


_activities = _Activities()
_listening = False
_first_item: dict[str, float] = {}


def _write(**record: Any) -> None:
    with (Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def _phase(name: str) -> Callable[..., Iterator[None]]:
    @pytest.hookimpl(wrapper=True)
    def hook(item: pytest.Item) -> Iterator[None]:
        global _listening
        if not _listening and "jax" in sys.modules:
            sys.modules["jax"].monitoring.register_event_duration_secs_listener(_activities.listen)
            _listening = True
        _activities.clear()
        began, cpu = time.perf_counter(), time.process_time()
        try:
            return (yield)
        finally:
            _write(
                phase=name,
                test=item.nodeid,
                seconds=time.perf_counter() - began,
                cpu=time.process_time() - cpu,
                programs=_activities.programs,
                **_activities.seconds,
            )

    return hook


pytest_runtest_setup = _phase("setup")
pytest_runtest_call = _phase("call")
pytest_runtest_teardown = _phase("teardown")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[Any]:
    """Time the import of a test file, and what comes after it."""
    began = time.perf_counter()
    try:
        return (yield)
    finally:
        if isinstance(collector, pytest.Module):
            ended = time.perf_counter()
            imported = _first_item.get(collector.nodeid, ended)
            _write(phase="collect", test=collector.nodeid, importing=imported - began, collecting=ended - imported)


def pytest_pycollect_makeitem(collector: pytest.Collector) -> None:
    """Notice the first name of a file that was imported."""
    _first_item.setdefault(collector.nodeid, time.perf_counter())


def pytest_sessionstart() -> None:
    """Note how long conftest files and plugins took to import."""
    _write(phase="start", test="", importing=time.perf_counter() - _began)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Note the peak memory of this process; the others, which the first one started, note their own."""
    _write(phase="finish", test="", gigabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
