"""Cost of a study: seconds and peak memory of each stage, over all processes that worked on it in turn."""

import contextlib
import logging
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxkd.runtime.storage.files import read_json, write_json

_log = logging.getLogger(__name__)

_FIGURES = ("seconds", "peak_memory_gb")


class Usage:
    """Record of the cost of a study, stored in `usage.json` in its folder."""

    def __init__(self, workdir: Path):
        self._path = workdir / "usage.json"
        self.stages: dict[str, dict[str, float]] = self._read()

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time of a block to a stage, even if the block fails."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._add(name, time.monotonic() - start)

    def seconds(self) -> float:
        """Return the total seconds of all stages."""
        return round(sum(stage["seconds"] for stage in self.stages.values()), 1)

    def peak_memory_gb(self) -> float:
        """Return the largest resident memory of a process, in 1e9 bytes."""
        return max((stage["peak_memory_gb"] for stage in self.stages.values()), default=0.0)

    def _read(self) -> dict[str, dict[str, float]]:
        """Read the file; one that is damaged costs its figures, and no stage."""
        try:
            found = read_json(self._path) if self._path.exists() else {}
            return {name: {figure: float(stage[figure]) for figure in _FIGURES} for name, stage in found.items()}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            _log.warning("the seconds and memory that %s held are lost (%s)", self._path, error)
            return {}

    def _add(self, name: str, seconds: float) -> None:
        self.stages |= self._read()  # what other processes measured meanwhile
        old = self.stages.get(name, dict.fromkeys(_FIGURES, 0.0))
        # ru_maxrss counts KiB on Linux and bytes on macOS.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
        self.stages[name] = {
            "seconds": round(old["seconds"] + seconds, 1),
            "peak_memory_gb": round(max(old["peak_memory_gb"], peak), 3),
        }
        if jax.process_index() == 0:
            write_json(self._path, self.stages)
