"""Records of a partial differential equation."""

import dataclasses

import jax
import numpy as np

from jaxkd.recipes.fnode import FNODE
from jaxkd.runtime import configs
from tests.tiny_dynamics import ON_GRID, double_precision

__all__ = ["double_precision"]

CLEAN = dataclasses.replace(ON_GRID, noise=0.0)


def test_records_are_noisy_but_for_the_test():
    clean, noisy = (
        {
            split: np.stack([record.states for record in data.records(split)])
            for split in ("train", "validation", "test")
        }
        for data in (CLEAN, ON_GRID)
    )
    for split in ("train", "validation"):
        off = (noisy[split] - clean[split]) / clean[split].std(axis=(0, 1))
        np.testing.assert_allclose(off.std(), ON_GRID.noise, rtol=0.05)
    np.testing.assert_array_equal(noisy["test"], clean["test"])
    assert not np.array_equal(clean["train"], clean["validation"])


def test_another_grid_has_the_same_trajectories():
    finer = dataclasses.replace(CLEAN, system=dataclasses.replace(CLEAN.system, points=2 * CLEAN.system.points))
    ours, theirs = (data.trajectories("test") for data in (CLEAN, finer))
    np.testing.assert_allclose(theirs.states[..., ::2], ours.states, atol=1e-3 * float(np.std(ours.states)))
    np.testing.assert_allclose(theirs.inputs[..., ::2], ours.inputs, atol=1e-12)
    assert finer.places()[2] == CLEAN.places()[1]


def test_names_and_the_truth():
    states, inputs = CLEAN.names()
    assert (states[0], states[-1], inputs[1]) == ("s_0", f"s_{CLEAN.system.points - 1}", "u_1")
    assert str(CLEAN.equations().local) == "ds/dt = 0.01 s^2 + 0.01 s_xx + u"
    given = CLEAN.trajectories("test")
    field = CLEAN.equations().vector_field()
    slope = (given.states[0, 2] - given.states[0, 0]) / (given.times[0, 2] - given.times[0, 0])
    found = jax.jit(field)(0.0, given.states[0, 1], given.inputs[0, 1])
    np.testing.assert_allclose(found, slope, atol=0.02 * float(np.abs(slope).max()))


def test_it_is_a_config():
    recipe = FNODE(data=ON_GRID)
    assert configs.decode(configs.encode(recipe)) == recipe
