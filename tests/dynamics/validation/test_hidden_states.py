"""The share that the past explains, where states are measured and where they are hidden."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

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


def test_too_few_windows_are_refused():
    with pytest.raises(ValueError, match=r"states must have 3 windows of 11 samples at least"):
        shares(systems.VAN_DER_POL, (0, 1), lengths=(16, 12, *[9] * 10))
