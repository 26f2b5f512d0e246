"""NeuralODE: a vector field trained through the solver, on the error of short forecasts."""

import dataclasses

from jaxkd.vector_fields.field import Field, Network
from jaxkd.vector_fields.shooting import ShootingRecipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuralODE(ShootingRecipe):
    """loss = mean over pieces, times and states of (forecast - measured)^2 / deviation^2.

    Each step samples new pieces of the records, each forecast from its own start: a short horizon keeps the gradient
    stable, and `phases` lengthen it.  The pieces are independent; nothing ties the end of one to the start of the next.

    Source: Chen et al. 2018 (arXiv 1806.07366), discretise-then-optimise: gradients go through the solver's steps
    (Kidger 2021, arXiv 2202.02435, section 5.1).  Deviation: pieces in place of whole trajectories.
    """

    field: Field = Network()
    """Vector field f to learn.  Default: a neural network."""
