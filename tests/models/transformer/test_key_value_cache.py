import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.key_value_cache import extend, init_cache
from tests.models import tiny

FAST = ("llama", "mistral_window", "qwen2_window", "smollm3", "gemma2", "gemma3", "gpt_neox", "gpt2")
"""Families that differ in what attention sees, in its scores or in positions."""


@functools.partial(jax.jit, static_argnums=0)
def read_on(config, params, cache, tokens, positions, segment_ids):
    return extend(config, params, cache, tokens, positions=positions, segment_ids=segment_ids)


@pytest.mark.parametrize(
    "name",
    [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in ("qwen3", "gemma", "llama_yarn"))],
)
def test_reading_in_pieces_equals_reading_at_once(name):
    config = tiny.golden_config(name)
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), tiny.random_params(config))
    tokens = tiny.random_tokens(config, 3, 10)
    padding = np.array([0, 2, 4])
    segment_ids = (np.arange(10) >= padding[:, None]).astype(np.int32)
    positions = np.maximum(np.arange(10) - padding[:, None], 0)
    with jax.enable_x64(True):
        whole = np.asarray(
            jax.jit(functools.partial(decoder.hidden_states, config))(
                params, tokens, positions=positions, segment_ids=segment_ids
            )
        )
        cache = init_cache(config, rows=3, slots=12, dtype=np.float64)
        # Beside a Python 0, which is an int64 here.
        cache = dataclasses.replace(cache, length=jnp.asarray(np.int64(0)))
        pieces = []
        for start, stop in ((0, 4), (4, 8), (8, 9), (9, 10)):
            part = np.s_[:, start:stop]
            hiddens, cache = read_on(config, params, cache, tokens[part], positions[part], segment_ids[part])
            pieces.append(hiddens)
            assert int(cache.length) == stop
        found, keys = np.concatenate(pieces, axis=1), np.asarray(cache.keys)
    assert found.dtype == keys.dtype == np.float64
    # In float64, a sum of n terms in another order moves by at most n units of 1.1e-16 of the largest: with at most 24
    # terms in each of 7 products in each of 3 layers 6e-14.  The rest is for what norms and softmax amplify; a key too
    # many or too few is off by 1e-2.
    np.testing.assert_allclose(found, whole, atol=1e-12 * np.abs(whole).max())
    np.testing.assert_array_equal(cache.segment_ids[:, :10], segment_ids)
    assert np.abs(keys[:, :, :, 10:]).max() == 0


def test_the_cache_has_the_dtype_of_the_parameters_and_only_the_key_value_heads():
    cache = init_cache(tiny.LLAMA, rows=2, slots=5, dtype=jnp.bfloat16)
    assert cache.keys.shape == cache.values.shape == (2, 2, 2, 5, 6)
    assert cache.keys.dtype == jnp.bfloat16
