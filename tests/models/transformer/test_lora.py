"""Adapters: what they compute, what they learn, where they live."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import sharding
from jaxkd.models import LoRA
from jaxkd.models.transformer import decoder, lora
from jaxkd.networks.functional import functional
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from tests.models import tiny

EVERY = LoRA(rank=3, alpha=5.0, targets=(".",))


merge = jax.jit(lora.merge, static_argnames="lora")


def adapted(config, **changes):
    return dataclasses.replace(config, lora=dataclasses.replace(EVERY, **changes))


BLOCKS = ("llama", "qwen2_window", "gemma3", "gpt_neox", "gpt2")
"""Families that differ in the matrices of a block or in what stands around them."""


@pytest.mark.parametrize(
    "name", [*BLOCKS, *(pytest.param(name, marks=pytest.mark.slow) for name in tiny.FAMILIES if name not in BLOCKS)]
)
def test_merged_and_low_rank_logits_are_equal(name):
    plain = tiny.golden_config(name)
    config = adapted(plain)
    params, tokens = tiny.random_params(config), tiny.random_tokens(plain, 2, 6)
    low_rank = tiny.logits(config, params, tokens)
    merged = tiny.logits(plain, merge(params, lora=config.lora), tokens)
    np.testing.assert_allclose(low_rank, merged, atol=2e-4)
    assert np.abs(low_rank - tiny.logits(plain, lora.split(params)[0], tokens)).max() > 0.1


def test_a_fresh_adapter_changes_nothing():
    config = adapted(tiny.LLAMA)
    params = jax.jit(decoder.init, static_argnums=0)(config, jax.random.key(0))
    base, adapters = lora.split(params)
    assert set(map(str, jax.tree.leaves(jax.tree.map(jnp.ndim, adapters)))) <= {"3", "4"}
    tokens = tiny.random_tokens(config, 2, 6)
    np.testing.assert_array_equal(tiny.logits(config, params, tokens), tiny.logits(tiny.LLAMA, base, tokens))
    # The frozen model is the one that would have been drawn without adapters.
    jax.tree.map(
        np.testing.assert_array_equal, base, jax.jit(decoder.init, static_argnums=0)(tiny.LLAMA, jax.random.key(0))
    )
    a = adapters["blocks"]["attention"]["output"]["lora"]["a"]
    assert a.shape == (2, 4, 6, 3)
    assert 0.1 < np.abs(a).max() <= 24**-0.5
    assert np.unique(a).size == a.size, "each layer draws its own"


def test_the_gradient_is_that_of_the_whole_matrix_by_the_chain_rule():
    """dA = scale x (dW B^T), dB = scale x (A^T dW), for W of shape [inputs, outputs]."""
    config = adapted(tiny.LLAMA)
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 6)
    base, adapters = lora.split(params)

    def loss(config, params):
        return jnp.sum(jnp.sin(tiny.logits(config, params, tokens)))

    low_rank = jax.jit(jax.grad(lambda adapters: loss(config, lora.join(base, adapters))))(adapters)
    whole = jax.jit(jax.grad(lambda merged: loss(tiny.LLAMA, merged)))(merge(params, lora=config.lora))
    for branch, name, inputs in (("attention", "query", 1), ("attention", "output", 2), ("mlp", "down", 1)):
        found, pair = low_rank["blocks"][branch][name]["lora"], adapters["blocks"][branch][name]["lora"]
        full = np.asarray(whole["blocks"][branch][name]["kernel"], np.float64)
        rows = int(np.prod(full.shape[1 : 1 + inputs]))
        full = full.reshape(len(full), rows, -1)
        a, b = pair["a"].reshape(len(full), rows, -1), pair["b"].reshape(len(full), 3, -1)
        scale = 5.0 / 3
        for ours, expected in ((found["a"], full @ b.swapaxes(1, 2)), (found["b"], a.swapaxes(1, 2) @ full)):
            expected = scale * expected.reshape(ours.shape)
            np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max())


def test_dropout_acts_on_what_a_reads_and_only_with_a_key():
    config = adapted(tiny.LLAMA, dropout=0.5)
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 6)
    still = tiny.logits(config, params, tokens)
    np.testing.assert_array_equal(still, tiny.logits(adapted(tiny.LLAMA), params, tokens))
    drawn = [tiny.logits(config, params, tokens, key=jax.random.key(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 0.1
    assert np.abs(drawn[0] - still).max() > 0.1
    without = jax.tree.map_with_path(lambda path, leaf: 0 * leaf if path[-1].key == "b" else leaf, params)
    np.testing.assert_array_equal(
        tiny.logits(config, without, tokens, key=jax.random.key(0)), tiny.logits(config, without, tokens)
    )


def test_dropout_keeps_the_mean():
    """E[dropout(x)] A B = x A B: over many keys the noise averages out."""
    from flax import nnx

    def make_adapter(rngs):
        linear = lora.Linear((8,), (4,), kernel_metadata={"axes": ("embed", "mlp")}, rngs=rngs)
        return lora.Adapter(linear, LoRA(rank=2, dropout=0.25), rngs)

    adapter = functional(make_adapter)
    params = {"a": np.ones((8, 2), np.float32), "b": np.ones((2, 4), np.float32)}
    inputs = np.arange(8, dtype=np.float32).reshape(1, 1, 8)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0))
    def call(params, key):
        module = nnx.merge(adapter.definition, params)
        module.key = key
        return module(jnp.asarray(inputs))

    drawn = np.asarray(call(params, jax.random.split(jax.random.key(0), 4000)))
    np.testing.assert_allclose(drawn.mean(0), 16 * inputs @ params["a"] @ params["b"], rtol=0.02)


def test_each_adapter_and_each_layer_has_its_own_mask():
    """With one shared mask, query and value would drop the same inputs."""
    block = decoder._block(adapted(tiny.LLAMA))
    from flax import nnx

    module = nnx.merge(block.definition, jax.tree.map(lambda leaf: np.zeros(leaf.shape), block.abstract))
    lora.hand_out_keys(module, jax.random.key(0))
    keys = [
        jax.random.key_data(part.lora.key).tolist()
        for part in (module.attention.query, module.attention.key, module.attention.value, module.mlp.down)
    ]
    assert len(set(map(tuple, keys))) == 4
    lora.hand_out_keys(module, None)
    assert module.mlp.up.lora.key is None


def test_targets_choose_by_path():
    config = adapted(tiny.LLAMA, targets=(r"attention\.(query|value)", r"\.down\."))
    _, adapters = lora.split(decoder.abstract(config))
    assert {branch: set(part) for branch, part in adapters["blocks"].items()} == {
        "attention": {"query", "value"},
        "mlp": {"down"},
    }
    assert set(lora.split(decoder.abstract(dataclasses.replace(config, lora=LoRA())))[1]["blocks"]["attention"]) == {
        "query",
        "value",
    }


def test_a_target_that_is_found_nowhere_is_refused_with_the_paths():
    message = (
        r"targets must each be found in a matrix's path, got 'q_proj'\. "
        r"Paths: blocks\.attention\.key\.kernel, .*blocks\.mlp\.up\.kernel"
    )
    with pytest.raises(ValueError, match=message):
        decoder.abstract(adapted(tiny.LLAMA, targets=(".", "q_proj")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"alpha": 0.0}, "alpha must be above 0, got 0.0"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1.0"),
        ({"targets": ()}, "targets must hold at least one regular expression, got none"),
        ({"targets": ("(",)}, r"targets must be regular expressions, got '\(': "),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        LoRA(**changes)


def test_split_and_join_are_inverse():
    params = tiny.random_params(adapted(tiny.GPT2, targets=("mlp",)))
    base, adapters = lora.split(params)
    assert jax.tree.structure(base) == jax.tree.structure(decoder.abstract(tiny.GPT2))
    joined = lora.join(base, adapters)
    assert jax.tree.structure(joined) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, joined, params)
    assert lora.join(base, {}) == base


def test_merging_keeps_the_dtype():
    config = adapted(tiny.LLAMA)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tiny.random_params(config))
    merged = jax.eval_shape(functools.partial(lora.merge, lora=config.lora), params)
    assert {leaf.dtype for leaf in jax.tree.leaves(merged)} == {jnp.dtype(jnp.bfloat16)}


def test_a_frozen_model_in_bfloat16_takes_adapters_in_float32():
    config = adapted(tiny.LLAMA)
    base, adapters = lora.split(tiny.random_params(config))
    base = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), base)
    tokens = tiny.random_tokens(config, 2, 6)
    assert tiny.logits(config, lora.join(base, adapters), tokens).shape == (2, 6, 40)


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.value_and_grad, argnums=1)
def value_and_gradient(config, adapters, base, tokens):
    return jnp.mean(jnp.sin(tiny.logits(config, lora.join(base, adapters), tokens)))


@pytest.mark.parametrize("shape", [{"data": 1, "fsdp": 8}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_eight_devices_compute_what_one_does(shape):
    config = adapted(dataclasses.replace(tiny.LLAMA, vocab_size=48), dropout=0.0)
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 8, 6)
    base, adapters = lora.split(params)
    expected = value_and_gradient(config, adapters, base, tokens)
    with jax.set_mesh(make(MeshShape(**shape))):
        placed = sharding.shard(params, decoder.logical_axes(config))
        base, adapters = lora.split(placed)
        found = value_and_gradient(config, adapters, base, tokens)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), found, expected)
    if "tensor" in shape:
        query = placed["blocks"]["attention"]["query"]["lora"]
        assert query["a"].sharding.spec == jax.P(None, "fsdp", None)
        assert query["b"].sharding.spec == jax.P(None, None, "tensor", None)


def test_the_product_is_never_as_large_as_the_matrix():
    """No array of the forward or backward pass that the frozen model does not have is a whole A B."""
    config = adapted(dataclasses.replace(tiny.LLAMA, width=64, mlp_width=96), targets=("mlp",))
    params = decoder.abstract(config)
    base, adapters = lora.split(params)
    tokens = jax.ShapeDtypeStruct((1, 2), jnp.int32)

    def loss(adapters, base, tokens):
        return jnp.sum(tiny.logits(config, lora.join(base, adapters), tokens))

    jaxpr = jax.make_jaxpr(jax.grad(loss))(adapters, base, tokens)
    made = [
        variable.aval.shape
        for equation in _equations(jaxpr.jaxpr)
        if equation.primitive.name == "dot_general"
        for variable in equation.outvars
    ]
    assert made
    assert not [shape for shape in made if sorted(shape) == [64, 96]]


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if hasattr(inner, "jaxpr"):
                    yield from _equations(inner.jaxpr)
                elif hasattr(inner, "eqns"):
                    yield from _equations(inner)
