"""A partial differential equation from noisy solutions, solved on a finer grid than it was learnt on.

Claim     SNODE finds 0.0098 s_xx + u - 0.0083 s + 0.0046 for s_t = 0.01 s_xx + 0.01 s^2 + u after its second stage, and
          a model learnt on 32 grid points holds on 128 (arXiv 2503.08059, page 6).
Data      Ten solutions of that equation on a periodic interval of length 1, at 32 points and 101 times within 1, from
          random waves; u(x, t) = 0.2 sin(2 pi x) + g(t) is known, with a smooth random g for each.  White noise of 1 %
          of the standard deviation.  These are not the paper's data: as printed, its u is not periodic.
Rows      FNODE's network of s, s_x, s_xx and u; SNODE's three stages with all products of two of them, in the second
          once with the terms that stage 1 has found and once, as in the paper, with all terms free.
Measure   Errors of forecasts of whole clean test solutions from their first state, in standard deviations: at 32
          points, and of the same solutions at 128, `finer`; the relative L2 error of the right-hand side at the test's
          states.
Result    Forecast errors: .013 (.011 to .016) with the network, .0042 after stage 1, which finds 0.00997 s_xx + 1.00 u,
          .0039 after stage 2 of those two terms, .00076 (.00069 to .00088) with all of fifteen terms, among them .0098
          to .0104 s^2 and no other above .0007, and .0029 after stage 3; at 128 points the same within 2 %.  Errors of
          the right-hand side: .029, .0044, .0040, .00094 and .0036.

    python -m jaxkd.train --config configs/snode_diffusion_reaction.py
"""

import dataclasses
from typing import Literal

from jaxkd.data.trajectories import SimulatedOnGrid
from jaxkd.dynamics import GridSlopes
from jaxkd.dynamics.systems import DIFFUSION_REACTION
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.recipes.fnode import FNODE
from jaxkd.recipes.snode import SNODEMatching, SNODEResidual, SNODETuning
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vector_fields import Corrected, Network, OnGrid, Phase, Terms, TermsOnGrid


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    system = DIFFUSION_REACTION if full else dataclasses.replace(DIFFUSION_REACTION, samples=41, points=16)
    data = SimulatedOnGrid(system=system, noise=0.01, count=10 if full else 2)
    finer = dataclasses.replace(data, system=dataclasses.replace(system, points=4 * system.points))
    grid = system.grid
    terms = Terms(names=("s", "s_x", "s_xx", "u"), states=1, degree=2)
    found = TermsOnGrid(grid=grid, at_point=terms)
    every = TermsOnGrid(grid=grid, at_point=dataclasses.replace(terms, open=True))
    residual = Network(start_at_zero=True)
    shared = {"data": data, "slopes": GridSlopes(grid=grid)}

    def train(name: str, recipe: Recipe, steps: int, rate: float) -> Train:
        steps = steps if full else 4
        return Train(
            name=name,
            label=name.replace("_", " "),
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=rate),
            precision="float64",
            mesh=MeshShape(data=1),
            log_every=max(steps // 100, 1),
            evaluate_every=max(steps // 5, 1),
            keep_best="rollout_error",
            validation=(RolloutError(data=data, split="validation"),),
            evaluators=(
                RolloutError(data=data, smooth=False),
                RolloutError(data=finer, smooth=False, label="finer"),
                FieldError(data=data),
            ),
        )

    phases = (
        tuple(Phase(steps=40, horizon=horizon) for horizon in (10, 20, 50)) if full else (Phase(steps=1, horizon=4),)
    )
    solved = {**shared, "rows": 32, "phases": phases}
    return Study(
        name="snode_diffusion_reaction",
        title="A partial differential equation from noisy solutions",
        description="Learnt at 32 places, solved at 32 and at 128.",
        headline=ROLLOUT_ERROR,
        stages=(
            train("fnode", FNODE(**shared, field=OnGrid(grid=grid, at_point=Network()), rows=64), 3000, 3e-3),
            train("matching", SNODEMatching(**shared, field=found, rows=64), 40, 1e-3),
            train("tuning", SNODETuning(**solved, field=found, equations="stage:matching"), 120, 3e-4),
            train("all_terms", SNODETuning(**solved, field=every, equations="stage:matching"), 120, 3e-4),
            train(
                "residual",
                SNODEResidual(
                    **solved,
                    field=Corrected(symbolic=found, residual=OnGrid(grid=grid, at_point=residual)),
                    equations="stage:tuning",
                ),
                120,
                3e-4,
            ),
        ),
        seeds=(0, 1, 2),
    )
