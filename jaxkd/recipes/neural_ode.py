"""NeuralODE: a vector field learnt through the solver, by how far short forecasts are off."""

import dataclasses

from jaxkd.vector_fields.field import Field, Network
from jaxkd.vector_fields.shooting import ShootingRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuralODE(ShootingRecipe):
    """loss = mean over pieces, times and states of (forecast - measured)^2 / deviation^2.

    Pieces of the records are drawn anew at each step, each forecast from its own start: a short horizon keeps the
    gradient tame, and `phases` lengthen it.  The pieces are shot independently; nothing ties the end of one to the
    beginning of the next.

    Source: Chen et al. 2018 (arXiv 1806.07366), discretised before it is optimised: gradients go through the solver's
    steps (Kidger 2021, arXiv 2202.02435, section 5.1).  Deviation: pieces in place of whole trajectories.
    """

    field: Field = Network()
