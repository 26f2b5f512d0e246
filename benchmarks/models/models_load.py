"""Host memory while a checkpoint is loaded: resident memory above that of a process that holds nothing.

Run as a script, it loads the given folder and prints the memory and the seconds.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row

ROOT = Path(__file__).parents[2]

PEAK = Bar(relation="<=", limit=1.3)
"""Bound on the peak memory above the baseline over the size of the loaded arrays.  On CPU devices the arrays are in the
same memory, so 1.0 is their own share."""

SHARD_BYTES = 300 * 10**6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One way of loading."""

    name: str
    dtype: str
    fsdp: int
    """CPU devices that share the parameters."""
    path: str
    """"placed" reads part by part onto the devices, "host" reads everything and then sends it."""
    bar: Bar | None


CASES = (
    Case(name="to float32, 1 device", dtype="float32", fsdp=1, path="placed", bar=PEAK),
    Case(name="to float32, 8 devices", dtype="float32", fsdp=8, path="placed", bar=PEAK),
    Case(name="to bfloat16, 1 device", dtype="bfloat16", fsdp=1, path="placed", bar=PEAK),
    Case(name="to float32 over host arrays, 8 devices", dtype="float32", fsdp=8, path="host", bar=None),
)


def measure(quick: bool) -> Measured:
    """Write a checkpoint in bfloat16 and load it in a separate process for each case; quick: only the first case."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="jaxkd-load-") as name:
        folder = Path(name) / "model"
        size = _write_checkpoint(folder)
        shards = len(list(folder.glob("*.safetensors")))
        rows.append(Row(figure=f"checkpoint in bfloat16, {shards} files", value=size / 1e9, unit="GB"))
        for case in CASES[:1] if quick else CASES:
            found = _in_a_process(folder, case)
            ratio = (found["peak"] - found["baseline"]) / found["loaded"]
            figure = f"peak host memory over the loaded arrays, {case.name}"
            rows.append(Row(figure=figure, value=ratio, unit="x", bar=case.bar))
            rows.append(Row(figure=f"  seconds, {case.name}", value=found["seconds"], unit="s"))
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="models_load",
    summary="host memory while a sharded checkpoint is loaded onto its devices",
    measure=measure,
)


def _write_checkpoint(folder: Path) -> int:
    """Write a llama of 0.5 G random weights and return their bytes."""
    import jax

    from jaxkd.models import DecoderConfig
    from jaxkd.models.checkpoints import huggingface
    from jaxkd.models.transformer import decoder

    config = DecoderConfig(
        vocab_size=32_000, width=1536, depth=16, heads=24, kv_heads=8, head_dim=64, mlp_width=4096, max_positions=2048
    )
    random = np.random.default_rng(0)
    # The values do not matter, and one row of them, repeated, costs no memory.
    abstract = decoder.abstract(config, ml_dtypes.bfloat16)
    params = jax.tree.map(
        lambda leaf: np.broadcast_to(random.standard_normal(leaf.shape[-1]).astype(ml_dtypes.bfloat16), leaf.shape),
        abstract,
    )
    huggingface.save(folder, config, params, max_shard_bytes=SHARD_BYTES)
    return sum(leaf.size * 2 for leaf in jax.tree.leaves(abstract))


def _in_a_process(folder: Path, case: Case) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.models.models_load", str(folder)]
    command += ["--dtype", case.dtype, "--fsdp", str(case.fsdp), "--path", case.path]
    flags = f"--xla_force_host_platform_device_count={case.fsdp}"
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise ChildProcessError(f"{' '.join(command)} must succeed, got exit code {run.returncode}:\n{run.stderr}")
    return json.loads(run.stdout)


def _load(folder: Path, *, dtype: str, fsdp: int, path: str) -> dict[str, float]:
    """Load once in this process and return bytes and seconds."""
    import jax
    import jax.numpy as jnp

    from jaxkd import sharding
    from jaxkd.models.checkpoints import config as model_config
    from jaxkd.models.checkpoints import huggingface
    from jaxkd.models.transformer import decoder
    from jaxkd.sharding import MeshShape
    from jaxkd.sharding.mesh import make

    config = model_config.read(folder)
    axes = decoder.logical_axes(config)
    with jax.set_mesh(make(MeshShape(data=1, fsdp=fsdp))):
        jax.block_until_ready(jax.jit(lambda x: x + 1)(jnp.zeros(8)))  # leave out the compiler's own memory
        baseline = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        start = time.perf_counter()
        if path == "placed":
            target = sharding.with_shardings(decoder.abstract(config, jnp.dtype(dtype)), axes)
            params = huggingface.load_sharded(folder, config, target)
        else:
            params = sharding.shard(huggingface.load(folder, config, dtype=jnp.dtype(dtype)), axes)
        jax.block_until_ready(params)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    loaded = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    return {"baseline": baseline, "peak": peak, "loaded": loaded, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--fsdp", type=int, required=True)
    parser.add_argument("--path", choices=("placed", "host"), required=True)
    json.dump(_load(**vars(parser.parse_args())), sys.stdout)
