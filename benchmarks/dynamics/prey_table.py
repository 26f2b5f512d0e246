"""`python -m benchmarks.dynamics.prey_table measured.csv`: write a table of prey and predators, measured with noise.

Ten trajectories with known equations, in columns with units: the starting point of docs/dynamics.md.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from jaxkd.dynamics import systems
from jaxkd.runtime.program import run_program

TRAJECTORIES = 10
LEVEL = 0.05
"""Noise, as a share of each state's standard deviation."""


def table() -> str:
    """Return the rows of all trajectories, one after the other."""
    states, noise = jax.random.split(jax.random.key(0))
    system = systems.LOTKA_VOLTERRA
    measured = systems.with_noise(system.trajectories(states, TRAJECTORIES), noise, level=LEVEL)
    rows = [
        f"{run},{time:.1f},{prey:.5f},{predators:.5f}"
        for run, trajectory in enumerate(np.asarray(measured))
        for time, (prey, predators) in zip(np.asarray(system.times()), trajectory, strict=True)
    ]
    return "\n".join(["run,t [year],prey [1000],predators [1000]", *rows]) + "\n"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dynamics.prey_table", description=main.__doc__)
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    with jax.enable_x64(True):
        run_program(lambda: path.write_text(table(), encoding="utf-8"))


if __name__ == "__main__":
    main()
