"""A vector field that is learnt in the training loop, and what the loop wrote of it on the way."""

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
    """The whole run, in double precision and on one device.

    Args:
        train: its precision and mesh are not looked at.
        folder: for what it writes; empty.
        seed: of the run.

    Returns:
        What its rollouts kept.

    Raises:
        FloatingPointError: a loss that is not finite.
    """
    train = dataclasses.replace(train, precision="float64", mesh=mesh.MeshShape(data=1), tensorboard=False)
    with jax.set_mesh(mesh.make(train.mesh)):
        train.run(folder, seed=seed, stages={})
        with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
            state, _ = checkpoints.restore(train.steps, train.compiled_step().abstract_state())
    return state.rollout_state


def step_seconds(folder: Path) -> float:
    """The median: compiling and validating fall into the seconds of single steps, and do not count."""
    return statistics.median(row["seconds"] for row in metric_writer.read(folder) if "seconds" in row)


def validated(folder: Path, metric: str) -> dict[int, float]:
    """A metric of the validations, by step."""
    name = f"validation/{metric}"
    return {row["step"]: row[name] for row in metric_writer.read(folder) if name in row}
