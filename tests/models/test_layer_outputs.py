import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models import decoder
from jaxkd.models.layer_outputs import layer_outputs
from tests.models import tiny


@pytest.fixture(params=["llama", "gemma3"])
def case(request):
    """A config, its parameters, and the arguments of a packed row."""
    config = tiny.golden_config(request.param)
    arrays = {
        "positions": jnp.array([[0, 1, 2, 3, 0, 1, 0]]),
        "segment_ids": jnp.array([[1, 1, 1, 1, 2, 2, 0]]),
    }
    params = jax.tree.map(jnp.asarray, tiny.random_params(config))
    return config, params, jnp.asarray(tiny.random_tokens(config, 1, 7)), arrays


def outputs(config, params, tokens, arrays, **options):
    return jax.jit(lambda params: layer_outputs(config, params, tokens, **arrays, **options))(params)


def test_the_last_entry_is_what_the_head_reads_and_the_first_the_embedding(case):
    config, params, tokens, arrays = case
    seen = outputs(*case)
    assert seen.attention is None
    assert seen.hiddens.shape == (config.depth + 1, 1, 7, config.width)
    states = jax.jit(lambda params: decoder.hidden_states(config, params, tokens, **arrays))(params)
    np.testing.assert_allclose(seen.hiddens[-1], states, atol=1e-5)
    scale = 4.0 if config.scaled_embedding else 1.0
    np.testing.assert_allclose(seen.hiddens[0], scale * params["embedding"][tokens], rtol=1e-6)


def test_an_entry_is_what_a_model_cut_there_leaves(case):
    config, params, _, _ = case
    upper = jax.tree.map(lambda leaf: leaf[:1], params["blocks"])
    cut = outputs(config.with_layers((0,)), {**params, "blocks": upper}, *case[2:])
    normed = decoder.final_norm(config, params, outputs(*case).hiddens[1])
    np.testing.assert_allclose(cut.hiddens[-1], normed, atol=1e-5)


def test_attention_is_a_distribution_over_what_is_seen(case):
    config = case[0]
    probs = outputs(*case, tap="probs").attention
    assert probs.shape == (config.depth, 1, config.heads, 7, 7)
    np.testing.assert_allclose(probs.sum(-1), 1, rtol=1e-5)
    assert float(jnp.abs(jnp.triu(probs, 1)).max()) == 0
    assert float(probs[..., 4:, :4].max()) == 0, "no segment sees another"
    scores = outputs(*case, tap="scores").attention
    np.testing.assert_allclose(jax.nn.softmax(scores, axis=-1), probs, atol=1e-6)
    assert float(scores[0, 0, 0, 0, 1]) == jnp.finfo(jnp.float32).min


def test_a_window_bounds_what_a_layer_sees():
    config = dataclasses.replace(tiny.LLAMA, windows=(2, 0))
    params, tokens = jax.tree.map(jnp.asarray, tiny.random_params(config)), jnp.arange(5)[None]
    arrays = {"positions": tokens, "segment_ids": jnp.ones_like(tokens)}
    probs = outputs(config, params, tokens, arrays, tap="probs").attention
    assert float(probs[0, ..., 4, :3].max()) == 0
    assert float(probs[1, ..., 4, :3].min()) > 0


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_features_have_the_same_gradient_under_remat(case, remat):
    config, params, tokens, arrays = case

    def total(params, remat):
        seen = layer_outputs(config, params, tokens, **arrays, tap="probs", remat=remat)
        return jnp.sum(seen.hiddens[1] ** 2) + jnp.sum(seen.attention[-1] ** 2)

    gradient = jax.jit(jax.grad(total), static_argnums=1)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()) + 1e-7),
        gradient(params, remat),
        gradient(params, "none"),
    )


def test_an_unknown_tap_is_refused(case, unchecked_shapes):
    with pytest.raises(ValueError, match="tap must be none, scores or probs, got 'weights'"):
        outputs(*case, tap="weights")
