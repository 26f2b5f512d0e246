"""A student against what a model of preferences and its opposite make together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxkd.kernels import ContrastChunk, VocabTile
from jaxkd.losses import linear_contrast
from jaxkd.records import Head, Hiddens
from jaxkd.typing import DATA, FSDP, TENSOR
from tests.kernels.cases import hiddens, lengthened, unless, with_head, with_values
from tests.losses.compiled import assert_equals_finite_differences
from tests.memory import assert_never_as_large_as_the_logits

# Sizes that divide neither the 21 tokens nor the 24 rows of a head.
TOKENS, ROWS = (3, 7), 24
KERNELS = {"token_chunk": ContrastChunk(chunk=4), "vocab_tile": VocabTile(tile=5)}
IMPLEMENTATIONS = {"reference": "reference", **KERNELS}
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
OPTIONS = {
    "adaptive": {"scale": 20.0, "reward": "contrastive"},
    "adaptive, vanilla": {"scale": 3.0, "floor": 0.2, "reward": "vanilla"},
    "constant": {"scale": 0.0, "floor": 1.5, "beta": 0.3},
    "theorem 1": {"scale": 0.0, "floor": 0.4, "reward": "vanilla"},
}
ADAPTIVE = OPTIONS["adaptive"]
FAST = {
    "reference": OPTIONS.keys(),
    "token_chunk": {"adaptive", "adaptive, vanilla"},
    "vocab_tile": {"adaptive", "theorem 1"},
}


def models(seed=0, dtype=np.float32, **options):
    """Student, model of preferences and its opposite, of unequal widths; the last two are alike."""
    shapes = {"tokens": TOKENS, "rows": ROWS} | options
    first = hiddens(seed + 1, 6, bias=True, **shapes)
    rng = np.random.default_rng(seed)
    moved = np.float32(np.asarray(first.values) + 0.3 * rng.normal(size=first.values.shape))
    sides = hiddens(seed, 4, **shapes), first, with_values(first, moved)
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), sides)


def weights(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed + 200)
    return ((rng.random(TOKENS) < 0.7) * rng.uniform(0.1, 1, TOKENS)).astype(np.float32).astype(dtype)


def logits(side):
    """Logits of the tokens, in float64."""
    head = side.head
    bias = 0 if head.bias is None else np.asarray(head.bias, np.float64)
    z = np.asarray(side.values, np.float64) @ np.asarray(head.weight, np.float64).T + bias
    return z[..., : head.vocab_size]


def log_softmax(z):
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def exact(student, first, second, weights, *, scale, floor=1e-3, beta=0.1, reward="contrastive"):
    """By definition, in float64: the total, and nats, distance and strength of each position."""
    z_q, z_1, z_2 = map(logits, (student, first, second))

    distance = np.abs(np.exp(log_softmax(z_1)) - np.exp(log_softmax(z_2))).sum(-1) / 2 * (scale > 0)
    strength = scale * distance + floor
    alpha = strength[..., None]
    mixed = z_1 + alpha * (z_1 - z_2) if reward == "contrastive" else alpha * z_1 + (1 - alpha) * z_2
    log_q = log_softmax(z_q)
    nats = (np.exp(log_q) * (log_q - log_softmax(mixed))).sum(-1)
    return (np.asarray(weights, np.float64) * beta / strength * nats).sum(), nats, distance, strength


@functools.cache
def jitted(options):
    def total(sides, weights):
        loss = linear_contrast(*sides, weights=weights, **dict(options))
        return loss.total, loss

    def run(sides, weights):
        (_, loss), gradients = jax.value_and_grad(total, has_aux=True)(sides, weights)
        return loss, gradients

    return jax.jit(run)


def value_and_gradients(*sides, weights, **options):
    """The loss, and its gradients to student, first and second."""
    loss, gradients = jitted(tuple(options.items()))(sides, weights)
    return loss, jax.device_get(gradients)


def counted(column, weights):
    return np.asarray(column)[np.asarray(weights) != 0]


def assert_close(found, expected, rtol=1e-4, atol=1e-5):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def test_hand_values():
    def one(probs):
        return Hiddens(
            values=np.ones((1, 1), np.float32), head=Head(weight=np.log(np.float32(probs))[:, None], vocab_size=2)
        )

    sides, given = (one([0.5, 0.5]), one([0.75, 0.25]), one([0.25, 0.75])), np.ones(1, np.float32)
    contrastive, _ = value_and_gradients(*sides, weights=given, beta=0.2, scale=1.0, floor=0.5)
    assert (float(contrastive.distance[0]), float(contrastive.strength[0])) == (0.5, 1.0)
    nats = 0.5 * np.log(0.5 / (27 / 28)) + 0.5 * np.log(0.5 / (1 / 28))
    np.testing.assert_allclose(contrastive.divergence, [nats], rtol=1e-5)
    np.testing.assert_allclose(contrastive.total, 0.2 * nats, rtol=1e-5)
    halfway, _ = value_and_gradients(*sides, weights=given, beta=0.2, scale=0.0, floor=0.5, reward="vanilla")
    np.testing.assert_allclose(halfway.divergence, [0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("implementation", "options"),
    [
        pytest.param(implementation, options, id=f"{name}-{kind}", marks=unless(kind in FAST[name]))
        for name, implementation in IMPLEMENTATIONS.items()
        for kind, options in OPTIONS.items()
    ],
)
def test_equals_float64_numpy(implementation, options):
    sides, given = models(1), weights(1)
    total, *columns = exact(*sides, given, **options)
    loss, gradients = value_and_gradients(*sides, weights=given, implementation=implementation, **options)
    np.testing.assert_allclose(loss.total, total, rtol=1e-4)
    for found, expected in zip((loss.divergence, loss.distance, loss.strength), columns, strict=True):
        np.testing.assert_allclose(counted(found, given), counted(expected, given), rtol=1e-4, atol=1e-5)
    assert_close(gradients, value_and_gradients(*sides, weights=given, implementation="reference", **options)[1])


@pytest.mark.parametrize("name", ["constant", "theorem 1"])
def test_each_position_maximises_a_reward_under_a_kl(name):
    """beta KL(q || teacher) = -(E_q[r] - beta KL(q || base)) + beta log Z, for any q; beta = beta_0 / strength."""
    options = {"beta": 0.1, "reward": "contrastive"} | OPTIONS[name]
    sides, given = models(2, np.float64), np.ones(TOKENS)
    log_q, log_1, log_2 = (log_softmax(logits(side)) for side in sides)
    beta = options["beta"] / options["floor"]
    base = log_1 if options["reward"] == "contrastive" else log_2
    rewards = options["beta"] * (log_1 - log_2)
    log_z = np.log(np.exp(base + rewards / beta).sum(-1))
    q = np.exp(log_q)
    objective = (q * rewards).sum(-1) - beta * (q * (log_q - base)).sum(-1)
    with jax.enable_x64(True):
        loss, _ = value_and_gradients(*sides, weights=given, implementation=KERNELS["token_chunk"], **options)
    np.testing.assert_allclose(beta * np.asarray(loss.divergence), -objective + beta * log_z, rtol=1e-9, atol=1e-9)


@every_implementation
def test_equal_models_leave_the_first_and_the_floor(implementation):
    (student, first, _), given = models(3), weights(3)
    loss, _ = value_and_gradients(student, first, first, weights=given, implementation=implementation, **ADAPTIVE)
    np.testing.assert_allclose(loss.distance, 0, atol=1e-6)
    np.testing.assert_allclose(loss.strength, 1e-3, rtol=1e-2)
    alone = exact(student, first, first, given, scale=0.0, floor=1.0)[1]
    np.testing.assert_allclose(counted(loss.divergence, given), counted(alone, given), rtol=1e-3)


def test_gradient_equals_finite_differences_and_none_reaches_the_models():
    sides, given = models(4, np.float64), weights(4, np.float64)

    def run(*sides):
        loss, gradients = value_and_gradients(*sides, weights=given, implementation=KERNELS["token_chunk"], **ADAPTIVE)
        return loss.total, gradients

    with jax.enable_x64(True):
        assert_equals_finite_differences(run, *sides, rtol=1e-6, atol=1e-9, eps=1e-5)
        _, (_, *others) = run(*sides)
    assert not any(leaf.any() for leaf in jax.tree.leaves(others))


@every_implementation
def test_what_has_no_weight_may_be_nan_and_no_weight_gives_zero(implementation):
    sides, given = models(5), weights(5)
    run = functools.partial(value_and_gradients, implementation=implementation, **ADAPTIVE)
    expected, gradients = run(*sides, weights=given)
    spoilt = [with_values(side, np.where((given == 0)[..., None], np.float32(np.nan), side.values)) for side in sides]
    found, gradients_of_spoilt = run(*spoilt, weights=given)
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-5)
    assert_close(gradients_of_spoilt, gradients)
    nothing, zeros = run(*spoilt, weights=np.zeros_like(given))
    assert nothing.total == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(zeros))


@every_implementation
def test_large_logits_stay_finite_and_heads_may_be_padded(implementation):
    sides, given = models(6), weights(6)
    run = functools.partial(value_and_gradients, weights=given, implementation=implementation, **ADAPTIVE)
    loss, gradients = run(*(with_values(side, np.float32(1e3) * side.values) for side in sides))
    assert np.isfinite(loss.total)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    student, first, second = sides
    padded = run(student, lengthened(first, 29), second)[1]
    assert_close(padded[0], run(*sides)[1][0])


def test_bfloat16_is_computed_in_float32():
    half = models(7, jnp.bfloat16)
    full = jax.tree.map(np.float32, half)
    run = functools.partial(value_and_gradients, weights=weights(7), implementation=KERNELS["token_chunk"], **ADAPTIVE)
    found, expected = (run(*sides)[0] for sides in (half, full))
    assert found.total.dtype == np.float32
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-2)


@every_kernel
def test_transforms_change_nothing(kernel):
    sides, given = jax.tree.map(jnp.asarray, (models(8), weights(8)))
    options = {"implementation": kernel, **ADAPTIVE}
    expected, _ = value_and_gradients(*sides, weights=given, **options)
    assert_close(linear_contrast(*sides, weights=given, **options), expected)
    heads = [side.head for side in sides]

    def rows(weights, *values):
        pairs = zip(values, heads, strict=True)
        return linear_contrast(*(Hiddens(values=v, head=h) for v, h in pairs), weights=weights, **options).divergence

    mapped = jax.jit(jax.vmap(rows))(given, *(side.values for side in sides))
    np.testing.assert_allclose(counted(mapped, given), counted(expected.divergence, given), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "shape"),
    [
        pytest.param(kernel, shape, id=f"{name}-{shape}", marks=unless(shape == fast))
        for (name, kernel), fast in zip(KERNELS.items(), [(2, 2, 2), (1, 1, 8)], strict=True)
        for shape in [(2, 2, 2), (1, 1, 8)]
    ],
)
def test_eight_devices_equal_one(kernel, shape):
    run = functools.partial(value_and_gradients, *models(9), weights=weights(9), implementation=kernel, **ADAPTIVE)
    expected, gradients = run()
    with jax.set_mesh(jax.make_mesh(shape, (DATA, FSDP, TENSOR), axis_types=(AxisType.Auto,) * 3)):
        found, placed_gradients = run()
    assert_close((found.total, placed_gradients), (expected.total, gradients))


@pytest.mark.parametrize("kernel", [ContrastChunk(chunk=32), VocabTile(tile=48)], ids=KERNELS)
def test_stores_no_logits(kernel):
    def side(width):
        head = Head(weight=jax.ShapeDtypeStruct((512, width), jnp.float32), vocab_size=509)
        return Hiddens(values=jax.ShapeDtypeStruct((256, width), jnp.float32), head=head)

    def loss(*sides):
        return linear_contrast(*sides, weights=jnp.ones(256), scale=5.0, implementation=kernel).total

    sides = (side(8), side(16), side(16))
    assert_never_as_large_as_the_logits(loss, *sides, tokens=256, vocabulary=512, sizes=(32, 8, 16))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    (student, first, second), given = models(10), weights(10)
    message = r"second must have the positions and the vocabulary of student, \(3, 7\) and 13, got \(3, 7\) and 12"
    with pytest.raises(ValueError, match=message):
        linear_contrast(student, first, with_head(second, vocab_size=12), weights=given, scale=1.0)
    cases = [
        ({"scale": -1.0}, r"scale must be >= 0 and finite, got -1\.0"),
        ({"floor": 0.0}, r"floor must be > 0 and finite, got 0\.0"),
        ({"beta": float("inf")}, r"beta must be > 0 and finite, got inf"),
        ({"reward": "both"}, r"reward must be one of vanilla, contrastive, got 'both'"),
        ({"implementation": "fast"}, r"implementation must be one of token_chunk, vocab_tile, reference, or a kernel"),
        ({"weights": given[0]}, r"weights must have the leading shape .* \(3, 7\), got \(7,\)"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            linear_contrast(student, first, second, **({"weights": given, "scale": 1.0} | changes))
