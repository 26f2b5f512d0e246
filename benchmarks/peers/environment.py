"""A peer's virtual environment, created on first use and stored in the user's cache."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path("~/.cache/jaxkd/peers")
PEERS = Path(__file__).parent


def interpreter(peer: str) -> Path:
    """Return the interpreter with the packages of `benchmarks/peers/PEER/requirements.txt`.

    Its first requirement is the peer itself, pinned, and names the environment.

    Raises:
        ValueError: the first requirement has no exact version.
        ChildProcessError: the packages cannot be installed; with the end of pip's output.
    """
    requirements = PEERS / peer / "requirements.txt"
    wanted = requirements.read_text(encoding="utf-8")
    pinned = wanted.splitlines()[0]
    name, equal, version = pinned.partition("==")
    if not equal:
        raise ValueError(f"{requirements} must begin with a pinned requirement, got {pinned!r}. Write {name}==VERSION.")
    folder = FOLDER.expanduser() / f"{name}-{version}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Written last: an environment without it, or with another list in it, is incomplete.
    installed = folder / "requirements.txt"
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return python
    sys.stderr.write(f"Installing {', '.join(wanted.split())} into {folder}; this takes minutes, once.\n")
    _call([sys.executable, "-m", "venv", "--clear", str(folder)], peer)
    _call([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], peer)
    installed.write_text(wanted, encoding="utf-8")
    return python


def _call(command: list[str], peer: str) -> None:
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    run = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        said = "\n".join(run.stderr.strip().splitlines()[-6:])
        raise ChildProcessError(
            f"{peer} must be installable to compare with it, got exit code {run.returncode} from "
            f"`{' '.join(command)}`:\n{said}\nRun this where a package index can be reached."
        )
