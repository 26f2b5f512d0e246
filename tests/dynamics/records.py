"""Trajectories of known systems and noise, by NumPy: nothing is compiled."""

import functools

import numpy as np
import sympy


def right_hand_side(equations):
    """f(t, y, u) in NumPy, of states [..., states] and inputs [..., inputs]."""
    terms = sympy.lambdify(equations.variables, equations.terms)

    def field(t, y, u=None):
        given = y if u is None else np.concatenate([y, u], axis=-1)
        values = np.broadcast_arrays(*terms(*np.moveaxis(given, -1, 0)))
        return np.stack(values, axis=-1) @ equations.coefficients

    return field


SUBSTEPS = 20
"""Steps of the solver from sample to sample."""


def solved(equations, starts, steps):
    """States at the start and after every `SUBSTEPS` steps of the classical Runge-Kutta method, of the given sizes."""
    field, states = right_hand_side(equations), [np.asarray(starts)]
    for step in steps:
        y = states[-1]
        for _ in range(SUBSTEPS):
            first = field(0.0, y)
            second = field(0.0, y + step / 2 * first)
            third = field(0.0, y + step / 2 * second)
            y = y + step / 6 * (first + 2 * second + 2 * third + field(0.0, y + step * third))
        states.append(y)
    return np.stack(states, axis=1)


@functools.cache
def clean(system, count=8, seed=0):
    """From starts in the system's box."""
    low, high = system.initial.low, system.initial.high
    starts = np.random.default_rng(seed).uniform(low, high, (count, len(low)))
    step = system.duration / (system.samples - 1) / SUBSTEPS
    return solved(system.equations, starts, [step] * (system.samples - 1))


def with_noise(states, level, seed=1):
    """Add normal noise, a share of each state's standard deviation."""
    noise = np.random.default_rng(seed).standard_normal(states.shape)
    return states + level * np.std(states, axis=(0, 1)) * noise


def times(system):
    return np.linspace(0.0, system.duration, system.samples)
