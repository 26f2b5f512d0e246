"""How long a newcomer waits until a loss appears."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row, median

ROOT = Path(__file__).parent.parent

LIMIT_S = 600.0


def run(quick: bool) -> list[Row]:
    """Seconds from the command to the first logged step of the quickstart at its smoke size."""
    repeats = 1 if quick else 5
    # The first run may download and convert the model.
    seconds = [_seconds_to_first_row() for _ in range(1 + repeats)][1:]
    value, spread = median(seconds)
    return [Row(figure=f"first step of the sft stage, {repeats} runs", value=value, unit="s", spread=spread)]


def _seconds_to_first_row() -> float:
    """Without a compilation cache, and stopped as soon as the step is there."""
    with tempfile.TemporaryDirectory() as name:
        metrics = Path(name) / "sft" / "0" / "metrics.jsonl"
        environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
        command = [sys.executable, "-m", "jaxkd.train", "--config", "configs/quickstart.py", "--size", "smoke"]
        start = time.monotonic()
        with (Path(name) / "log").open("w+") as log:
            process = subprocess.Popen(
                [*command, "--only", "sft", "--workdir", name], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
            try:
                while not (metrics.exists() and metrics.stat().st_size):
                    if process.poll() is not None or time.monotonic() - start > LIMIT_S:
                        log.seek(0)
                        raise RuntimeError(f"the smoke run logged no step; it said:\n{log.read()[-2000:]}")
                    time.sleep(0.02)
                return time.monotonic() - start
            finally:
                process.kill()
                process.wait()
