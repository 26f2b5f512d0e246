"""The machine and the versions that a result depends on.

Run as a script, it prints those of its own interpreter, so it imports only the standard library and jax.
"""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ("jaxkd-distill", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "transformers", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """Machine and software of a figure.  Holds no date, path or host, so that equal machines give equal records."""

    device: str
    """Number and kind of JAX's devices."""
    machine: str
    """Processor, cores and operating system."""
    python: str
    versions: dict[str, str]
    """Versions of the installed packages among `PACKAGES`, and of others if they matter."""


def here(*packages: str) -> Environment:
    """Return the environment of this process, with the versions of further packages."""
    import jax

    devices = jax.devices()
    return Environment(
        device=f"{len(devices)} x {devices[0].device_kind}",
        machine=f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions={name: version for name in (*PACKAGES, *packages) if (version := _version(name)) is not None},
    )


def of(python: Path) -> Environment:
    """Return the environment of another interpreter."""
    # -P: this folder must not be searched for modules, since some have common names.
    run = subprocess.run([python, "-P", __file__], capture_output=True, text=True, check=True)
    return Environment(**json.loads(run.stdout))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


if __name__ == "__main__":
    json.dump(dataclasses.asdict(here()), sys.stdout)
