"""The share that the past explains, where states are measured and where they are hidden."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from jaxkd.dynamics import hidden_state_test, polynomials, systems, window_length
from tests.dynamics.records import clean, times, with_noise

PREY = dataclasses.replace(systems.LOTKA_VOLTERRA, samples=121)


def shares(system, kept, *, degree=3, lengths=(121,) * 12, filled=0.0):
    """Shares for twelve trajectories, each padded with `filled` after its samples."""
    states = clean(system, 12)[..., list(kept)]
    there = (np.arange(121) < np.array(lengths)[:, None])[..., None]
    names = tuple(system.equations.states[index] for index in kept)
    return hidden_state_test(
        jnp.asarray(np.where(there, states, 0.0)),
        jnp.asarray(np.where(there, with_noise(states, 0.01), filled)),
        jnp.asarray(np.tile(times(system), (12, 1))),
        terms=polynomials(names, degree=degree),
        variables=names,
        window=window_length(121),
        lengths=lengths,
    )


def test_the_past_of_measured_states_says_nothing_more():
    complete = shares(systems.VAN_DER_POL, (0, 1))
    np.testing.assert_allclose(complete.by_past, complete.by_present, rtol=0.1)
    assert np.all(complete.by_present < 0.01)


@pytest.mark.parametrize(
    ("system", "kept"),
    [(systems.VAN_DER_POL, (0,)), (PREY, (0,))],
    ids=["speed", "predators"],
)
def test_the_past_stands_in_for_a_hidden_state(system, kept):
    hidden = shares(system, kept)
    assert hidden.by_present[0] > 0.9
    assert hidden.by_past[0] < 0.1


def test_the_past_stands_in_for_a_term_that_the_library_lacks():
    poor = shares(systems.VAN_DER_POL, (0, 1), degree=2)
    assert poor.by_present[1] > 0.2
    assert poor.by_past[1] < 0.1 * poor.by_present[1]


def test_samples_after_the_end_are_not_read():
    lengths = (121, 80, 121, 50, 121, 30) * 2
    zeros, sevens = (shares(systems.VAN_DER_POL, (0, 1), degree=2, lengths=lengths, filled=one) for one in (0.0, 7.0))
    np.testing.assert_allclose(zeros.by_present, sevens.by_present, rtol=1e-12)
    np.testing.assert_allclose(zeros.by_past, sevens.by_past, rtol=1e-12)


@pytest.mark.parametrize("kept", [(0, 1), (0,)], ids=["complete", "speed"])
def test_random_sample_times_decide_if_windows_are_integrated_between_them(kept):
    """The trapezoidal rule over random samples alone leaves a part unexplained that no state explains."""
    system, generator = systems.VAN_DER_POL, np.random.default_rng(0)
    within = np.sort(generator.uniform(0.0, system.duration, (12, 119)), axis=1)
    moments = np.concatenate([np.zeros((12, 1)), within, np.full((12, 1), system.duration)], axis=1)
    fine_times = np.stack([np.interp(np.arange(481) / 4, np.arange(121), one) for one in moments])
    curve = CubicSpline(times(system), clean(system, 12), axis=1)
    fine = np.stack([curve(one)[run][:, list(kept)] for run, one in enumerate(fine_times)])
    samples, names = fine[:, ::4], tuple(system.equations.states[index] for index in kept)
    noise = 0.01 * np.std(samples, axis=(0, 1)) * generator.standard_normal(samples.shape)
    options = {"variables": names, "terms": polynomials(names, degree=3), "window": 11, "lengths": (121,) * 12}
    given = jnp.asarray(samples + noise), jnp.asarray(moments)
    found = hidden_state_test(jnp.asarray(fine), *given, **options)
    if kept == (0,):
        assert found.by_present[0] > 0.9
        assert found.by_past[0] < 0.1
        return
    assert np.all(found.by_present < 0.01)
    np.testing.assert_allclose(found.by_past, found.by_present, rtol=0.2)
    coarse = hidden_state_test(jnp.asarray(samples), *given, **options)
    assert np.all(coarse.by_present > 10 * found.by_present)


def test_too_few_windows_are_refused():
    with pytest.raises(ValueError, match=r"states must have 3 windows of 11 samples at least"):
        shares(systems.VAN_DER_POL, (0, 1), lengths=(16, 12, *[9] * 10))
