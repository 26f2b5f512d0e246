import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.models.transformer import blocks, decoder
from tests.models import tiny

WIDE = dataclasses.replace(tiny.LLAMA, norm_eps=1e-2)


def draw(*shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)


@pytest.mark.parametrize(("kind", "offset"), [("rms", 0.0), ("rms_plus_one", 1.0)])
def test_rms_norm_equals_its_formula_in_float64(kind, offset):
    norm = blocks.norm(dataclasses.replace(WIDE, norm=kind), nnx.Rngs(0), 6)
    np.testing.assert_array_equal(norm.scale[...], 1 - offset)
    norm.scale = nnx.Param(draw(6))
    inputs = draw(2, 3, 4, 6)
    wide = np.asarray(inputs, np.float64)
    expected = wide / np.sqrt(np.square(wide).mean(-1, keepdims=True) + 1e-2) * (offset + np.asarray(draw(6)))
    np.testing.assert_allclose(norm(inputs), expected, rtol=1e-5)


def test_rms_norm_of_bfloat16_is_rounded_once():
    norm = blocks.norm(dataclasses.replace(WIDE, norm="rms_plus_one"), nnx.Rngs(0), 6)
    small = jnp.full(6, 2.0**-9, jnp.bfloat16)  # 1 + 2^-9 is 1 in bfloat16
    norm.scale = nnx.Param(small)
    inputs = draw(5, 6, dtype=jnp.bfloat16)
    wide = blocks.norm(dataclasses.replace(WIDE, norm="rms_plus_one"), nnx.Rngs(0), 6)
    wide.scale = nnx.Param(small.astype(jnp.float32))
    expected = wide(inputs.astype(jnp.float32)).astype(jnp.bfloat16)
    assert norm(inputs).dtype == jnp.bfloat16
    np.testing.assert_array_equal(norm(inputs), expected)


def run(config, params, hiddens):
    """One block without rotation, in which each position attends to itself alone."""
    block = decoder._block(config)

    def attend(queries, keys, values, memory):
        return jnp.repeat(values, config.heads // config.kv_heads, axis=2), memory, None

    return block.apply(params, hiddens, None, attend, None, None)[0]


@pytest.mark.parametrize("parallel", [False, True])
def test_branches_read_one_another_or_the_same(parallel):
    config = dataclasses.replace(tiny.LLAMA, parallel_branches=parallel)
    params = jax.tree.map(lambda leaf: leaf[0], tiny.random_params(config)["blocks"])
    hiddens = draw(1, 3, config.width)
    silent = {**params, "mlp": jax.tree.map(jnp.zeros_like, params["mlp"])}
    attended = run(config, silent, hiddens) - hiddens
    without_attention = {
        **params,
        "attention": jax.tree.map(jnp.zeros_like, params["attention"]),
    }
    fed = run(config, without_attention, hiddens if parallel else hiddens + attended)
    expected = fed + attended if parallel else fed
    np.testing.assert_allclose(run(config, params, hiddens), expected, atol=1e-4)


def test_the_norm_behind_a_branch_bounds_what_it_adds():
    config = dataclasses.replace(tiny.LLAMA, branch_output_norms=True)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), tiny.random_params(config)["blocks"])
    params["attention_output_norm"]["scale"] = jnp.zeros(config.width)
    params["mlp_output_norm"]["scale"] = jnp.full(config.width, 3.0)
    hiddens = draw(1, 3, config.width)
    added = run(config, params, hiddens) - hiddens
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(jnp.square(added), axis=-1)), 3.0, rtol=1e-3)


def test_normed_queries_and_keys_forget_their_length():
    config = dataclasses.replace(tiny.LLAMA, query_key_norm=True, norm_eps=1e-9)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), tiny.random_params(config)["blocks"])
    seen = []

    def attend(queries, keys, values, memory):
        seen.append((queries, keys, values))
        return queries, memory, None

    for scale in (1.0, 5.0):
        for name in ("query", "key", "value"):
            params["attention"][name]["kernel"] = (
                scale * tiny.random_params(config)["blocks"]["attention"][name]["kernel"][0]
            )
        decoder._block(config).apply(params, draw(1, 3, config.width), None, attend, None, None)
    np.testing.assert_allclose(seen[1][0], seen[0][0], rtol=1e-4)
    np.testing.assert_allclose(seen[1][1], seen[0][1], rtol=1e-4)
    np.testing.assert_allclose(seen[1][2], 5 * seen[0][2], rtol=1e-4)
