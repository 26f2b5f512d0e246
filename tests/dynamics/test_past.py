"""What the past explains, where states are measured and where they are hidden."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.dynamics import past, polynomials, systems, window_length


def shares(system, kept, *, level=0.01, degree=3, count=6, lengths=None):
    clean = system.trajectories(jax.random.key(0), count)[..., list(kept)]
    noisy = systems.with_noise(clean, jax.random.key(1), level=level)
    names = tuple(system.equations.states[index] for index in kept)
    return past(
        clean,
        noisy,
        jnp.tile(system.times(), (count, 1)),
        terms=polynomials(names, degree=degree),
        variables=names,
        window=window_length(system.samples),
        lengths=(system.samples,) * count if lengths is None else lengths,
    )


def test_the_past_of_measured_states_says_nothing_more():
    complete = shares(systems.VAN_DER_POL, (0, 1))
    np.testing.assert_allclose(complete.by_past, complete.by_present, rtol=0.1)
    assert np.all(complete.by_present < 0.01)


@pytest.mark.parametrize(
    ("system", "kept"),
    [(systems.VAN_DER_POL, (0,)), (systems.LOTKA_VOLTERRA, (0,))],
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
    system = systems.DAMPED_OSCILLATOR
    states = system.trajectories(jax.random.key(0), 4)
    said = {"terms": (system.equations.states[0],), "variables": system.equations.states, "window": 11}
    lengths, times = (121, 80, 121, 50), jnp.tile(system.times(), (4, 1))
    got = []
    for filled in (0.0, 7.0):
        there = jnp.arange(121)[None, :, None] < jnp.array(lengths)[:, None, None]
        some = jnp.where(there, states, filled)
        got.append(past(jnp.where(there, states, 0.0), some, times, lengths=lengths, **said))
    np.testing.assert_allclose(got[0].by_present, got[1].by_present, rtol=1e-12)


def test_too_few_windows_are_refused():
    with pytest.raises(ValueError, match=r"states must have 3 windows of 11 samples at least"):
        shares(systems.DAMPED_OSCILLATOR, (0, 1), count=2, lengths=(16, 12))
