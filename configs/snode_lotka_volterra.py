"""Equations of predators and prey in three stages: from slopes, through the solver, and a network for the rest.

Claim     Equations found from slopes are refined by learning through the solver, and a network learns the remainder
          (SNODE, arXiv 2503.08059, whose tables are not available to us).
Data      Sixteen records of Lotka-Volterra, (1.5, 1, 3, 1), of 81 samples over 8 units of time, with white noise of 5 %
          of each state's standard deviation.  Validation: sixteen others with noise; test: sixteen without.
Rows      The three stages, each starting from the previous one, and FNODE's network for contrast.
Measure   Errors of forecasts of whole test records from their first state, in standard deviations; and the field's
          relative L2 error at the test's states.
Result    Forecast errors: .010 (.009 to .012) after stage 1, .009 (.005 to .012) after stage 2, .022 (.009 to .033)
          after stage 3, .141 (.128 to .153) with the network; field errors: .0080, .0017, .0056 and .041.  The
          equations are complete, so stage 3 has nothing to learn but noise.

    python -m jaxkd.train --config configs/snode_lotka_volterra.py
"""

from typing import Literal

from jaxkd.data.trajectories import SimulatedTrajectories
from jaxkd.dynamics import systems
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.recipes.fnode import FNODE
from jaxkd.recipes.snode import SNODEMatching, SNODEResidual, SNODETuning
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vector_fields import AdaptiveSteps, Corrected, Network, Phase, Terms


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    data = SimulatedTrajectories.of(systems.LOTKA_VOLTERRA, noise=0.05, count=16 if full else 3)
    terms = Terms(names=data.states, states=2, degree=3)
    corrected = Corrected(symbolic=terms, residual=Network(width=32, depth=1, start_at_zero=True))
    dopri5 = AdaptiveSteps(method="dopri5", rtol=1e-4)
    phases = (*(Phase(steps=40, horizon=horizon) for horizon in (5, 10)), Phase(steps=1, horizon=20, integrator=dopri5))

    def train(name: str, recipe: Recipe, steps: int, rate: float) -> Train:
        steps = steps if full else 4
        return Train(
            name=name,
            label=name,
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=rate),
            precision="float64",
            mesh=MeshShape(data=1),
            log_every=max(steps // 100, 1),
            evaluate_every=max(steps // 8, 1),
            keep_best="rollout_error",
            validation=(RolloutError(data=data, split="validation"),),
            evaluators=(RolloutError(data=data, smooth=False), FieldError(data=data)),
        )

    return Study(
        name="snode_lotka_volterra",
        title="Equations of predators and prey, in three stages",
        description="Terms chosen from slopes, coefficients tuned through the solver, a network for what is left.",
        headline=ROLLOUT_ERROR,
        stages=(
            train("fnode", FNODE(data=data), 3000, 3e-3),
            train("matching", SNODEMatching(data=data, field=terms), 40, 1e-3),
            train(
                "tuning",
                SNODETuning(data=data, field=terms, rows=64, equations="stage:matching", phases=phases),
                240,
                3e-4,
            ),
            train(
                "residual",
                SNODEResidual(data=data, field=corrected, rows=64, equations="stage:tuning", phases=phases),
                240,
                3e-4,
            ),
        ),
        seeds=(0, 1, 2),
    )
