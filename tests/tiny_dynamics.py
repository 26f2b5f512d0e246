"""A system, its records and its field in miniature, for everything that learns from trajectories."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.data.trajectories import SimulatedOnGrid, SimulatedTrajectories
from jaxkd.dynamics import systems
from jaxkd.dynamics.systems import DIFFUSION_REACTION
from jaxkd.sharding import MeshShape
from jaxkd.training import Optimizer, Train
from jaxkd.vector_fields import Terms
from jaxkd.vector_fields.field import VectorField

OSCILLATOR = dataclasses.replace(systems.DAMPED_OSCILLATOR, duration=4.0, samples=33)
CLEAN = SimulatedTrajectories.of(OSCILLATOR, count=3)
NOISY = dataclasses.replace(CLEAN, noise=0.01)
TERMS = Terms(names=("x", "v"), states=2, degree=1)
ON_GRID = SimulatedOnGrid(system=dataclasses.replace(DIFFUSION_REACTION, samples=41, points=16), noise=0.01, count=2)
KEY = jax.random.key(0)
SCALES = {"mean": np.zeros(2), "deviation": np.ones(2), "slope": np.ones(2)}


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Import it where dynamics are tested outside of their folder."""
    with jax.enable_x64(True):
        yield


def truth(factor: float = 1.0) -> VectorField:
    """The oscillator's own field, times a factor."""
    scales = {name: jnp.asarray(values) for name, values in SCALES.items()}
    params = jax.tree.map(lambda leaf: factor * leaf, TERMS.of(CLEAN.equations(), scales))
    return VectorField(states=("x", "v"), inputs=(), field=TERMS, params=params, scales=scales)


@functools.cache
def begun(recipe):
    """Its state before the first step, in double precision."""
    return recipe.init(KEY)


@functools.partial(jax.jit, static_argnames="recipe")
def loss(recipe, state, batch, counts=None):
    """The output of its loss, compiled as a step is; counts are the batch's own if not given."""
    return recipe.loss(state, batch, recipe.counts(batch) if counts is None else counts, KEY)


def train(recipe, **changes) -> Train:
    """A short run in double precision."""
    fields = {
        "name": "run",
        "label": "run",
        "recipe": recipe,
        "steps": 4,
        "optimizer": Optimizer(learning_rate=1e-2),
        "precision": "float64",
        "mesh": MeshShape(data=1),
        "tensorboard": False,
    }
    return Train(**(fields | changes))
