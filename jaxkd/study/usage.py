"""Cost of a study: seconds and peak memory of each stage, over all processes that worked on it in turn."""

import contextlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax


class Usage:
    """Record of the cost of a study, stored in `usage.json` in its folder."""

    def __init__(self, workdir: Path):
        self._path = workdir / "usage.json"
        self.stages: dict[str, dict[str, float]] = json.loads(self._path.read_text()) if self._path.exists() else {}

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

    def _add(self, name: str, seconds: float) -> None:
        old = self.stages.get(name, {"seconds": 0.0, "peak_memory_gb": 0.0})
        # ru_maxrss counts KiB on Linux and bytes on macOS.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
        self.stages[name] = {
            "seconds": round(old["seconds"] + seconds, 1),
            "peak_memory_gb": round(max(old["peak_memory_gb"], peak), 3),
        }
        if jax.process_index() == 0:
            self._path.write_text(json.dumps(self.stages, indent=1) + "\n")
