import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models import decoder
from jaxkd.models.key_value_cache import extend, init_cache
from tests.models import tiny


@functools.partial(jax.jit, static_argnums=0)
def read_on(config, params, cache, tokens, positions, segment_ids):
    return extend(config, params, cache, tokens, positions=positions, segment_ids=segment_ids)


@pytest.mark.parametrize("name", [*tiny.FAMILIES, "llama_yarn"])
def test_reading_in_pieces_equals_reading_at_once(name):
    config = tiny.golden_config(name)
    params = tiny.random_params(config)
    tokens = tiny.random_tokens(config, 3, 10)
    padding = np.array([0, 2, 4])
    segment_ids = (np.arange(10) >= padding[:, None]).astype(np.int32)
    positions = np.maximum(np.arange(10) - padding[:, None], 0)
    whole = jax.jit(functools.partial(decoder.hidden_states, config))(
        params, tokens, positions=positions, segment_ids=segment_ids
    )
    cache = init_cache(config, rows=3, slots=12)
    pieces = []
    for start, stop in ((0, 6), (6, 7), (7, 8), (8, 10)):
        part = np.s_[:, start:stop]
        hiddens, cache = read_on(config, params, cache, tokens[part], positions[part], segment_ids[part])
        pieces.append(hiddens)
        assert int(cache.length) == stop
    # Rounding is as large as the largest value, which the families differ in.
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=2e-6 * float(jnp.abs(whole).max()))
    np.testing.assert_array_equal(cache.segment_ids[:, :10], segment_ids)
    assert float(jnp.abs(cache.keys[:, :, :, 10:]).max()) == 0


def test_the_cache_has_the_dtype_of_the_parameters_and_only_the_key_value_heads():
    cache = init_cache(tiny.LLAMA, rows=2, slots=5, dtype=jnp.bfloat16)
    assert cache.keys.shape == cache.values.shape == (2, 2, 2, 5, 6)
    assert cache.keys.dtype == jnp.bfloat16
