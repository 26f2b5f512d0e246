"""A vector field of predators and prey: from slopes by three estimators, and through the solver.

Claim     Matching slopes of the data's Fourier series costs a fraction of learning through the solver (FNODE,
          arXiv 2405.11542, whose tables are not available to us).
Data      Sixteen records of Lotka-Volterra, (1.5, 1, 3, 1), of 81 samples over 8 units of time, with white noise of 1 %
          of each state's standard deviation.  Validation: sixteen others with noise; test: sixteen without.
Rows      FNODE; the same with central differences and with smoothing splines; the weak form, over windows of 9 samples;
          NeuralODE over pieces of 20 samples.
Equal     The network, 2 x 64 tanh, in float64, and the seeds.  Not equal: steps.  NeuralODE takes enough to cost
          several times FNODE.
Measure   Errors of forecasts of whole test records from their first state, in standard deviations; and the field's
          relative L2 error at the test's states.
Result    Forecast errors: .094 (.083 to .111) with FNODE, .111 (.103 to .124) with differences, .099 (.084 to .116)
          with splines, .084 (.069 to .094) in the weak form, .157 (.096 to .187) with NeuralODE after 3 times as long;
          field errors: .018, .035, .019, .022 and .123.

    python -m jaxkd.train --config configs/fnode_lotka_volterra.py
"""

from typing import Literal

from jaxkd.data.trajectories import SimulatedTrajectories
from jaxkd.dynamics import CentralDifferences, SplineSlopes, systems
from jaxkd.evals.dynamics import FieldError, RolloutError
from jaxkd.evals.headline import ROLLOUT_ERROR
from jaxkd.recipes.fnode import FNODE
from jaxkd.recipes.neural_ode import NeuralODE
from jaxkd.recipes.weak_matching import WeakMatching
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer, Recipe, Train
from jaxkd.vector_fields import Phase


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    full = size == "full"
    data = SimulatedTrajectories.of(systems.LOTKA_VOLTERRA, noise=0.01, count=16 if full else 3)

    def train(name: str, recipe: Recipe, steps: int) -> Train:
        steps = steps if full else 8
        return Train(
            name=name,
            label=name.replace("_", " "),
            recipe=recipe,
            steps=steps,
            optimizer=Optimizer(learning_rate=3e-3),
            precision="float64",
            mesh=MeshShape(data=1),
            log_every=max(steps // 100, 1),
            evaluate_every=max(steps // 5, 1),
            keep_best="rollout_error",
            validation=(RolloutError(data=data, split="validation"),),
            evaluators=(RolloutError(data=data, smooth=False), FieldError(data=data)),
        )

    return Study(
        name="fnode_lotka_volterra",
        title="A vector field of predators and prey",
        description="One network, taught by slopes of noisy records or through the solver.",
        headline=ROLLOUT_ERROR,
        stages=(
            train("fnode", FNODE(data=data), 5000),
            train("central_differences", FNODE(data=data, slopes=CentralDifferences()), 5000),
            train("splines", FNODE(data=data, slopes=SplineSlopes()), 5000),
            train("weak", WeakMatching(data=data), 5000),
            train("neural_ode", NeuralODE(data=data, rows=64, phases=(Phase(steps=1, horizon=20),)), 2000),
        ),
        seeds=(0, 1, 2),
    )
