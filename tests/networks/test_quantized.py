import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import sharding
from jaxkd.distillation import forward
from jaxkd.models.transformer import decoder, lora
from jaxkd.networks import quantized
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import global_batch, make
from jaxkd.training import Optimizer
from jaxkd.training.compiled_step import CompiledStep
from jaxkd.training.optimizer import build
from jaxkd.training.planning.step_plan import step_plan
from tests.models import tiny

CONFIGS = {
    "llama": tiny.LLAMA,
    "gpt2": tiny.GPT2,
    "gemma": dataclasses.replace(tiny.LLAMA, norm="rms_plus_one", branch_output_norms=True, query_key_norm=True),
}
BITS = pytest.mark.parametrize("quantization", ["int8", "int4"])


dense = jax.jit(quantized.dense)
label_cross_entropy = jax.jit(forward.label_cross_entropy, static_argnums=0)


def stored(config, params, quantization):
    return quantized.quantize_params(params, decoder.logical_axes(config), quantization=quantization)


def test_int8_by_hand():
    """Two inputs, two outputs: an output's weight of largest size becomes -128, whatever its sign."""
    matrix = jnp.array([[[6.4, 0.1], [-1.0, -0.2]]])
    found = quantized.quantize(matrix, axes=("layers", "embed", "mlp"), quantization="int8")
    np.testing.assert_allclose(found["scale"], [[[-6.4 / 128, 0.2 / 128]]], rtol=1e-6)
    np.testing.assert_array_equal(found["int8"], [[[-128, 64], [20, -128]]])
    np.testing.assert_allclose(dense(found), [[[6.4, 0.1], [-1.0, -0.2]]], rtol=1e-6)


def test_int4_by_hand():
    """Groups along the inputs of one output, two values in a byte: 0b_0110_1000 is -8 below 6."""
    matrix = np.repeat([[[-8.0, 6.0], [-16.0, 12.0]]], 32, axis=1).astype(np.float32)
    matrix[0, 0, 1] = 8.0
    found = quantized.quantize(jnp.asarray(matrix), axes=("layers", "embed", "mlp"), quantization="int4")
    np.testing.assert_allclose(found["scale"], [[[1, -1], [2, -1.5]]])
    assert found["int4"].shape == (1, 64, 1)
    assert found["int4"].dtype == jnp.uint8
    assert np.asarray(found["int4"])[0, 1, 0] == 0b_1010_1000
    np.testing.assert_array_equal(dense(found), matrix)


@BITS
@pytest.mark.parametrize(
    ("shape", "axes", "int8_scale", "int4_scale"),
    [
        ((2, 64, 4, 6), ("layers", "embed", "heads", None), (2, 1, 4, 6), (2, 2, 4, 6)),
        ((2, 4, 6, 64), ("layers", "heads", None, "embed"), (2, 1, 1, 64), (2, 4, 1, 64)),
        ((2, 48, 10), ("layers", "mlp", "embed"), (2, 1, 10), (2, 2, 10)),
    ],
)
def test_a_weight_is_off_by_half_a_step_at_most(quantization, shape, axes, int8_scale, int4_scale):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = quantized.quantize(jnp.asarray(matrix), axes=axes, quantization=quantization)
    expected = int8_scale if quantization == "int8" else int4_scale
    assert found["scale"].shape == expected
    step = np.asarray(found["scale"])
    for axis, (blocks, whole) in enumerate(zip(expected, shape, strict=True)):
        step = np.repeat(step, whole // blocks, axis)
    steps_off = np.abs(dense(found) - matrix) / np.abs(step)
    # A weight whose stored value would be 128 or 8 is the exception, off by up to a whole step.
    too_high = matrix / step > (127.5 if quantization == "int8" else 7.5)
    assert steps_off[~too_high].max() <= 0.501
    assert steps_off.max() <= 1.001
    assert too_high.mean() < 0.1


@BITS
def test_a_channel_of_zeros_stays_zero(quantization):
    zeros = np.zeros((1, 4, 2), np.float32)
    found = quantized.quantize(jnp.asarray(zeros), axes=("layers", "embed", "mlp"), quantization=quantization)
    np.testing.assert_array_equal(dense(found), zeros)


def test_only_the_matrices_of_the_blocks_are_stored_in_fewer_bits():
    params = tiny.random_params(tiny.GPT2)
    found = stored(tiny.GPT2, params, "int8")
    for name in ("embedding", "positions", "final_norm"):
        jax.tree.map(np.testing.assert_array_equal, found[name], params[name])
    for branch, linear in (("attention", "query"), ("attention", "output"), ("mlp", "up"), ("mlp", "down")):
        layer = found["blocks"][branch][linear]
        assert sorted(layer["kernel"]) == ["int8", "scale"]
        np.testing.assert_array_equal(layer["bias"], params["blocks"][branch][linear]["bias"])
    np.testing.assert_array_equal(found["blocks"]["mlp_norm"]["scale"], params["blocks"]["mlp_norm"]["scale"])


@BITS
@pytest.mark.parametrize("name", CONFIGS)
def test_the_forward_is_exactly_that_of_the_dequantised_parameters(name, quantization):
    config = CONFIGS[name]
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 2, 6)
    found = stored(config, params, quantization)
    whole = dense(found)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), whole)
    assert shapes == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), decoder.abstract(config))
    logits = tiny.logits(config, found, tokens)
    np.testing.assert_array_equal(logits, tiny.logits(config, whole, tokens))
    assert np.abs(logits - tiny.logits(config, params, tokens)).max() > 1e-3


@BITS
def test_one_layer_at_a_time_is_there_as_floats(quantization):
    config = dataclasses.replace(tiny.LLAMA, depth=32, width=128, mlp_width=512)
    params = quantized.abstract(decoder.abstract(config), decoder.logical_axes(config), quantization=quantization)
    tokens = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    memory = tiny.logits.lower(config, params, tokens).compile().memory_analysis()
    layer = 4 * sum(leaf.size for leaf in jax.tree.leaves(decoder.abstract(config)["blocks"])) / config.depth
    assert memory.temp_size_in_bytes < 4 * layer, "the blocks as floats would be 32 layers"
    weights = 32 * layer / 4 * {"int8": 1, "int4": 0.5}[quantization]
    assert memory.argument_size_in_bytes < 1.3 * weights + 4 * config.vocab_size * config.width


@BITS
@pytest.mark.parametrize("config", [tiny.LLAMA, tiny.GPT2], ids=["llama", "gpt2"])
def test_what_is_described_is_what_is_made(config, quantization):
    found = stored(config, tiny.random_params(config), quantization)
    described = quantized.abstract(decoder.abstract(config), decoder.logical_axes(config), quantization=quantization)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), described
    )


def described_parameters(config, quantization):
    axes = decoder.logical_axes(config)
    tree = quantized.abstract(decoder.abstract(config), axes, quantization=quantization)
    return sharding.with_shardings(tree, quantized.logical_axes(tree, axes))


@pytest.mark.parametrize(
    ("quantization", "sizes"),
    [
        ("int8", (2, 2, 2)),
        ("int4", (1, 1, 8)),
        pytest.param("int8", (1, 8, 1), marks=pytest.mark.slow),
        pytest.param("int8", (1, 1, 8), marks=pytest.mark.slow),
        pytest.param("int4", (2, 2, 2), marks=pytest.mark.slow),
        pytest.param("int4", (1, 8, 1), marks=pytest.mark.slow),
    ],
)
def test_eight_devices_equal_one(quantization, sizes):
    config = dataclasses.replace(tiny.LLAMA, width=64, mlp_width=64)
    tokens = tiny.random_tokens(config, 8, 6)
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), tiny.random_params(config))
    with jax.enable_x64(True):
        found = stored(config, params, quantization)
        logits = np.asarray(tiny.logits(config, found, tokens))
        with jax.set_mesh(make(MeshShape(data=sizes[0], fsdp=sizes[1], tensor=sizes[2]))):
            placed = forward.shard_params(config, found)
            described = described_parameters(config, quantization)
            same = jax.tree.map(
                lambda leaf, to: leaf.sharding.is_equivalent_to(to.sharding, leaf.ndim), placed, described
            )
            assert all(jax.tree.leaves(same))
            sharded = np.asarray(tiny.logits(config, placed, tokens))
    assert sharded.dtype == logits.dtype == np.float64
    # In float64, a sum of n terms in another order moves by at most n units of 1.1e-16 of the largest: with at most 64
    # terms in each of 7 products in each of 2 layers, and in the head, 1e-13.  The rest is for what norms and softmax
    # amplify; a scale beside the wrong weights is off by 1e-2.
    np.testing.assert_allclose(sharded, logits, atol=2e-12 * np.abs(logits).max())
    up = placed["blocks"]["mlp"]["up"]["kernel"]
    for part in (up[quantization], up["scale"] if quantization == "int8" else up[quantization]):
        split = sizes[2] * (sizes[1] if part is not up["scale"] else 1)
        assert part.addressable_shards[0].data.size == part.size // split


@BITS
def test_bfloat16_parameters_give_bfloat16_matrices(quantization):
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), tiny.random_params(tiny.LLAMA))
    found = stored(tiny.LLAMA, params, quantization)
    up, whole = found["blocks"]["mlp"]["up"]["kernel"], dense(found)["blocks"]["mlp"]["up"]["kernel"]
    assert up["scale"].dtype == whole.dtype == jnp.bfloat16
    original = np.asarray(params["blocks"]["mlp"]["up"]["kernel"], np.float32)
    tolerance = {"int8": 0.02, "int4": 0.2}[quantization] * np.abs(original).max()
    np.testing.assert_allclose(np.asarray(whole, np.float32), original, atol=tolerance)


def test_an_unknown_quantization_is_refused(unchecked_shapes):
    with pytest.raises(ValueError, match=r"quantization must be one of int8, int4 or None, got 'int3'\."):
        quantized.quantize(jnp.ones((1, 2, 2)), axes=("layers", "embed", "mlp"), quantization="int3")


def test_an_odd_number_of_values_cannot_be_packed():
    message = r"last axis of a matrix must be even for int4, .*got \(1, 2, 3\)\. Use int8\."
    with pytest.raises(ValueError, match=message):
        quantized.quantize(jnp.ones((1, 2, 3)), axes=("layers", "embed", "mlp"), quantization="int4")


@BITS
def test_a_checkpoint_is_quantised_as_it_is_read(tiny, quantization):
    whole = tiny.teacher
    teacher = dataclasses.replace(whole, quantization=quantization)
    expected = stored(whole.config(), whole.load(), quantization)
    for found in (teacher.load(), teacher.load_sharded()):
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert teacher.config() == whole.config()
    assert teacher.fingerprint() != whole.fingerprint()
    assert teacher.provenance() == f"{whole.provenance()}, blocks in {quantization}"
    assert list(teacher.load_sharded(only=["embedding"])) == ["embedding"]
    with jax.set_mesh(make(MeshShape(data=2, fsdp=2, tensor=2))):
        placed = teacher.load_sharded()
        described = teacher.abstract_sharded()
        same = jax.tree.map(lambda leaf, to: leaf.sharding.is_equivalent_to(to.sharding, leaf.ndim), placed, described)
        assert all(jax.tree.leaves(same))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(placed), expected)


@functools.cache
def value_and_gradient(recipe):
    def loss(params, frozen, variables, batch):
        given = variables.replace(params=params, frozen=frozen)
        return recipe.loss(given, batch, recipe.counts(batch), jax.random.key(1)).loss

    return jax.jit(jax.value_and_grad(loss))


@BITS
def test_a_recipe_learns_from_a_quantised_teacher(tiny, tiny_batch, quantization):
    plain = tiny.logit_kd()
    recipe = tiny.logit_kd(teacher=dataclasses.replace(tiny.teacher, quantization=quantization))
    variables, batch = recipe.init(jax.random.key(0)), jax.tree.map(jnp.asarray, tiny_batch)
    value, gradient = value_and_gradient(recipe)(variables.params, variables.frozen, variables, batch)
    assert sorted(variables.frozen["teacher"]["blocks"]["mlp"]["up"]["kernel"]) == sorted([quantization, "scale"])
    teachers = dense(variables.frozen["teacher"]), tiny.teacher.load()
    (expected, expected_gradient), (full, _) = (
        value_and_gradient(plain)(variables.params, {"teacher": teacher}, variables.replace(frozen=None), batch)
        for teacher in teachers
    )
    np.testing.assert_array_equal(value, expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), gradient, expected_gradient)
    assert value != full


def compiled(recipe, **changes):
    options = {"accumulation": 1, "precision": "float32", "ema_decay": None} | changes
    return CompiledStep(recipe=recipe, optimizer=build(Optimizer(learning_rate=1e-2), 1), **options)


def test_a_step_is_planned_and_run_with_a_quantised_teacher(tiny, tiny_batch):
    recipe = tiny.logit_kd(teacher=dataclasses.replace(tiny.teacher, quantization="int8"))
    with jax.set_mesh(make(MeshShape(data=2, fsdp=2, tensor=2))):
        variables = recipe.init(jax.random.key(0))
        for precision in ("float32", "bfloat16"):
            step = compiled(recipe, precision=precision)
            frozen = step.frozen(variables.frozen)
            kernel = frozen["teacher"]["blocks"]["mlp"]["up"]["kernel"]
            assert (kernel["int8"].dtype, kernel["scale"].dtype) == (jnp.int8, jnp.dtype(precision))
            described = step.frozen(recipe.abstract().frozen)
            assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), frozen) == jax.tree.map(
                lambda leaf: (leaf.shape, leaf.dtype), described
            )
        assert "frozen         teacher:" in step_plan(step).description
        batch = global_batch(tiny_batch, jax.sharding.get_mesh())
        _, metrics = step.jit()(step.initial_state(variables), frozen, batch, jax.random.key(1))
        assert np.isfinite(metrics["loss"])


def test_a_quantised_student_is_refused(tiny):
    recipe = tiny.sft(student=dataclasses.replace(tiny.student, quantization="int8"))
    with jax.set_mesh(make(MeshShape(data=1), jax.devices()[:1])):
        message = r"must be floating-point to be trained, got int8 in student\.blocks\.\S+\.kernel\.int8\. Leave"
        with pytest.raises(ValueError, match=message):
            compiled(recipe).abstract_state()


@pytest.mark.parametrize("quantization", [pytest.param("int8", marks=pytest.mark.slow), "int4"])
def test_adapters_can_be_trained_beside_a_quantised_student(tiny, tiny_batch, quantization):
    student = dataclasses.replace(tiny.student, quantization=quantization)
    recipe = tiny.sft(student=student, lora=lora.LoRA(rank=2, targets=("query", "down")))
    with jax.set_mesh(make(MeshShape(data=1), jax.devices()[:1])):
        step, variables = compiled(recipe), recipe.init(jax.random.key(0))
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), variables.frozen) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), recipe.abstract().frozen
        )
        adapter = variables.params["lora"]["blocks"]["attention"]["query"]["lora"]
        adapter["b"] = jnp.asarray(np.full(adapter["b"].shape, 0.1, np.float32))
        model, batch = recipe.model(variables), jax.tree.map(jnp.asarray, tiny_batch)
        merged = jax.jit(lora.merge, static_argnames="lora")(dense(model.params), lora=recipe.lora)
        plain = dataclasses.replace(model.config, lora=None)
        np.testing.assert_allclose(
            label_cross_entropy(model.config, model.params, batch),
            label_cross_entropy(plain, merged, batch),
            rtol=1e-4,
            atol=1e-5,
        )
        placed = global_batch(tiny_batch, jax.sharding.get_mesh())
        state, _ = step.jit()(step.initial_state(variables), variables.frozen, placed, jax.random.key(1))
        assert list(state.params) == ["lora"]
