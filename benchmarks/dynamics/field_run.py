"""Training runs of a vector field, and the metrics that they wrote."""

import dataclasses
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from jaxkd.runtime import metric_writer
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.sharding import mesh
from jaxkd.training import Train


def run(train: Train, folder: Path, *, seed: int) -> Mapping[str, Any]:
    """Run the training, in float64 and on one device.

    Args:
        train: training stage; its precision and mesh are ignored.
        folder: empty folder for the outputs.
        seed: seed of the run.

    Returns:
        The final rollout state.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    train = dataclasses.replace(train, precision="float64", mesh=mesh.MeshShape(data=1), tensorboard=False)
    with jax.set_mesh(mesh.make(train.mesh)):
        train.run(folder, seed=seed, stages={})
        with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
            state, _ = checkpoints.restore(train.steps, train.compiled_step().abstract_state())
    return state.rollout_state


def step_seconds(folder: Path) -> float:
    """Return the median, which ignores the few steps whose seconds include compiling or validating."""
    return statistics.median(row["seconds"] for row in metric_writer.read(folder) if "seconds" in row)


def validated(folder: Path, metric: str) -> dict[int, float]:
    """Return a validation metric by step."""
    name = f"validation/{metric}"
    return {row["step"]: row[name] for row in metric_writer.read(folder) if name in row}
