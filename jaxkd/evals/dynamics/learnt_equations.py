"""Equations that a vector field has learnt, beside the true ones, as text."""

import jax.numpy as jnp
import numpy as np

from jaxkd.data.trajectories.sources import TrajectorySource
from jaxkd.dynamics import simplified
from jaxkd.dynamics.derivatives.trajectories import Trajectories
from jaxkd.dynamics.systems.grid_equations import GridEquations
from jaxkd.training.results.evaluation import LearntEquation
from jaxkd.vector_fields.field import VectorField
from jaxkd.vector_fields.symbolic import SYMBOLIC, Corrected, Symbolic

DIGITS = 3
"""Significant digits of a coefficient."""

LEAST = 0.001
"""Smallest contribution of a term that is shown, as a share of its right-hand side."""


def learnt_equations(model: VectorField, data: TrajectorySource, measured: Trajectories) -> tuple[LearntEquation, ...]:
    """Return the equations of a field of terms; none of a network alone.

    Args:
        model: the field.
        data: source of the records, which may know the true equations.
        measured: records at whose samples the terms' contributions are measured.
    """
    field, params, rest = model.field, model.params, ""
    if isinstance(field, Corrected):
        field, params, rest = field.symbolic, params[SYMBOLIC], " + network"
    if not isinstance(field, Symbolic):
        return ()
    records = field.records(measured, np.asarray(measured.states))
    parts = [records.states] if records.inputs is None else [records.states, records.inputs]
    points = jnp.concatenate(parts, axis=2)[records.there]
    found = simplified(field.equations(params, model.scales), points, least=LEAST).rounded(DIGITS)
    truth, true_sides = data.equations(), [""] * len(found.states)
    if truth is not None:
        truth = truth.local if isinstance(truth, GridEquations) else truth
        # In the order of the learnt terms, so that both are read side by side.
        places = {term: place for place, term in enumerate(field.terms())}
        ordered = sorted(truth.terms, key=lambda term: places.get(term, len(places)))
        true_sides = truth.within(ordered).rounded(DIGITS).right_hand_sides()
    return tuple(
        LearntEquation(state=str(state), learnt=side + rest, truth=true_side)
        for state, side, true_side in zip(found.states, found.right_hand_sides(), true_sides, strict=True)
    )
