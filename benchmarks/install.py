"""What a plain CPU install costs: packages, bytes, and the time that an import takes."""

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.rows import Row, at_most, interleaved, median

ROOT = Path(__file__).parent.parent

_COUNT = """
import importlib.metadata
print(len({one.metadata["Name"].lower() for one in importlib.metadata.distributions()} - {"pip", "setuptools"}))
"""
_IMPORT = "import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"


def run(quick: bool) -> list[Row]:
    """Packages, size and import time of a fresh virtual environment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = _install(folder / "venv")
        rows = [
            at_most("packages of a plain install", float(_run(python, _COUNT, folder)), "packages", 80),
            at_most("size of the virtual environment, pip included", _gigabytes(folder / "venv"), "GB", 1.1),
        ]
        return rows + _import_times(python, folder, repeats=5 if quick else 11)


def _install(venv: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    # Not editable: the environment must hold the package itself.
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(ROOT)], check=True
    )
    return python


def _import_times(python: Path, folder: Path, *, repeats: int) -> list[Row]:
    """Seconds beyond `import jax`, in fresh processes that take turns."""
    statements = {"jax": "import jax", "jaxkd": "import jax, jaxkd", "jaxkd.losses": "import jax, jaxkd.losses"}
    measures = {
        name: functools.partial(lambda code: float(_run(python, code, folder)), _IMPORT.format(statement=statement))
        for name, statement in statements.items()
    }
    seconds = interleaved(measures, repeats=repeats)
    base, spread = median(seconds["jax"])
    rows = [Row(figure=f"import jax, {repeats} processes", value=base, unit="s", spread=spread)]
    for name in ("jaxkd", "jaxkd.losses"):
        beyond = [value - alone for value, alone in zip(seconds[name], seconds["jax"], strict=True)]
        value, spread = median(beyond)
        rows.append(at_most(f"import {name} beyond import jax, {repeats} pairs", value, "s", 0.3, spread=spread))
    return rows


def _run(python: Path, code: str, folder: Path) -> str:
    """Isolated and in another folder, so that the checkout's own package is not found."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [str(python), "-I", "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def _gigabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e9
