import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models import LinearScaling, Llama3Scaling, YarnScaling
from jaxkd.models.transformer import rope
from tests.models.tiny import LLAMA

CONFIG = dataclasses.replace(LLAMA, head_dim=4, rope_theta=100.0)


def quarter_turn(shape):
    return rope.Rotation(jnp.zeros(shape), jnp.ones(shape))


def test_frequencies_by_hand():
    np.testing.assert_allclose(rope.frequencies(4, 100.0, None), [1.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(rope.frequencies(4, 100.0, LinearScaling(factor=4.0)), [0.25, 0.025], rtol=1e-6)


def test_frequencies_are_rounded_where_torch_rounds():
    # The nearest float32 of 1e6^(-1/3) is 0.01; the power, rounded to 99.99999, is not 100.
    computed = rope.frequencies(6, 1e6, None)
    assert computed.dtype == np.float32
    power = np.float32(1e6 ** np.float64(np.float32(2) / np.float32(6)))
    assert computed[1] == np.float32(1) / power != np.float32(1e6 ** (-1 / 3))


def test_llama3_scaling_keeps_fast_pairs_slows_slow_ones_and_blends_between():
    scaling = Llama3Scaling(factor=8.0, low_frequency_factor=1.0, high_frequency_factor=3.0, original_positions=100)
    # Turns in 100 positions: 100 / 2 pi = 15.9 is fast, 1.59 between, 0.159 slow.
    kept = (10 / (2 * np.pi) - 1) / 2
    expected = [1.0, 0.1 * (kept + (1 - kept) / 8), 0.01 / 8]
    np.testing.assert_allclose(rope.frequencies(6, 1000.0, scaling), expected, rtol=1e-6)


def yarn(**changes):
    usual = {"factor": 8.0, "original_positions": 100, "amplitude": 1.5, "fast_turns": 2.0, "slow_turns": 0.5}
    return YarnScaling(**usual | changes)


def test_yarn_scaling_keeps_fast_pairs_slows_slow_ones_and_blends_between():
    # Pair i of 8 turns by 10^(-i/2) radians: twice in 100 positions at i = 1.80, half a time at i = 3.01.
    plain = 10.0 ** (-np.arange(8) / 2)
    first, last = 2 * np.log10(100 / (2 * np.pi * 2)), 2 * np.log10(100 / (2 * np.pi * 0.5))
    exact = np.clip((np.arange(8) - first) / (last - first), 0, 1)
    whole = np.clip((np.arange(8) - 1) / (4 - 1), 0, 1)
    for ramp, scaling in ((exact, yarn(whole_pairs=False)), (whole, yarn())):
        expected = plain * (1 - ramp) + plain / 8 * ramp
        np.testing.assert_allclose(rope.frequencies(16, 1e4, scaling), expected, rtol=1e-5)


def test_a_yarn_ramp_of_no_width_is_a_step():
    scaling = yarn(fast_turns=2.0, slow_turns=2.0, whole_pairs=False)
    expected = 10.0 ** (-np.arange(8) / 2) / np.where(np.arange(8) < 1.8, 1, 8)
    np.testing.assert_allclose(rope.frequencies(16, 1e4, scaling), expected, rtol=1e-5)


def test_yarn_lengthens_what_it_rotates():
    config = dataclasses.replace(CONFIG, rope_scaling=yarn())
    rotation = rope.rotation(config, "global", jnp.array([[3]]), jnp.float32)
    np.testing.assert_allclose(jnp.hypot(*rotation), 1.5, rtol=1e-6)


def test_a_quarter_turn_swaps_the_halves():
    values = jnp.arange(4.0).reshape(1, 1, 1, 4)
    np.testing.assert_allclose(rope.rotate(values, quarter_turn((1, 1, 2))).ravel(), [-2, -3, 0, 1], atol=1e-6)


def test_only_a_part_of_a_head_may_turn():
    values = jnp.arange(8.0).reshape(1, 1, 1, 8)
    turned = rope.rotate(values, quarter_turn((1, 1, 1)))
    np.testing.assert_allclose(turned.ravel(), [-1, 0, 2, 3, 4, 5, 6, 7], atol=1e-6)
    config = dataclasses.replace(CONFIG, head_dim=8, rotary_fraction=0.25)
    assert rope.rotation(config, "global", jnp.array([[3]]), jnp.float32).cosine.shape == (1, 1, 1)


def test_each_kind_of_layer_turns_in_its_own_way():
    config = dataclasses.replace(CONFIG, rope_scaling=LinearScaling(factor=2.0), local_rope_theta=25.0, windows=(2, 0))
    positions = jnp.array([[4]])

    def angle(kind):
        rotation = rope.rotation(config, kind, positions, jnp.float32)
        return jnp.arctan2(rotation.sine, rotation.cosine).ravel()

    np.testing.assert_allclose(angle("global"), [2.0, 0.2], rtol=1e-5)
    np.testing.assert_allclose(angle("local"), [4.0 - 2 * np.pi, 0.8], rtol=1e-5)
    values = jnp.arange(4.0, dtype=jnp.bfloat16).reshape(1, 1, 1, 4) / 3
    unturned = rope.rotate(values, rope.rotation(config, "none", positions, jnp.float32))
    np.testing.assert_array_equal(unturned, values)


def test_scores_depend_on_the_distance_alone():
    random = np.random.default_rng(0)
    query, key = jnp.asarray(random.normal(size=(2, 1, 1, 1, 4)), jnp.float32)

    def score(at, other):
        turned = [
            rope.rotate(values, rope.rotation(CONFIG, "global", jnp.array([[place]]), jnp.float32))
            for values, place in ((query, at), (key, other))
        ]
        return float((turned[0] * turned[1]).sum())

    assert score(7, 3) == pytest.approx(score(57, 53), abs=1e-4)
    assert score(7, 3) != pytest.approx(score(7, 4), abs=1e-2)


def test_positions_are_told_apart_where_bfloat16_ones_would_not_be():
    rotation = rope.rotation(CONFIG, "global", jnp.array([[300, 301]]), jnp.float32)
    rotated = rope.rotate(jnp.ones((1, 2, 1, 4), jnp.bfloat16), rotation)
    assert rotated.dtype == jnp.bfloat16
    assert float(jnp.abs(rotated[0, 0] - rotated[0, 1]).max()) > 0.1
