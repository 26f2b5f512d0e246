"""Runs of a study in processes of their own, which are killed, and whether two of them ended alike."""

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

LIMIT_S = 1800.0
"""Longest time of a run: one that exceeds it hangs."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended."""

    status: int
    output: str
    """Standard output and standard error."""

    @property
    def error(self) -> str:
        """Last line, which says what was wrong if the run failed."""
        return self.output.strip().rsplit("\n", 1)[-1]

    @property
    def says_one_line(self) -> bool:
        """Whether a run that failed says so in a line, without a traceback."""
        return self.status != 0 and "Traceback" not in self.output


def start(config: Path, workdir: Path, *options: str) -> subprocess.Popen[str]:
    """Start to train the study."""
    command = [sys.executable, "-m", "jaxkd.train", "--config", str(config), "--workdir", str(workdir), *options]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a run."""
    output, _ = process.communicate(timeout=LIMIT_S)
    return Ended(process.returncode, output)


def run(config: Path, workdir: Path) -> Ended:
    """Train the study to its end."""
    return finish(start(config, workdir))


def killed(config: Path, workdir: Path, seconds: float) -> Ended | None:
    """Train for so long and then kill the process; return how it ended if it ended before."""
    process = start(config, workdir)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return Ended(process.returncode, output)


def moments(count: int, longest: float) -> list[float]:
    """Draw moments at which to kill, in seconds, always the same."""
    return [random.Random(place).uniform(0.5, longest) for place in range(count)]


def outcome(workdir: Path) -> dict[str, Any]:
    """Read all that a finished study has logged, measured and cached, without what reads the clock."""
    from jaxkd.runtime import metric_writer

    found: dict[str, Any] = {}
    for path in sorted(workdir.rglob("*")):
        name = str(path.relative_to(workdir))
        if path.name == "metrics.jsonl":
            found[name] = [metric_writer.without_wall_clock(row) for row in metric_writer.read(path.parent)]
        elif path.name == "evaluation.json":
            found[name] = json.loads(path.read_text())
        elif path.suffix == ".npy":
            found[name] = path.read_bytes()
    return found
