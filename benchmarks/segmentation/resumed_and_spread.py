"""Training with running statistics: killed and resumed, and on eight devices.

`python -m benchmarks.segmentation.resumed_and_spread`, with eight devices, prints how far these are from one.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.faults import runs
from benchmarks.row import Bar, Row
from benchmarks.worker import ROOT
from configs import lesions
from jaxkd.data.images import Lesions
from jaxkd.recipes.segmentation import Segmentation
from jaxkd.runtime import metric_writer
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from jaxkd.training import Train
from jaxkd.vision.segmentation import VFFMUNet

CONFIG = ROOT / "configs" / "lesions.py"
STAGE = "vffm_unet"
KILLED_AFTER_STEP = 2
DEVICES = 8
WITHIN = 1e-5


def rows() -> Iterator[Row]:
    """Yield the rows of both."""
    yield from _resumed()
    yield from _spread()


def _resumed() -> Iterator[Row]:
    """Kill a run after its second step, run it again, and compare all that it has stored with an undisturbed run."""
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Path(folder) / "undisturbed", Path(folder) / "killed"
        _finished(_start(undisturbed))
        process = _start(killed)
        while not any(row["step"] >= KILLED_AFTER_STEP for row in _logged(killed)):
            if process.poll() is not None:
                raise RuntimeError(f"a run must last until it is killed, got its end:\n{process.communicate()[0]}")
            time.sleep(0.02)
        process.kill()
        process.communicate()
        steps = max(row["step"] for row in _logged(killed))
        _finished(_start(killed))
        same = runs.outcome(undisturbed) == runs.outcome(killed) and _equal(_saved(undisturbed), _saved(killed))
    yield Row(figure="a run is killed: steps that it had logged", value=float(steps), unit="")
    yield Row(
        figure="killed and resumed: parameters, running statistics, metrics and masks bitwise equal",
        value=float(same),
        unit="",
        bar=Bar(relation=">=", limit=1),
    )


def _start(workdir: Path) -> subprocess.Popen[str]:
    return runs.start(CONFIG, workdir, "--size", "smoke", "--only", STAGE, f"--{STAGE}.save-every", "1")


def _finished(process: subprocess.Popen[str]) -> None:
    ended = runs.finish(process)
    if ended.status:
        raise RuntimeError(f"a run must end well, got exit code {ended.status}:\n{ended.output}")


def _logged(workdir: Path) -> list[dict[str, float]]:
    folder = workdir / STAGE / "0"
    return metric_writer.read(folder) if (folder / metric_writer.FILE).exists() else []


def _saved(workdir: Path) -> Any:
    """Return the state of the last checkpoint, on the host."""
    stages = lesions.get_config("smoke").stages
    stage = next(stage for stage in stages if isinstance(stage, Train) and stage.name == STAGE)
    with jax.set_mesh(meshes.make(MeshShape(data=1))):
        target = stage.compiled_step().abstract_state()
        with Checkpoints(workdir / STAGE / "0" / "checkpoints", read_only=True) as checkpoints:
            return jax.device_get(checkpoints.restore(checkpoints.latest() or 0, target))


def _equal(one: Any, other: Any) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), one, other)))


def _spread() -> Iterator[Row]:
    flags = os.environ.get("XLA_FLAGS", "") + f" --xla_force_host_platform_device_count={DEVICES}"
    command = [sys.executable, "-m", "benchmarks.segmentation.resumed_and_spread"]
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    answer = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name, off in json.loads(answer).items():
        yield Row(
            figure=f"{name} of a training step of VFFM-UNet: eight devices - one, over its largest value",
            value=off,
            unit="",
            bar=Bar(relation="<=", limit=WITHIN),
        )


def _differences() -> dict[str, float]:
    """Return how far loss, gradient and running statistics on eight devices are from those on one."""
    recipe = Segmentation(data=Lesions(side=64, train=DEVICES), network=VFFMUNet(), rows=DEVICES)
    batch = next(iter(recipe.batches("train", 0)))

    def step(params: Any, variables: Any, batch: Any) -> Any:
        output = recipe.loss(variables.replace(params=params), batch, recipe.counts(batch), jax.random.key(1))
        return output.loss, output.state

    found = []
    for devices in (1, DEVICES):
        with jax.set_mesh(meshes.make(MeshShape(data=devices))):
            variables = recipe.init(jax.random.key(0))
            spread = meshes.global_batch(batch, jax.sharding.get_mesh())
            differentiated = jax.jit(jax.value_and_grad(step, has_aux=True))
            (loss, state), gradient = differentiated(variables.params, variables, spread)
            found.append(jax.device_get({"loss": loss, "gradient": gradient, "running statistics": state}))
    one, other = found
    largest = max(float(np.max(np.abs(leaf))) for leaf in jax.tree.leaves(one["gradient"]))
    return {
        name: max(
            float(np.max(np.abs(a - b))) / (largest if name == "gradient" else float(np.max(np.abs(a))))
            for a, b in zip(jax.tree.leaves(one[name]), jax.tree.leaves(other[name]), strict=True)
        )
        for name in one
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_differences()))
