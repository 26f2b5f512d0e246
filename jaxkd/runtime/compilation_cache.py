"""Compiled programs that are kept between runs."""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

from jaxkd.runtime.packages import cache_folder

VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def keep_compiled_programs() -> None:
    """Have JAX keep compiled programs in the cache folder, unless `JAX_COMPILATION_CACHE_DIR` names another one.

    Call it before the first program is compiled.
    """
    if VARIABLE not in os.environ:
        import jax

        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled" / machine()))


def machine() -> str:
    """Name of the installed jaxlib and of this processor: XLA's own keys leave out what the processor can do."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    described = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    processor = "\n".join(described) or f"{platform.machine()} {platform.processor()}"
    return f"{importlib.metadata.version('jaxlib')}-{hashlib.sha256(processor.encode()).hexdigest()[:12]}"
