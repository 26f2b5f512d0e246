import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.models.transformer import attention as attentions
from jaxkd.models.transformer.attention import Case, attention, choose, mix, scores, visible
from tests.models import tiny

CASE = Case(
    dtype=jnp.bfloat16, head_dim=64, length=128, cached=False, segments=False, softcap=False, static_window=True
)


STATIC = ("window", "softcap", "scale", "backend")
compiled = jax.jit(attention, static_argnames=STATIC)
with_traced_window = jax.jit(attention, static_argnames=STATIC[1:])


def draw(*shapes, dtype=np.float32):
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype(dtype) for shape in shapes]


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
        monkeypatch.setattr(attentions, "platform", lambda: name)
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
    ours = (with_traced_window if traced else compiled)(
        *arrays,
        segment_ids=key_segments[:, 3:8],
        key_segment_ids=key_segments,
        start=np.int32(3),
        window=np.int32(4) if traced else 4,
        **options,
    )
    np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("window", [0, 3, np.int32(3)], ids=["all", "static", "traced"])
@pytest.mark.parametrize("segmented", [False, True])
def test_a_sequence_in_blocks_equals_its_formula_in_float64(segmented, window, monkeypatch):
    monkeypatch.setattr(attentions, "QUERY_BLOCK", 2)
    monkeypatch.setattr(attentions, "MOST_QUERY_BLOCKS", 3)
    arrays = draw((2, 11, 4, 6), (2, 11, 2, 6), (2, 11, 2, 6))  # blocks of 4, 4 and 3 queries
    options = {"softcap": 1.5, "scale": 0.7}
    segments = np.repeat([[1, 2, 3], [1, 1, 0]], [3, 6, 2], axis=1) if segmented else np.ones((2, 11), int)
    expected = expected_in_float64(
        *arrays, segments=segments, key_segments=segments, start=0, window=int(window) or 11, **options
    )
    given = jnp.asarray(segments) if segmented else None

    def in_blocks(window, *arrays):
        return attention(*arrays, segment_ids=given, window=window, **options)

    def whole(window, *arrays):
        queries, keys, values = arrays
        return mix(scores(queries, keys, visible(11, 11, segment_ids=given, window=window), **options), values)

    def value_and_gradient(function):
        def total(*arrays):
            mixed = function(*arrays)
            return jnp.sum(mixed**2), mixed

        static = () if isinstance(window, np.integer) else (0,)
        gradient = jax.value_and_grad(total, argnums=(1, 2, 3), has_aux=True)
        (_, mixed), gradients = jax.jit(gradient, static_argnums=static)(window, *arrays)
        return mixed, gradients

    mixed, gradients = value_and_gradient(in_blocks)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
    for ours, reference in zip(gradients, value_and_gradient(whole)[1], strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-5)


def test_keys_that_no_query_of_a_block_sees_are_not_multiplied():
    def multiplied(window):
        lowered = compiled.lower(*draw((1, 1024, 1, 8), (1, 1024, 1, 8), (1, 1024, 1, 8)), window=window)
        return lowered.cost_analysis()["flops"] / (4 * 1024 * 1024 * 8)

    # Eight blocks: 36 of the 64 pairs of blocks; with a window of one block, each block and one before it.
    assert 36 / 64 < multiplied(0) < 1
    assert multiplied(128) < multiplied(0) / 2


def test_what_is_seen_by_hand():
    windowed = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]

    @jax.jit
    def seen(segments, two, none):
        return (
            (visible(4, 4, segment_ids=segments), [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]),
            (visible(4, 4, window=2), windowed),
            (visible(4, 4, window=two), windowed),
            (visible(4, 4, window=none), np.tri(4)),
            (visible(4, 4), np.tri(4)),
            (visible(1, 4, start=2, window=2), [[0, 1, 1, 0]]),
        )

    for found, expected in seen(np.array([[1, 1, 1, 2]]), np.int32(2), np.int32(0)):
        np.testing.assert_array_equal(found[0], expected)


def test_a_query_that_sees_nothing_gets_the_mean_and_a_finite_gradient():
    queries, keys, values = draw((1, 1, 1, 2), (1, 3, 1, 2), (1, 3, 1, 2))

    def total(queries, keys, values):
        mixed = mix(scores(queries, keys, jnp.zeros((1, 1, 3), bool), softcap=None, scale=1.0), values)
        return mixed.sum(), mixed

    grads, mixed = jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(queries, keys, values)
    np.testing.assert_allclose(mixed[0, 0, 0], values[0].mean(0)[0], rtol=1e-5)
    assert all(np.isfinite(grad).all() for grad in grads)


def test_large_scores_in_bfloat16_stay_finite_and_choose_the_largest():
    queries = np.full((1, 3, 1, 4), 100.0, jnp.bfloat16)
    keys = np.tile(np.array([100, 200, 190], jnp.bfloat16)[None, :, None, None], (1, 1, 1, 4))
    values = np.tile(np.array([5, 6, 7], jnp.bfloat16)[None, :, None, None], (1, 1, 1, 4))
    mixed = np.asarray(compiled(queries, keys, values))
    assert mixed.dtype == jnp.bfloat16
    np.testing.assert_array_equal(mixed[0, -1, 0], [6, 6, 6, 6])


@functools.cache
def _differentiated(backend, window, **options):
    def total(queries, keys, values, traced, segment_ids):
        given = options | {"window": traced if window is None else window}
        mixed = attention(queries, keys, values, segment_ids=segment_ids, backend=backend, **given)
        return jnp.sum(mixed.astype(jnp.float32) ** 2), mixed

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))


def value_and_gradients(backend, arrays, *, window=0, segment_ids=None, **options):
    static = window if isinstance(window, int) else None
    (_, mixed), grads = _differentiated(backend, static, **options)(*arrays, np.int32(window), segment_ids)
    return mixed, grads


SEGMENTS = np.repeat(np.array([[1, 2, 4, 0], [1, 1, 1, 1]], np.int32), [50, 40, 30, 8], axis=1)
BACKEND_CASES = [
    ("xla_dot", {}),
    ("xla_dot", {"segment_ids": SEGMENTS}),
    ("xla_dot", {"segment_ids": SEGMENTS, "window": 20, "scale": 0.3}),
    ("xla_dot", {"window": np.int32(20)}),
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
        ours, theirs = np.asarray(ours, np.float32), np.asarray(theirs, np.float32)
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("gemma3", "xla"),
        ("llama", "xla_dot"),
        ("gemma3", "splash"),
        pytest.param("llama", "splash", marks=pytest.mark.slow),
    ],
)
def test_packed_rows_equal_single_ones_on_every_backend(name, backend, platform):
    config = tiny.golden_config(name)
    params, tokens = tiny.random_params(config), tiny.random_tokens(config, 1, 128)
    # Of a row's first tokens alone the logits are the same: nothing later is seen.
    bounds = [(0, 50), (50, 90)]
    segment_ids = np.repeat([[1, 2, 0]], [50, 40, 38], axis=1).astype(np.int32)
    positions = np.concatenate([np.arange(50), np.arange(40), np.zeros(38)])[None].astype(np.int32)
    # The kernel has nothing wider than float32, `jax.nn` a softmax in it.
    dtype = np.float32 if backend == "splash" else np.float64
    platform("tpu")
    with jax.enable_x64(True):
        exact = _alone(config, params, tokens, np.float64)
    with jax.enable_x64(dtype == np.float64):
        cast = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        packed = np.asarray(tiny.logits(config, cast, tokens, positions, segment_ids, backend=backend))
    assert packed.dtype == dtype
    assert np.isfinite(packed).all()
    # As far from the exact logits as float32 takes rows that are alone, which round in another order: twice at most.
    rounding = np.abs(_alone(config, params, tokens, np.float32) - exact).max(axis=(1, 2))
    for row, (start, stop) in enumerate(bounds):
        single = exact[row, : stop - start]
        tolerance = 1e-13 * np.abs(single).max() if backend == "xla" else 2 * rounding[row]
        np.testing.assert_allclose(packed[0, start:stop], single, rtol=0, atol=tolerance)


def _alone(config, params, tokens, dtype):
    """Return the logits of two rows of 50 tokens, by the reference."""
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    return np.asarray(tiny.logits(config, params, tokens[0, :100].reshape(2, 50), backend="xla"))


def test_the_kernel_runs_on_each_device_for_its_own_rows_and_heads(platform):
    arrays = draw((4, 128, 4, 8), (4, 128, 2, 8), (4, 128, 2, 8))
    options = {"segment_ids": np.repeat(np.array([[1, 2]], np.int32), [100, 28], axis=1).repeat(4, 0), "window": 30}
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
    ones = np.ones((1, 128), np.int32)
    for options in ({"window": np.int32(3)}, {"start": np.int32(0)}, {"key_segment_ids": ones, "segment_ids": ones}):
        attend = with_traced_window if "window" in options else compiled
        np.testing.assert_array_equal(attend(*arrays, **options), attend(*arrays, backend="xla", **options))
        with pytest.raises(ValueError, match="must be one of xla, xla_dot here, got 'splash'"):
            attend(*arrays, backend="splash", **options)


def test_which_backend_runs_is_logged_once(caplog):
    attentions._log_choice.cache_clear()
    with caplog.at_level(logging.INFO, logger="jaxkd.models.transformer.attention"):
        for _ in range(2):
            choose("auto", CASE)
            choose("xla_dot", CASE)
    assert [record.getMessage() for record in caplog.records] == [
        "attention runs on xla (auto, on cpu)",
        "attention runs on xla_dot (as asked for)",
    ]
