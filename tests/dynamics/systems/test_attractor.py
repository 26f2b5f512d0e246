"""Initial states at random times of one long trajectory."""

import dataclasses

import jax
import numpy as np
import pytest
import sympy

from jaxkd.data.trajectories import SimulatedTrajectories
from jaxkd.dynamics import Equations
from jaxkd.dynamics.systems import DAMPED_OSCILLATOR, OnAttractor, attractor
from jaxkd.recipes.fnode import FNODE
from jaxkd.runtime import configs

KEY = jax.random.key(0)
X, V = sympy.symbols("x v")
DECAY, RATE = OnAttractor(start=(1.0,), transient=1.0, duration=4.0), Equations.of([-X], (X,))

drawn = jax.jit(OnAttractor.__call__, static_argnums=(0, 2, 3))


def test_states_are_those_of_random_times_after_the_transient():
    states = np.asarray(drawn(DECAY, KEY, 2000, RATE))
    assert states.shape == (2000, 1)
    times = -np.log(states[:, 0])
    assert times.min() > 1
    assert times.max() < 5
    np.testing.assert_allclose(np.histogram(times, 8, (1, 5))[0] / 2000, 1 / 8, atol=0.03)
    # In no order: neighbours say nothing of each other.
    assert abs(np.corrcoef(times[1:], times[:-1])[0, 1]) < 0.08


def test_states_are_on_the_orbit():
    circle = OnAttractor(start=(3.0, 4.0), transient=50.0, duration=100.0)
    states = np.asarray(drawn(circle, KEY, 50, Equations.of([V, -X], (X, V))))
    np.testing.assert_allclose(np.linalg.norm(states, axis=1), 5, rtol=1e-7)


def test_a_key_draws_the_same_states_again_and_another_others():
    first, again, other = (np.asarray(drawn(DECAY, key, 2000, RATE)) for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


def test_what_diverges_is_infinite(monkeypatch):
    monkeypatch.setattr(attractor, "ACCURATE", dataclasses.replace(attractor.ACCURATE, max_steps=1000))
    bursts = OnAttractor(start=(1.0,), transient=2.0, duration=1.0)
    assert not np.any(np.isfinite(np.asarray(drawn(bursts, KEY, 3, Equations.of([X**2], (X,))))))


def test_refusals():
    for equations, got in (
        (Equations.of([V, -X], (X, V)), "got 1 numbers for 2 states and 0 inputs"),
        (Equations.of([-X + V], (X,), (V,)), "got 1 numbers for 1 states and 1 inputs"),
    ):
        with pytest.raises(ValueError, match=f"start must be of the states of equations without inputs, {got}"):
            DECAY(KEY, 1, equations)
    with pytest.raises(ValueError, match="transient must be >= 0, got -1"):
        dataclasses.replace(DECAY, transient=-1.0)
    with pytest.raises(ValueError, match="duration must be > 0, got 0"):
        dataclasses.replace(DECAY, duration=0.0)
    with jax.enable_x64(False), pytest.raises(TypeError, match="start must be of float64, got float32"):
        DECAY(KEY, 1, RATE)


def test_records_of_an_attractor_are_configured():
    system = dataclasses.replace(DAMPED_OSCILLATOR, initial=OnAttractor(start=(1.0, 0.0), transient=0.0, duration=9.0))
    data = SimulatedTrajectories.of(system, count=2)
    recipe = FNODE(data=data)
    assert configs.decode(configs.encode(recipe)) == recipe
    assert data.trajectories("train").states.shape == (2, system.samples, 2)
