"""How all that pytest runs here is compiled, tests and examples of docstrings: cheaply, and kept."""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path


def _processor() -> str:
    """What distinguishes this machine's code generation: XLA's cache keys leave the CPU's features out."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    described = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return "\n".join(sorted(set(described))) or f"{platform.machine()} {platform.processor()}"


def _compilation_cache() -> Path:
    processor = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    return Path.home() / ".cache/jaxkd/tests" / f"{importlib.metadata.version('jaxlib')}-{processor}"


# Read when jax is imported, here and in the programs that tests start.  Compiling dominates, and each of these flags
# about halves it.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false",
    ]
).strip()
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_compilation_cache()))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
