import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.layer_outputs import layer_outputs
from tests.models import tiny


@pytest.fixture(params=["llama", "gemma3"])
def case(request):
    """A config, its parameters, and the arguments of a packed row."""
    config = tiny.golden_config(request.param)
    arrays = {
        "positions": np.array([[0, 1, 2, 3, 0, 1, 0]], np.int32),
        "segment_ids": np.array([[1, 1, 1, 1, 2, 2, 0]], np.int32),
    }
    return config, tiny.random_params(config), tiny.random_tokens(config, 1, 7), arrays


compiled = jax.jit(layer_outputs, static_argnums=0, static_argnames=("tap", "remat"))


def outputs(config, params, tokens, arrays, **options):
    """Hidden states and attention, as NumPy arrays."""
    seen = compiled(config, params, tokens, **arrays, **options)
    return np.asarray(seen.hiddens), None if seen.attention is None else np.asarray(seen.attention)


def test_the_last_entry_is_what_the_head_reads_and_the_first_the_embedding(case):
    config, params, tokens, arrays = case
    hiddens, attention = outputs(*case)
    assert attention is None
    assert hiddens.shape == (config.depth + 1, 1, 7, config.width)
    states = jax.jit(functools.partial(decoder.hidden_states, config))(params, tokens, **arrays)
    np.testing.assert_allclose(hiddens[-1], states, atol=1e-5)
    scale = 4.0 if config.scaled_embedding else 1.0
    np.testing.assert_allclose(hiddens[0], scale * params["embedding"][tokens], rtol=1e-6)


def test_an_entry_is_what_a_model_cut_there_leaves(case):
    config, params, _, _ = case
    upper = jax.tree.map(lambda leaf: leaf[:1], params["blocks"])
    cut, _ = outputs(config.with_layers((0,)), {**params, "blocks": upper}, *case[2:])
    whole, _ = outputs(*case)
    normed = jax.jit(decoder.final_norm, static_argnums=0)(config, params, whole[1])
    np.testing.assert_allclose(cut[-1], normed, atol=1e-5)


def test_attention_is_a_distribution_over_what_is_seen(case):
    config = case[0]
    _, probs = outputs(*case, tap="probs")
    assert probs.shape == (config.depth, 1, config.heads, 7, 7)
    np.testing.assert_allclose(probs.sum(-1), 1, rtol=1e-5)
    assert np.abs(np.triu(probs, 1)).max() == 0
    assert probs[..., 4:, :4].max() == 0, "no segment sees another"
    _, scores = outputs(*case, tap="scores")
    exponentials = np.exp(np.float64(scores) - scores.max(-1, keepdims=True))
    np.testing.assert_allclose(exponentials / exponentials.sum(-1, keepdims=True), probs, atol=1e-6)
    assert scores[0, 0, 0, 0, 1] == np.finfo(np.float32).min


def test_a_window_bounds_what_a_layer_sees():
    config = dataclasses.replace(tiny.LLAMA, windows=(2, 0))
    tokens = np.arange(5, dtype=np.int32)[None]
    arrays = {"positions": tokens, "segment_ids": np.ones_like(tokens)}
    _, probs = outputs(config, tiny.random_params(config), tokens, arrays, tap="probs")
    assert probs[0, ..., 4, :3].max() == 0
    assert probs[1, ..., 4, :3].min() > 0


@pytest.mark.parametrize(
    ("case", "remat"),
    [
        ("llama", "dots"),
        ("gemma3", "full"),
        pytest.param("llama", "full", marks=pytest.mark.slow),
        pytest.param("gemma3", "dots", marks=pytest.mark.slow),
    ],
    indirect=["case"],
)
def test_features_have_the_same_gradient_under_remat(case, remat):
    config, *inputs = case

    def total(params, tokens, arrays, remat):
        seen = layer_outputs(config, params, tokens, **arrays, tap="probs", remat=remat)
        return jnp.sum(seen.hiddens[1] ** 2) + jnp.sum(seen.attention[-1] ** 2)

    gradient = jax.jit(jax.grad(total), static_argnames="remat")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max() + 1e-7),
        *jax.device_get([gradient(*inputs, remat=policy) for policy in (remat, "none")]),
    )


def test_an_unknown_tap_is_refused(case, unchecked_shapes):
    with pytest.raises(ValueError, match="tap must be none, scores or probs, got 'weights'"):
        outputs(*case, tap="weights")
