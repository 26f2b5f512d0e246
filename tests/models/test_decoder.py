import dataclasses
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models import decoder
from jaxkd.sharding import LOGICAL_TO_MESH, place
from tests.models import tiny

CONFIGS = {
    "llama": tiny.LLAMA,
    "gpt2": tiny.GPT2,
    "gemma3": tiny.golden_config("gemma3"),
    "gpt_neox": tiny.golden_config("gpt_neox"),
}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture(params=tiny.FAMILIES)
def any_config(request):
    return tiny.golden_config(request.param)


def test_smollm2_gives_the_logits_that_float64_gives(smollm2_folder):
    from jaxkd.models.pretrained import Pretrained

    model = Pretrained(path=str(smollm2_folder))
    tokens = np.array([[504, 3575, 282, 4649, 314, 7042, 28, 284, 260, 2240, 5721, 335, 260, 4626, 1268, 462, 30, 198]])
    logits = tiny.logits(model.config(), model.load(), tokens.astype(np.int32))[0]
    np.testing.assert_allclose(logits[0, :3], [15.6553, 6.8245, 10.5912], atol=2e-4)
    np.testing.assert_allclose(logits[-1, :3], [19.6943, 18.9822, 22.9113], atol=2e-4)
    assert logits[-1].argmax() == 198
    assert float(jnp.abs(logits).max()) == pytest.approx(32.654, abs=1e-3)
    log_probs = np.take_along_axis(jax.nn.log_softmax(logits[:-1]), tokens[0, 1:, None], axis=-1)
    # A rounding unit of the largest logit is 3.8e-6: which sums a processor rounds first decides the rest.
    assert -log_probs.mean() == pytest.approx(2.2741444, abs=4e-6)


def test_init_has_the_declared_shapes_and_scales(config):
    config = dataclasses.replace(config, width=64, mlp_width=128, tied=False)
    params = jax.jit(decoder.init, static_argnums=(0, 2))(config, jax.random.key(0), jnp.bfloat16)
    abstract = decoder.abstract(config, jnp.bfloat16)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), abstract
    )
    blocks = params["blocks"]
    std = {
        name: float(leaf.astype(jnp.float32).std()) for name, leaf in params.items() if name in ("embedding", "head")
    }
    assert std == pytest.approx({"embedding": 0.02, "head": 0.02}, rel=0.1)
    assert float(blocks["mlp"]["up"]["kernel"].astype(jnp.float32).std()) == pytest.approx(0.02, rel=0.1)
    into_stream = 0.02 / (2 * config.depth) ** 0.5
    assert float(blocks["mlp"]["down"]["kernel"].astype(jnp.float32).std()) == pytest.approx(into_stream, rel=0.1)
    fresh = 0 if config.norm == "rms_plus_one" else 1
    assert float(jnp.abs(blocks["mlp_norm"]["scale"] - fresh).max()) == 0
    first, second = blocks["mlp"]["up"]["kernel"][:2]
    assert float(jnp.abs(first - second).max()) > 0.01, "layers must be drawn independently"
    assert float(jnp.abs(params["embedding"] - params["head"]).max()) > 0.01


def test_logical_axes_name_each_axis_of_each_parameter(any_config):
    config = dataclasses.replace(any_config, tied=False)

    def check(leaf, axes):
        assert len(axes) == len(leaf.shape)
        assert all(axis in LOGICAL_TO_MESH for axis in axes)

    jax.tree.map(check, decoder.abstract(config), decoder.logical_axes(config))
    axes = decoder.logical_axes(tiny.LLAMA)
    assert axes["embedding"] == ("vocab", "embed")
    assert axes["blocks"]["attention"]["key"]["kernel"] == ("layers", "embed", "kv_heads", None)
    assert axes["blocks"]["attention"]["output"]["kernel"] == ("layers", "heads", None, "embed")
    assert axes["blocks"]["mlp"]["down"]["kernel"] == ("layers", "mlp", "embed")


def test_parameter_count():
    assert decoder.parameter_count(tiny.LLAMA) == 40 * 16 + 16 + 2 * (2 * 16 + 2 * 16 * 24 + 2 * 16 * 12 + 3 * 16 * 24)
    untied = dataclasses.replace(tiny.LLAMA, tied=False)
    assert decoder.parameter_count(untied) == decoder.parameter_count(tiny.LLAMA) + 40 * 16


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_reads_its_own_parameters_alone(tied):
    config = dataclasses.replace(tiny.LLAMA, tied=tied)
    params = tiny.random_params(config)
    part = decoder.head_params(config, params)
    assert list(part) == ["embedding" if tied else "head"]
    head = decoder.head(config, part)
    assert head.weight is params["embedding" if tied else "head"]
    assert head.vocab_size == 40


def test_packed_rows_equal_single_ones(any_config):
    config = any_config
    params = tiny.random_params(config)
    lengths = (5, 4, 7)
    singles = [tiny.random_tokens(config, 1, length, seed) for seed, length in enumerate(lengths)]
    packed = np.concatenate([*singles, np.zeros((1, 4), np.int32)], axis=1)
    positions = np.concatenate([np.arange(length) for length in (*lengths, 4)])[None]
    segment_ids = np.repeat([1, 2, 3, 0], [*lengths, 4])[None]
    together = tiny.logits(config, params, packed, positions, segment_ids)
    assert jnp.isfinite(together).all(), "padding must stay finite"
    alone = np.concatenate([tiny.logits(config, params, single)[0] for single in singles])
    np.testing.assert_allclose(together[0, :16], alone, atol=1e-5)


def test_padding_on_either_side_changes_nothing(any_config):
    config = any_config
    params = tiny.random_params(config)
    tokens = tiny.random_tokens(config, 2, 6)
    plain = tiny.logits(config, params, tokens)
    for before, after in ((0, 3), (3, 0), (2, 1)):
        pad = ((0, 0), (before, after))
        positions = np.pad(np.tile(np.arange(6), (2, 1)), pad)
        padded = tiny.logits(config, params, np.pad(tokens, pad), positions, np.pad(np.ones_like(tokens), pad))
        np.testing.assert_allclose(padded[:, before : before + 6], plain, atol=1e-5)


def test_rows_of_one_segment_need_no_segment_ids(config):
    params = jax.tree.map(jnp.asarray, tiny.random_params(config))
    tokens, positions = jnp.asarray(tiny.random_tokens(config, 2, 8)), jnp.tile(jnp.arange(8), (2, 1))
    states = jax.jit(
        lambda segment_ids: decoder.hidden_states(config, params, tokens, positions=positions, segment_ids=segment_ids)
    )
    np.testing.assert_allclose(states(None), states(jnp.ones_like(positions)), atol=1e-6)
    padded = states(jnp.where(positions < 5, 1, 0))
    np.testing.assert_allclose(states(None)[:, :5], padded[:, :5], atol=1e-6)


def test_padding_is_finite_and_gets_no_gradient(any_config):
    config = any_config
    params = jax.tree.map(jnp.asarray, tiny.random_params(config))
    tokens = jnp.arange(12).reshape(2, 6)  # each token once: its row of the embedding is its own
    positions = jnp.tile(jnp.arange(6), (2, 1))
    segment_ids = jnp.array([[1, 1, 1, 3, 3, 0], [0] * 6])  # segment 2 is empty, and so is the second row

    def total(embedding):
        states = decoder.hidden_states(
            config, {**params, "embedding": embedding}, tokens, positions=positions, segment_ids=segment_ids
        )
        return jnp.sum(jnp.where((segment_ids > 0)[..., None], states, 0) ** 3), states

    gradient, states = jax.jit(jax.grad(total, has_aux=True))(params["embedding"])
    assert jnp.isfinite(states).all()
    of_tokens = gradient[tokens]
    assert float(jnp.abs(of_tokens[segment_ids == 0]).max()) == 0
    assert float(jnp.abs(of_tokens[segment_ids > 0]).max(axis=-1).min()) > 0


def test_the_program_does_not_grow_with_depth(any_config):
    tokens = jnp.zeros((1, 4), jnp.int32)

    def lines(depth):
        config = any_config.with_layers([layer % any_config.depth for layer in range(depth)])
        program = jax.make_jaxpr(
            lambda params: decoder.hidden_states(config, params, tokens, positions=tokens, segment_ids=tokens)
        )(decoder.abstract(config))
        return str(program).count("\n")

    assert lines(4 * any_config.depth) == lines(2 * any_config.depth)


def test_a_later_token_changes_nothing_before_it(config):
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 1, 8)
    changed = tokens.copy()
    changed[0, 5] = (changed[0, 5] + 1) % config.vocab_size
    before, after = tiny.logits(config, params, tokens), tiny.logits(config, params, changed)
    np.testing.assert_array_equal(before[0, :5], after[0, :5])
    assert np.abs(before[0, 5:] - after[0, 5:]).max(axis=-1).min() > 1e-3


def test_jit_equals_eager(config):
    params, tokens = jax.tree.map(jnp.asarray, tiny.random_params(config)), tiny.random_tokens(config, 2, 5)
    with jax.disable_jit():
        eager = tiny.logits(config, params, jnp.asarray(tokens))
    np.testing.assert_allclose(tiny.logits(config, params, tokens), eager, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_remat_keeps_values_and_gradients_and_stores_less(name):
    config = CONFIGS[name]
    config = config.with_layers([layer % config.depth for layer in range(8)])
    params, tokens = jax.tree.map(jnp.asarray, tiny.random_params(config)), tiny.random_tokens(config, 4, 16)
    step = jax.jit(
        jax.value_and_grad(
            lambda params, remat: jnp.mean(jnp.square(tiny.logits(config, params, tokens, remat=remat)))
        ),
        static_argnums=1,
    )
    policies = ("none", "dots", "full")
    compiled = {remat: step.lower(params, remat).compile() for remat in policies}
    value, grads = compiled["none"](params)
    for remat in policies[1:]:
        remat_value, remat_grads = compiled[remat](params)
        np.testing.assert_allclose(remat_value, value, rtol=1e-6)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * float(jnp.abs(b).max())),
            remat_grads,
            grads,
        )
    memory = [compiled[remat].memory_analysis().temp_size_in_bytes for remat in policies]
    assert memory[1] < 0.9 * memory[0]
    assert memory[2] < 0.9 * memory[1]
    assert memory[2] < 0.7 * memory[0]


def test_an_unknown_remat_policy_is_refused(unchecked_shapes):
    with pytest.raises(ValueError, match="remat must be none, dots or full, got 'some'"):
        tiny.logits(tiny.LLAMA, tiny.random_params(tiny.LLAMA), tiny.random_tokens(tiny.LLAMA, 1, 3), remat="some")


def test_dropout_acts_only_with_a_key_and_a_rate(config):
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 6)
    plain = tiny.logits(config, params, tokens)
    key = jax.random.key(0)
    np.testing.assert_array_equal(tiny.logits(config, params, tokens, key=key), plain)
    dropping = dataclasses.replace(config, dropout=0.2)
    np.testing.assert_array_equal(tiny.logits(dropping, params, tokens), plain)
    first = tiny.logits(dropping, params, tokens, key=key)
    np.testing.assert_array_equal(tiny.logits(dropping, params, tokens, key=key), first)
    assert np.abs(first - plain).max() > 0.1
    assert np.abs(tiny.logits(dropping, params, tokens, key=jax.random.key(1)) - first).max() > 0.1
    np.testing.assert_allclose(tiny.logits(dropping, params, tokens, key=key, remat="full"), first, atol=1e-5)


def test_dropout_differs_from_layer_to_layer():
    config = dataclasses.replace(tiny.LLAMA, dropout=0.5, output_bias=True)
    params = jax.tree.map(np.zeros_like, tiny.random_params(config))
    params["blocks"]["attention"]["output"]["bias"] += 1
    params["final_norm"]["scale"] += 1
    tokens = jnp.zeros((1, 1), jnp.int32)

    @jax.jit
    def states(key):
        return decoder.hidden_states(config, params, tokens, positions=tokens, segment_ids=tokens, key=key)

    # Each of the two layers adds 2 to about half of the units: with equal masks, two values would occur.
    assert len(np.unique(np.round(states(jax.random.key(0)), 4))) == 3


def test_bfloat16_parameters_compute_in_bfloat16_with_a_float32_softmax(config):
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 12)
    low = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params)
    positions = jnp.tile(jnp.arange(12), (2, 1))
    states = decoder.hidden_states(
        config, low, jnp.asarray(tokens), positions=positions, segment_ids=jnp.ones_like(positions)
    )
    assert states.dtype == jnp.bfloat16
    exact = tiny.logits(config, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), low), tokens)
    error = np.abs(tiny.logits(config, low, tokens) - exact)
    assert error.max() < 0.05 * np.abs(exact).max()


@functools.cache
def on_one_device(name):
    """Parameters and tokens, and what `logits_and_gradient` makes of them."""
    params, tokens = tiny.random_params(CONFIGS[name]), tiny.random_tokens(CONFIGS[name], 8, 6)
    return params, tokens, logits_and_gradient(name, params, tokens)


@functools.partial(jax.jit, static_argnames="name")
def logits_and_gradient(name, params, tokens):
    def loss(params):
        logits = tiny.logits(CONFIGS[name], params, tokens)
        return jnp.mean(jnp.square(logits)), logits

    (_, logits), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return logits, gradient


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1), (1, 1, 8), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt_neox"])
def test_sharded_equals_one_device(name, shape):
    params, tokens, (logits, gradient) = on_one_device(name)
    mesh = jax.make_mesh(shape, ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        placed = place(params, decoder.logical_axes(CONFIGS[name]))
        sharded_logits, sharded_gradient = logits_and_gradient(name, placed, tokens)
    up = placed["blocks"]["mlp"]["up"]["kernel"]
    assert up.addressable_shards[0].data.size == up.size // (shape[1] * shape[2])
    np.testing.assert_allclose(sharded_logits, logits, atol=2e-6 * float(np.abs(logits).max()))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * float(np.abs(b).max()) + 1e-7),
        sharded_gradient,
        gradient,
    )


_COMPILE = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType
from jaxkd import sharding
from jaxkd.models import decoder
from tests.models import tiny

if {unpinned}:
    decoder.constrain = lambda array, *axes: array
mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
tokens = tiny.random_tokens(tiny.LLAMA, 8, 8)
with jax.set_mesh(mesh):
    params = sharding.place(tiny.random_params(tiny.LLAMA), decoder.logical_axes(tiny.LLAMA))
    tokens = jax.device_put(tokens, jax.NamedSharding(mesh, jax.P(("data", "fsdp"))))
    loss = lambda params: jnp.mean(jnp.square(tiny.logits(tiny.LLAMA, params, tokens)))
    jax.jit(jax.value_and_grad(loss)).lower(params).compile()
"""


@pytest.mark.parametrize("unpinned", [False, True])
def test_the_partitioner_never_replicates_activations(unpinned):
    """With the table gathered over fsdp first XLA has nothing to complain about; without that it does."""
    run = subprocess.run(
        [sys.executable, "-c", _COMPILE.format(unpinned=unpinned)],
        env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false", "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("Involuntary full remat" in run.stderr) == unpinned
