import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models import attention as attentions
from jaxkd.models.attention import Case, attention, choose, mix, scores, visible
from tests.models import tiny

CASE = Case(
    dtype=jnp.bfloat16, head_dim=64, length=128, cached=False, segments=False, softcap=False, static_window=True
)


def draw(*shapes, dtype=jnp.float32):
    random = np.random.default_rng(0)
    return [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]


@pytest.fixture
def platform(monkeypatch):
    """A function that makes attention believe that it runs elsewhere.

    Splash attention is interpreted then, and cuDNN's arguments are given to XLA: what is tested is that they
    mean what we mean.
    """
    real = jax.nn.dot_product_attention

    def by_xla(*arrays, implementation, **options):
        del implementation
        return real(*arrays, implementation="xla", **options)

    def elsewhere(name):
        monkeypatch.setattr(attentions, "_platform", lambda: name)
        monkeypatch.setattr(jax.nn, "dot_product_attention", by_xla)

    return elsewhere


def expected_in_float64(queries, keys, values, *, segments, key_segments, start, window, softcap, scale):
    queries, keys, values = (np.asarray(array, np.float64) for array in (queries, keys, values))
    expected = np.empty_like(queries)
    group = queries.shape[2] // keys.shape[2]
    for row, query, head in np.ndindex(queries.shape[:3]):
        products = scale * keys[row, :, head // group] @ queries[row, query, head]
        products = softcap * np.tanh(products / softcap)
        seen = [
            column
            for column in range(keys.shape[1])
            if column <= start + query
            and start + query - column < window
            and key_segments[row, column] == segments[row, query]
        ]
        probs = np.exp(products[seen])
        expected[row, query, head] = probs / probs.sum() @ values[row, seen, head // group]
    return expected


@pytest.mark.parametrize("traced", [False, True])
def test_attention_equals_its_formula_in_float64(traced):
    arrays = draw((2, 5, 4, 6), (2, 9, 2, 6), (2, 9, 2, 6))
    key_segments = np.array([[1, 1, 1, 1, 1, 2, 2, 2, 2], [0, 0, 1, 1, 1, 1, 1, 1, 1]])
    options = {"softcap": 1.5, "scale": 0.7}
    expected = expected_in_float64(
        *arrays, segments=key_segments[:, 3:8], key_segments=key_segments, start=3, window=4, **options
    )
    ours = attention(
        *arrays,
        segment_ids=jnp.asarray(key_segments[:, 3:8]),
        key_segment_ids=jnp.asarray(key_segments),
        start=jnp.int32(3) if traced else 3,
        window=jnp.int32(4) if traced else 4,
        **options,
    )
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_what_is_seen_by_hand():
    segments = jnp.array([[1, 1, 1, 2]])
    np.testing.assert_array_equal(
        visible(4, 4, segment_ids=segments)[0], [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    )
    windowed = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    np.testing.assert_array_equal(visible(4, 4, window=2)[0], windowed)
    np.testing.assert_array_equal(visible(4, 4, window=jnp.int32(2))[0], windowed)
    np.testing.assert_array_equal(visible(4, 4, window=jnp.int32(0)), visible(4, 4))
    np.testing.assert_array_equal(visible(1, 4, start=2, window=2)[0], [[0, 1, 1, 0]])


def test_a_query_that_sees_nothing_gets_the_mean_and_a_finite_gradient():
    queries, keys, values = draw((1, 1, 1, 2), (1, 3, 1, 2), (1, 3, 1, 2))

    def total(queries, keys, values):
        return mix(scores(queries, keys, jnp.zeros((1, 1, 3), bool), softcap=None, scale=1.0), values)

    np.testing.assert_allclose(total(queries, keys, values)[0, 0, 0], values[0].mean(0)[0], rtol=1e-5)
    grads = jax.grad(lambda *arrays: total(*arrays).sum(), argnums=(0, 1, 2))(queries, keys, values)
    assert all(jnp.isfinite(grad).all() for grad in grads)


def test_large_scores_in_bfloat16_stay_finite_and_choose_the_largest():
    queries = jnp.full((1, 3, 1, 4), 100.0, jnp.bfloat16)
    keys = jnp.array([1.0, 2.0, 1.9], jnp.bfloat16)[None, :, None, None] * jnp.full((1, 1, 1, 4), 100.0, jnp.bfloat16)
    values = jnp.array([5.0, 6.0, 7.0], jnp.bfloat16)[None, :, None, None] * jnp.ones((1, 1, 1, 4), jnp.bfloat16)
    mixed = attention(queries, keys, values)
    assert mixed.dtype == jnp.bfloat16
    np.testing.assert_array_equal(mixed[0, -1].astype(jnp.float32).ravel(), [6, 6, 6, 6])


def value_and_gradients(backend, arrays, **options):
    def total(*arrays):
        mixed = attention(*arrays, backend=backend, **options)
        return jnp.sum(mixed.astype(jnp.float32) ** 2), mixed

    (_, mixed), grads = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(*arrays)
    return mixed, grads


SEGMENTS = jnp.asarray(np.repeat([[1, 2, 4, 0], [1, 1, 1, 1]], [50, 40, 30, 8], axis=1), jnp.int32)
BACKEND_CASES = [
    ("xla_dot", {}),
    ("xla_dot", {"segment_ids": SEGMENTS}),
    ("xla_dot", {"segment_ids": SEGMENTS, "window": 20, "scale": 0.3}),
    ("xla_dot", {"window": jnp.int32(20)}),
    ("cudnn", {}),
    ("cudnn", {"window": 20, "scale": 0.3}),
    ("splash", {}),
    ("splash", {"segment_ids": SEGMENTS}),
    ("splash", {"segment_ids": SEGMENTS, "window": 20, "scale": 0.3, "softcap": 2.0}),
]


@pytest.mark.parametrize(
    ("backend", "options"), BACKEND_CASES, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_every_backend_equals_the_reference(backend, options, platform):
    dtype, tolerance = (jnp.bfloat16, 0.05) if backend == "cudnn" else (jnp.float32, 2e-5)
    arrays = draw((2, 128, 4, 16), (2, 128, 2, 16), (2, 128, 2, 16), dtype=dtype)
    expected, expected_grads = value_and_gradients("xla", arrays, **options)
    platform({"xla_dot": "cpu", "cudnn": "gpu", "splash": "tpu"}[backend])
    mixed, grads = value_and_gradients(backend, arrays, **options)
    for ours, theirs in zip((mixed, *grads), (expected, *expected_grads), strict=True):
        assert ours.dtype == dtype
        ours, theirs = ours.astype(jnp.float32), theirs.astype(jnp.float32)
        np.testing.assert_allclose(ours, theirs, atol=tolerance * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("backend", ["xla", "xla_dot", "splash"])
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_packed_rows_equal_single_ones_on_every_backend(name, backend, platform):
    config = tiny.golden_config(name)
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 1, 128)
    bounds = [(0, 50), (50, 90)]
    segment_ids = np.repeat([[1, 2, 0]], [50, 40, 38], axis=1).astype(np.int32)
    positions = np.concatenate([np.arange(50), np.arange(40), np.zeros(38)])[None].astype(np.int32)
    # In float32 a sum over more columns is rounded elsewhere.  The kernel has nothing wider, `jax.nn` a softmax in it.
    dtype = jnp.float32 if backend == "splash" else jnp.float64
    tolerance = 1e-13 if backend == "xla" else 4e-6
    with jax.enable_x64(dtype == jnp.float64):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
        alone = [tiny.logits(config, params, tokens[:, start:stop], backend="xla") for start, stop in bounds]
        platform("tpu")
        packed = tiny.logits(config, params, tokens, positions, segment_ids, backend=backend)
        assert packed.dtype == dtype
        assert jnp.isfinite(packed).all()
        for (start, stop), single in zip(bounds, alone, strict=True):
            np.testing.assert_allclose(packed[:, start:stop], single, atol=tolerance * float(jnp.abs(single).max()))


def test_the_kernel_runs_on_each_device_for_its_own_rows_and_heads(platform):
    arrays = draw((4, 128, 4, 8), (4, 128, 2, 8), (4, 128, 2, 8))
    options = {"segment_ids": jnp.asarray(np.repeat([[1, 2]], [100, 28], axis=1).repeat(4, 0)), "window": 30}
    expected, expected_grads = value_and_gradients("xla", arrays, **options)
    platform("tpu")
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        mixed, grads = value_and_gradients("splash", arrays, **options)
    assert mixed.sharding.spec == jax.P(("data", "fsdp"), None, "tensor")
    np.testing.assert_allclose(mixed, expected, atol=1e-5)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "case", "expected"),
    [
        ("cpu", {}, "xla"),
        ("gpu", {}, "cudnn"),
        ("gpu", {"segments": True}, "xla"),
        ("gpu", {"softcap": True}, "xla"),
        ("gpu", {"dtype": jnp.float32}, "xla"),
        ("gpu", {"head_dim": 100}, "xla"),
        ("gpu", {"head_dim": 256}, "xla"),
        ("gpu", {"cached": True}, "xla"),
        ("gpu", {"static_window": False}, "xla"),
        ("tpu", {}, "splash"),
        ("tpu", {"segments": True, "softcap": True, "dtype": jnp.float32}, "splash"),
        ("tpu", {"length": 100}, "xla"),
        ("tpu", {"cached": True}, "xla"),
        ("tpu", {"static_window": False}, "xla"),
    ],
    ids=str,
)
def test_auto_takes_only_what_computes_the_case(name, case, expected, platform):
    platform(name)
    assert choose("auto", dataclasses.replace(CASE, **case)) == expected


@pytest.mark.parametrize(
    ("name", "backend", "case", "message"),
    [
        (
            "cpu",
            "cudnn",
            {},
            "must be one of xla, xla_dot here, got 'cudnn': it needs an NVIDIA GPU, and JAX runs on cpu",
        ),
        ("cpu", "splash", {}, "got 'splash': it needs a TPU, and JAX runs on cpu"),
        ("cpu", "xla_dot", {"softcap": True}, "one of xla here, got 'xla_dot': .* has no soft-cap"),
        ("gpu", "cudnn", {"softcap": True}, "cuDNN has no soft-cap"),
        ("gpu", "cudnn", {"segments": True}, "does not keep segments apart; pass segment_ids=None where"),
        ("gpu", "cudnn", {"cached": True}, "got 'cudnn': it takes whole sequences, not a key/value cache"),
        ("gpu", "cudnn", {"dtype": jnp.float32}, "takes bfloat16 and float16, not float32"),
        ("gpu", "cudnn", {"head_dim": 136}, "heads of a multiple of 8 up to 128, not 136"),
        ("tpu", "splash", {"cached": True}, "got 'splash': it takes whole sequences, not a key/value cache"),
        ("tpu", "splash", {"static_window": False}, "its window is part of the program, not an array"),
        ("tpu", "splash", {"length": 100}, "takes a multiple of 128 tokens, not 100"),
    ],
)
def test_a_backend_that_cannot_be_used_is_refused_with_the_reason(name, backend, case, message, platform):
    platform(name)
    with pytest.raises(ValueError, match=message):
        choose(backend, dataclasses.replace(CASE, **case))


def test_an_unknown_backend_is_refused_with_the_list(unchecked_shapes):
    with pytest.raises(ValueError, match="must be auto or one of xla, xla_dot, cudnn, splash, got 'flash'"):
        choose("flash", CASE)


def test_auto_reads_the_case_off_the_arguments(platform):
    platform("tpu")
    arrays = draw((1, 128, 1, 8), (1, 128, 1, 8), (1, 128, 1, 8))
    ones = jnp.ones((1, 128), jnp.int32)
    for options in ({"window": jnp.int32(3)}, {"start": jnp.int32(0)}, {"key_segment_ids": ones, "segment_ids": ones}):
        expected = attention(*arrays, backend="xla", **options)
        np.testing.assert_array_equal(attention(*arrays, **options), expected)
        with pytest.raises(ValueError, match="must be one of xla, xla_dot here, got 'splash'"):
            attention(*arrays, backend="splash", **options)


def test_which_backend_runs_is_logged_once(caplog):
    attentions._log_choice.cache_clear()
    with caplog.at_level(logging.INFO, logger="jaxkd.models.attention"):
        for _ in range(2):
            choose("auto", CASE)
            choose("xla_dot", CASE)
    assert [record.getMessage() for record in caplog.records] == [
        "attention runs on xla (auto, on cpu)",
        "attention runs on xla_dot (as asked for)",
    ]
