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

from jaxkd.kernels import head_logits
from jaxkd.models.transformer import decoder
from jaxkd.records import Hiddens
from jaxkd.sharding import LOGICAL_TO_MESH, shard
from tests.memory import largest_array
from tests.models import tiny

CONFIGS = {name: tiny.golden_config(name) for name in ("llama", "gpt2", "gemma3", "gpt_neox")}


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture(params=tiny.FAMILIES)
def any_config(request):
    return tiny.golden_config(request.param)


ROUNDING = 1e-12
"""Tolerance relative to the largest value, in float64.  Reordering a sum of n terms changes it by at most n units of
1.1e-16: with at most 24 terms in each of 7 products in each of 3 layers, 6e-14.  The rest allows for amplification by
norms and softmax.  An extra key, or a missing part of a sum, is off by 1e-2."""


@functools.cache
def unpadded(config):
    """Parameters, three rows of six tokens, and their logits."""
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 3, 6)
    return params, tokens, np.asarray(tiny.logits(config, params, tokens))


COLUMNS = 18
"""Number of columns of the two rows that `read` takes: one shape, so that a family is compiled once."""


@functools.cache
def whole(config):
    """Parameters, four rows without padding, and their logits, in float64.

    Of a row's first tokens alone the logits are the same: nothing later is seen.
    """
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), tiny.random_params(config))
    tokens = tiny.random_tokens(config, 4, COLUMNS)
    positions = np.tile(np.arange(COLUMNS, dtype=np.int32), (2, 1))
    found = [read(config, params, rows, positions, np.ones_like(positions))[0] for rows in np.split(tokens, 2)]
    return params, tokens, np.concatenate(found)


def read(config, *inputs):
    """Logits, final hidden states, and the gradient of a sum over the states of what is not padding, in float64."""
    with jax.enable_x64(True):
        return jax.device_get(_read(config, *inputs))


@functools.partial(jax.jit, static_argnums=0)
def _read(config, params, tokens, positions, segment_ids):
    def total(embedding):
        given = {**params, "embedding": embedding}
        states = decoder.hidden_states(config, given, tokens, positions=positions, segment_ids=segment_ids)
        return jnp.sum(jnp.where((segment_ids > 0)[..., None], states, 0) ** 3), states

    gradient, states = jax.grad(total, has_aux=True)(params["embedding"])
    return head_logits(Hiddens(values=states, head=decoder.head(config, params))), states, gradient


@pytest.mark.slow
def test_smollm2_gives_the_logits_that_float64_gives(smollm2_folder):
    from jaxkd.models import Pretrained

    model = Pretrained(path=str(smollm2_folder))
    tokens = np.array([[504, 3575, 282, 4649, 314, 7042, 28, 284, 260, 2240, 5721, 335, 260, 4626, 1268, 462, 30, 198]])
    logits = tiny.logits(model.config(), model.load(), tokens.astype(np.int32))[0]
    np.testing.assert_allclose(logits[0, :3], [15.6553, 6.8245, 10.5912], atol=2e-4)
    np.testing.assert_allclose(logits[-1, :3], [19.6943, 18.9822, 22.9113], atol=2e-4)
    assert logits[-1].argmax() == 198
    assert np.abs(logits).max() == pytest.approx(32.654, abs=1e-3)
    log_probs = np.take_along_axis(jax.nn.log_softmax(logits[:-1]), tokens[0, 1:, None], axis=-1)
    # A rounding unit of the largest logit is 3.8e-6: which sums a processor rounds first decides the rest.
    assert -log_probs.mean() == pytest.approx(2.2741444, abs=4e-6)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3"])
def test_init_has_the_declared_shapes_and_scales(name):
    config = dataclasses.replace(CONFIGS[name], width=64, mlp_width=128, tied=False)
    params = jax.jit(decoder.init, static_argnums=(0, 2))(config, jax.random.key(0), jnp.bfloat16)
    params = jax.device_get(params)
    abstract = decoder.abstract(config, jnp.bfloat16)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), params) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), abstract
    )
    wide = jax.tree.map(lambda leaf: leaf.astype(np.float32), params)
    for name in ("embedding", "head"):
        assert wide[name].std() == pytest.approx(0.02, rel=0.1)
    mlp = wide["blocks"]["mlp"]
    assert mlp["up"]["kernel"].std() == pytest.approx(0.02, rel=0.1)
    assert mlp["down"]["kernel"].std() == pytest.approx(0.02 / (2 * config.depth) ** 0.5, rel=0.1)
    np.testing.assert_array_equal(wide["blocks"]["mlp_norm"]["scale"], 0 if config.norm == "rms_plus_one" else 1)
    first, second = mlp["up"]["kernel"][:2]
    assert np.abs(first - second).max() > 0.01, "layers must be drawn independently"
    assert np.abs(wide["embedding"] - wide["head"]).max() > 0.01


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
    params, tokens, alone = whole(any_config)
    packed, positions, segment_ids = np.zeros((3, 2, COLUMNS), np.int32)
    rows = [(0, 5), (1, 4), (2, 6)], [(2, 6), (0, 5), (1, 4)]
    places = [
        (row, np.s_[start : start + length], single, length)
        for row, singles in enumerate(rows)
        for start, (single, length) in zip(np.cumsum([0, *(length for _, length in singles)]), singles, strict=False)
    ]
    for row, part, single, length in places:
        packed[row, part], positions[row, part] = tokens[single, :length], np.arange(length)
        segment_ids[row, part] = 1 + single
    together, *_ = read(any_config, params, packed, positions, segment_ids)
    assert np.isfinite(together).all(), "padding must stay finite"
    for row, part, single, length in places:
        np.testing.assert_allclose(together[row, part], alone[single, :length], atol=ROUNDING * np.abs(alone).max())


def test_padding_on_either_side_changes_nothing(any_config):
    params, tokens, plain = whole(any_config)
    for before in (0, 12, 5):
        pad = ((0, 0), (before, COLUMNS - 6 - before))
        padded_tokens, segment_ids = np.pad(tokens[:2, :6], pad), np.pad(np.ones((2, 6), np.int32), pad)
        positions = np.pad(np.tile(np.arange(6, dtype=np.int32), (2, 1)), pad)
        padded, *_ = read(any_config, params, padded_tokens, positions, segment_ids)
        np.testing.assert_allclose(padded[:, before : before + 6], plain[:2, :6], atol=ROUNDING * np.abs(plain).max())


def test_rows_of_one_segment_need_no_segment_ids(config):
    params, tokens, _ = whole(config)
    tokens = tokens[:2]
    positions = np.tile(np.arange(COLUMNS, dtype=np.int32), (2, 1))
    without = jax.jit(functools.partial(decoder.hidden_states, config, segment_ids=None))
    with jax.enable_x64(True):
        states = np.asarray(without(params, tokens, positions=positions))
    tolerance = ROUNDING * np.abs(states).max()
    _, same, _ = read(config, params, tokens, positions, np.ones_like(positions))
    np.testing.assert_allclose(states, same, atol=tolerance)
    _, padded, _ = read(config, params, tokens, positions, (positions < 15).astype(np.int32))
    np.testing.assert_allclose(states[:, :15], padded[:, :15], atol=tolerance)


def test_padding_is_finite_and_gets_no_gradient(any_config):
    params, *_ = whole(any_config)
    # Each token once: its row of the embedding is its own.
    tokens = np.arange(2 * COLUMNS, dtype=np.int32).reshape(2, COLUMNS)
    positions = np.tile(np.arange(COLUMNS, dtype=np.int32), (2, 1))
    # Segment 2 is empty, and so is the second row.
    segment_ids = np.repeat(np.array([[1, 3, 0], [0, 0, 0]], np.int32), [9, 6, 3], axis=1)
    _, states, gradient = read(any_config, params, tokens, positions, segment_ids)
    assert np.isfinite(states).all()
    of_tokens = np.abs(gradient)[tokens]
    assert of_tokens[segment_ids == 0].max() == 0
    assert of_tokens[segment_ids > 0].max(axis=-1).min() > 0


def test_the_program_does_not_grow_with_depth(config):
    tokens = np.zeros((1, 4), np.int32)

    def lines(depth):
        deep = config.with_layers([layer % config.depth for layer in range(depth)])
        program = jax.make_jaxpr(
            lambda params, tokens: decoder.hidden_states(deep, params, tokens, positions=tokens, segment_ids=tokens)
        )(decoder.abstract(deep), tokens)
        return str(program).count("\n")

    assert lines(4 * config.depth) == lines(2 * config.depth)


def test_a_later_token_changes_nothing_before_it(config):
    params, tokens, before = unpadded(config)
    changed = tokens.copy()
    changed[:, 3] = (changed[:, 3] + 1) % config.vocab_size
    after = np.asarray(tiny.logits(config, params, changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).max(axis=-1).min() > 1e-3


def test_jit_equals_eager():
    config = CONFIGS["llama"]
    params, tokens, compiled = unpadded(config)
    with jax.disable_jit():
        eager = tiny.logits(config, jax.tree.map(jnp.asarray, params), jnp.asarray(tokens))
    np.testing.assert_allclose(compiled, eager, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", pytest.param("gemma3", marks=pytest.mark.slow)])
def test_remat_keeps_values_and_gradients_and_stores_less(name):
    config = CONFIGS[name]
    config = config.with_layers([layer % config.depth for layer in range(8)])
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 4, 16)
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
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max()),
            remat_grads,
            jax.device_get(grads),
        )
    memory = [compiled[remat].memory_analysis().temp_size_in_bytes for remat in policies]
    assert memory[1] < 0.9 * memory[0]
    assert memory[2] < 0.9 * memory[1]
    assert memory[2] < 0.7 * memory[0]


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_scores_are_not_stored_for_the_backward_pass(remat):
    config = tiny.LLAMA.with_layers([layer % 2 for layer in range(8)])
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 64)
    gradient = jax.grad(lambda params: jnp.sum(tiny.logits(config, params, tokens, remat=remat)))
    scores = tokens.size * config.heads * tokens.shape[1]
    assert scores <= largest_array(jax.make_jaxpr(gradient)(params).jaxpr) < config.depth * scores


def test_an_unknown_remat_policy_is_refused(unchecked_shapes):
    with pytest.raises(ValueError, match="remat must be none, dots or full, got 'some'"):
        tiny.logits(tiny.LLAMA, tiny.random_params(tiny.LLAMA), tiny.random_tokens(tiny.LLAMA, 1, 3), remat="some")


@pytest.mark.parametrize("name", ["gemma3", "gpt_neox"])
def test_dropout_acts_only_with_a_key_and_a_rate(name):
    config = CONFIGS[name]
    params, tokens, plain = unpadded(config)
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
    tokens = np.zeros((1, 1), np.int32)
    states = jax.jit(functools.partial(decoder.hidden_states, config))
    found = states(params, tokens, positions=tokens, segment_ids=tokens, key=jax.random.key(0))
    # Each of the two layers adds 2 to about half of the units: with equal masks, two values would occur.
    assert len(np.unique(np.round(found, 4))) == 3


def test_bfloat16_parameters_compute_in_bfloat16_with_a_float32_softmax(config):
    params, tokens, _ = unpadded(config)
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    states = jax.eval_shape(
        functools.partial(decoder.hidden_states, config), low, tokens, positions=tokens, segment_ids=tokens
    )
    assert states.dtype == jnp.bfloat16
    exact = tiny.logits(config, jax.tree.map(lambda leaf: leaf.astype(np.float32), low), tokens)
    error = np.abs(np.asarray(tiny.logits(config, low, tokens), np.float32) - exact)
    assert error.max() < 0.05 * np.abs(exact).max()


@functools.cache
def on_one_device(name):
    """Parameters and tokens, and what `logits_and_gradient` makes of them, in float64."""
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), tiny.random_params(CONFIGS[name]))
    tokens = tiny.random_tokens(CONFIGS[name], 8, 6)
    return params, tokens, jax.device_get(logits_and_gradient(name, params, tokens))


@functools.partial(jax.jit, static_argnames="name")
def logits_and_gradient(name, params, tokens):
    def loss(params):
        logits = tiny.logits(CONFIGS[name], params, tokens)
        return jnp.mean(jnp.square(logits)), logits

    (_, logits), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return logits, gradient


@pytest.mark.parametrize(
    ("name", "shape"),
    [("llama", (8, 1, 1)), ("gpt_neox", (1, 8, 1)), ("gpt_neox", (1, 1, 8)), ("gemma3", (2, 2, 2))],
    ids=str,
)
def test_sharded_equals_one_device(name, shape):
    mesh = jax.make_mesh(shape, ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.enable_x64(True):
        params, tokens, (logits, gradient) = on_one_device(name)
        with jax.set_mesh(mesh):
            placed = shard(params, decoder.logical_axes(CONFIGS[name]))
            sharded_logits, sharded_gradient = jax.device_get(logits_and_gradient(name, placed, tokens))
    up = placed["blocks"]["mlp"]["up"]["kernel"]
    assert up.addressable_shards[0].data.size == up.size // (shape[1] * shape[2])
    np.testing.assert_allclose(sharded_logits, logits, atol=ROUNDING * np.abs(logits).max())
    # Backwards there are twice as many products, one more sum over the 48 tokens, and gradients that cancel to 0.
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=4 * ROUNDING * np.abs(b).max() + 1e-15 * largest),
        sharded_gradient,
        gradient,
    )


_COMPILE = """
import sys

import jax, jax.numpy as jnp
from jax.sharding import AxisType
from jaxkd import sharding
from jaxkd.models.transformer import decoder
from tests.models import tiny

mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
tokens = tiny.random_tokens(tiny.LLAMA, 8, 8)

def compile():
    tiny.logits.clear_cache()
    loss = lambda params: jnp.mean(jnp.square(tiny.logits(tiny.LLAMA, params, tokens)))
    jax.jit(jax.value_and_grad(loss)).lower(params).compile()

with jax.set_mesh(mesh):
    params = sharding.shard(tiny.random_params(tiny.LLAMA), decoder.logical_axes(tiny.LLAMA))
    tokens = jax.device_put(tokens, jax.NamedSharding(mesh, jax.P(("data", "fsdp"))))
    compile()
    print("UNPINNED", file=sys.stderr, flush=True)
    decoder.constrain = lambda array, *axes: array
    compile()
"""


def test_the_partitioner_never_replicates_activations():
    """With the table gathered over fsdp first XLA has nothing to complain about; without that it does."""
    run = subprocess.run(
        [sys.executable, "-c", _COMPILE],
        env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false", "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    pinned, unpinned = run.stderr.split("UNPINNED")
    assert "Involuntary full remat" not in pinned
    if jax.__version_info__ < (0, 11):  # the partitioner of newer versions finds a way of its own there
        assert "Involuntary full remat" in unpinned
