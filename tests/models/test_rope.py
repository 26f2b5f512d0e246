import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models import rope
from jaxkd.models.config import LinearScaling, Llama3Scaling
from tests.models.tiny import LLAMA

CONFIG = dataclasses.replace(LLAMA, head_dim=4, rope_theta=100.0)


def test_frequencies_by_hand():
    np.testing.assert_allclose(rope.frequencies(CONFIG), [1.0, 0.1])
    linear = dataclasses.replace(CONFIG, rope_scaling=LinearScaling(factor=4.0))
    np.testing.assert_allclose(rope.frequencies(linear), [0.25, 0.025])


def test_llama3_scaling_keeps_fast_pairs_slows_slow_ones_and_blends_between():
    scaling = Llama3Scaling(factor=8.0, low_frequency_factor=1.0, high_frequency_factor=3.0, original_positions=100)
    config = dataclasses.replace(CONFIG, head_dim=6, rope_theta=1000.0, rope_scaling=scaling)
    # Turns in 100 positions: 100 / 2 pi = 15.9 is fast, 1.59 between, 0.159 slow.
    kept = (10 / (2 * np.pi) - 1) / 2
    expected = [1.0, 0.1 * (kept + (1 - kept) / 8), 0.01 / 8]
    np.testing.assert_allclose(rope.frequencies(config), expected)


def test_a_quarter_turn_swaps_the_halves():
    values = jnp.arange(4.0).reshape(1, 1, 1, 4)
    turned = rope.rotate(values, jnp.full((1, 1, 2), jnp.pi / 2))
    np.testing.assert_allclose(turned.ravel(), [-2, -3, 0, 1], atol=1e-6)


def test_scores_depend_on_the_distance_alone():
    random = np.random.default_rng(0)
    query, key = jnp.asarray(random.normal(size=(2, 1, 1, 1, 4)), jnp.float32)

    def score(at, other):
        turned = [
            rope.rotate(values, rope.angles(CONFIG, jnp.array([[place]]), jnp.float32))
            for values, place in ((query, at), (key, other))
        ]
        return float((turned[0] * turned[1]).sum())

    assert score(7, 3) == pytest.approx(score(57, 53), abs=1e-4)
    assert score(7, 3) != pytest.approx(score(7, 4), abs=1e-2)


def test_angles_are_exact_where_bfloat16_positions_would_not_be():
    angles = rope.angles(CONFIG, jnp.array([[300, 301]]), jnp.float32)
    np.testing.assert_allclose(angles[0, :, 0], [300, 301])
    rotated = rope.rotate(jnp.ones((1, 2, 1, 4), jnp.bfloat16), angles)
    assert rotated.dtype == jnp.bfloat16
    assert float(jnp.abs(rotated[0, 0] - rotated[0, 1]).max()) > 0.1
