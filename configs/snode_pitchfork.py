"""One equation for a family of systems: a network and terms, learnt where |u| <= 1 and tested where |u| <= 3.

Claim     A learnt equation of a system that a parameter drives holds for other values of the parameter, and a network
          does not (SNODE, arXiv 2503.08059, whose figures on bifurcations are not available to us).
Data      Twenty records of x' = u x - x^3, which has a pitchfork bifurcation at u = 0, of 201 samples over 10 units of
          time; u is smooth, random for each, within 1, and known.  White noise of 1 % of the standard deviation.
Rows      FNODE's network; terms of degree 3 in x and u, by SNODE's first two stages.
Measure   Errors of forecasts of whole records from their first state, in standard deviations: of test records with
          |u| <= 1, and of others, `beyond`, with |u| <= 3; and the field's relative L2 error at the test's states.
Result    Forecast errors where |u| <= 1: .015 (.014 to .017) with the network, .0041 (.0038 to .0044) after stage 1,
          .0011 (.0008 to .0014) after stage 2; where |u| <= 3: .310 (.297 to .324), .0033 (.0029 to .0040) and .0008
          (.0006 to .0010).

    python -m jaxkd.train --config configs/snode_pitchfork.py
"""

import dataclasses
from typing import Literal

from jaxkd.data.trajectories import SimulatedTrajectories
from jaxkd.dynamics.systems import PITCHFORK, RandomDrive
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.recipes.fnode import FNODE
from jaxkd.recipes.snode import SNODEMatching, SNODETuning
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vector_fields import Phase, Terms


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    data = SimulatedTrajectories.of(PITCHFORK, noise=0.01, count=20 if full else 3)
    beyond = dataclasses.replace(data, drive=RandomDrive(lengthscale=2.0, bound=3.0))
    terms = Terms(names=("x", "u"), states=1, degree=3)

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
            evaluate_every=max(steps // 5, 1),
            keep_best="rollout_error",
            validation=(RolloutError(data=data, split="validation"),),
            evaluators=(
                RolloutError(data=data, smooth=False),
                RolloutError(data=beyond, smooth=False, label="beyond"),
                FieldError(data=data),
            ),
        )

    phases = tuple(Phase(steps=40, horizon=horizon) for horizon in (10, 20))
    return Study(
        name="snode_pitchfork",
        title="One equation for a family of systems",
        description="Learnt where the parameter is within 1, tried where it is within 3.",
        headline=ROLLOUT_ERROR,
        stages=(
            train("fnode", FNODE(data=data), 3000, 3e-3),
            train("matching", SNODEMatching(data=data, field=terms), 40, 1e-3),
            train(
                "tuning",
                SNODETuning(data=data, field=terms, rows=64, equations="stage:matching", phases=phases),
                80,
                3e-4,
            ),
        ),
        seeds=(0, 1, 2),
    )
