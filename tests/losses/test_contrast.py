"""A student against what a model of preferences and its opposite make together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.test_util import check_grads

from jaxkd.kernels import ContrastChunk, VocabTile, head_logits
from jaxkd.losses import linear_contrast
from jaxkd.records import Head, Hiddens
from jaxkd.typing import DATA, FSDP, TENSOR
from tests.kernels.cases import hiddens, lengthened, with_head, with_values
from tests.memory import assert_never_as_large_as_the_logits

KERNELS = {"token_chunk": ContrastChunk(chunk=4), "vocab_tile": VocabTile(tile=5)}
every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
every_implementation = pytest.mark.parametrize(
    "implementation", ["reference", *KERNELS.values()], ids=["reference", *KERNELS]
)
OPTIONS = {
    "adaptive": {"scale": 20.0, "reward": "contrastive"},
    "adaptive, vanilla": {"scale": 3.0, "floor": 0.2, "reward": "vanilla"},
    "constant": {"scale": 0.0, "floor": 1.5, "beta": 0.3},
    "theorem 1": {"scale": 0.0, "floor": 0.4, "reward": "vanilla"},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def models(seed=0, **options):
    """Student, model of preferences and its opposite, of unequal widths; the last two are alike."""
    first = hiddens(seed + 1, 6, bias=True, **options)
    rng = np.random.default_rng(seed)
    moved = jnp.asarray(first.values + 0.3 * rng.normal(size=first.values.shape), jnp.float32)
    return hiddens(seed, 4, **options), first, with_values(first, moved)


def weights(seed=0, tokens=(3, 5)):
    rng = np.random.default_rng(seed + 200)
    return jnp.asarray((rng.random(tokens) < 0.7) * rng.uniform(0.1, 1, tokens), jnp.float32)


def exact(student, first, second, weights, *, scale, floor=1e-3, beta=0.1, reward="contrastive"):
    """By definition, in float64: the total, and nats, distance and strength of each position."""
    z_q, z_1, z_2 = (np.asarray(head_logits(one), np.float64)[..., :13] for one in (student, first, second))

    def log_softmax(z):
        z = z - z.max(-1, keepdims=True)
        return z - np.log(np.exp(z).sum(-1, keepdims=True))

    distance = np.abs(np.exp(log_softmax(z_1)) - np.exp(log_softmax(z_2))).sum(-1) / 2 * (scale > 0)
    strength = scale * distance + floor
    alpha = strength[..., None]
    mixed = z_1 + alpha * (z_1 - z_2) if reward == "contrastive" else alpha * z_1 + (1 - alpha) * z_2
    log_q = log_softmax(z_q)
    nats = (np.exp(log_q) * (log_q - log_softmax(mixed))).sum(-1)
    return (np.asarray(weights, np.float64) * beta / strength * nats).sum(), nats, distance, strength


def value_and_gradient(student, *others, **options):
    def total(student):
        loss = linear_contrast(student, *others, **options)
        return loss.total, loss

    (_, loss), gradient = jax.value_and_grad(total, has_aux=True)(student)
    return loss, gradient


def assert_close(found, expected, rtol=1e-4, atol=1e-5):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def test_hand_values():
    def one(probs):
        weight = jnp.log(jnp.array(probs))[:, None]
        return Hiddens(values=jnp.ones((1, 1)), head=Head(weight=weight, vocab_size=2))

    def run(**options):
        return linear_contrast(
            one([0.5, 0.5]), one([0.75, 0.25]), one([0.25, 0.75]), weights=jnp.ones(1), beta=0.2, **options
        )

    contrastive = run(scale=1.0, floor=0.5)
    assert (float(contrastive.distance[0]), float(contrastive.strength[0])) == (0.5, 1.0)
    nats = 0.5 * np.log(0.5 / (27 / 28)) + 0.5 * np.log(0.5 / (1 / 28))
    np.testing.assert_allclose(contrastive.divergence, [nats], rtol=1e-5)
    np.testing.assert_allclose(contrastive.total, 0.2 * nats, rtol=1e-5)
    halfway = run(scale=0.0, floor=0.5, reward="vanilla")
    np.testing.assert_allclose(halfway.divergence, [0.0], atol=1e-6)


@every_implementation
@every_option
def test_equals_float64_numpy(implementation, options):
    sides, given = models(1), weights(1)
    total, *columns = exact(*sides, given, **options)
    loss, gradient = value_and_gradient(*sides, weights=given, implementation=implementation, **options)
    np.testing.assert_allclose(loss.total, total, rtol=1e-4)
    counted = np.asarray(given) != 0
    for found, expected in zip((loss.divergence, loss.distance, loss.strength), columns, strict=True):
        np.testing.assert_allclose(np.asarray(found)[counted], expected[counted], rtol=1e-4, atol=1e-5)
    expected = value_and_gradient(*sides, weights=given, implementation="reference", **options)[1]
    assert_close(gradient, expected)


@pytest.mark.parametrize("reward", ["contrastive", "vanilla"])
def test_each_position_maximises_a_reward_under_a_kl(reward):
    """beta KL(q || teacher) = -(E_q[r] - beta KL(q || base)) + beta log Z, for any q; beta = beta_0 / strength."""
    with jax.enable_x64(True):
        sides = [jax.tree.map(lambda leaf: leaf.astype(jnp.float64), side) for side in models(2)]
        log_q, log_1, log_2 = (jax.nn.log_softmax(head_logits(side)[..., :13]) for side in sides)
        strength, beta_0 = 0.7, 0.1
        beta = beta_0 / strength
        base = log_1 if reward == "contrastive" else log_2
        rewards = beta_0 * (log_1 - log_2)
        log_z = jax.nn.logsumexp(base + rewards / beta, axis=-1)
        q = jnp.exp(log_q)
        objective = jnp.sum(q * rewards, -1) - beta * jnp.sum(q * (log_q - base), -1)
        loss = linear_contrast(*sides, weights=jnp.ones((3, 5)), scale=0.0, floor=strength, beta=beta_0, reward=reward)
        np.testing.assert_allclose(beta * loss.divergence, -objective + beta * log_z, rtol=1e-9, atol=1e-9)


@every_implementation
def test_equal_models_leave_the_first_and_the_floor(implementation):
    student, first, _ = models(3)
    loss = linear_contrast(student, first, first, weights=weights(3), scale=20.0, implementation=implementation)
    counted = np.asarray(weights(3)) != 0
    np.testing.assert_allclose(loss.distance, 0, atol=1e-6)
    np.testing.assert_allclose(loss.strength, 1e-3, rtol=1e-2)
    alone = exact(student, first, first, weights(3), scale=0.0, floor=1.0)[1]
    np.testing.assert_allclose(np.asarray(loss.divergence)[counted], alone[counted], rtol=1e-3)


def test_gradient_equals_finite_differences_and_none_reaches_the_models():
    with jax.enable_x64(True):
        student, first, second = (jax.tree.map(lambda leaf: leaf.astype(jnp.float64), side) for side in models(4))

        def total(values, first=first, second=second):
            given = weights(4).astype(jnp.float64)
            return linear_contrast(with_values(student, values), first, second, weights=given, scale=5.0).total

        check_grads(jax.jit(total), (student.values,), order=1, modes=["rev"], rtol=1e-5)
        gradients = jax.grad(total, (1, 2))(student.values, first, second)
        assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradients))


@every_implementation
def test_what_has_no_weight_may_be_nan_and_no_weight_gives_zero(implementation):
    sides, given = models(5), weights(5)
    options = {"scale": 5.0, "implementation": implementation}
    expected = value_and_gradient(*sides, weights=given, **options)
    spoilt = [with_values(side, jnp.where((given == 0)[..., None], jnp.nan, side.values)) for side in sides]
    found = value_and_gradient(*spoilt, weights=given, **options)
    np.testing.assert_allclose(found[0].total, expected[0].total, rtol=1e-5)
    assert_close(found[1], expected[1])
    nothing = value_and_gradient(*spoilt, weights=jnp.zeros_like(given), **options)
    assert nothing[0].total == 0
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(nothing[1]))


@every_implementation
def test_large_logits_stay_finite_and_heads_may_be_padded(implementation):
    sides, given = models(6), weights(6)
    options = {"scale": 20.0, "implementation": implementation}
    far = [with_values(side, 1e3 * side.values) for side in sides]
    loss, gradient = value_and_gradient(*far, weights=given, **options)
    assert np.isfinite(loss.total)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    student, first, second = sides
    padded = value_and_gradient(student, lengthened(first, 21), second, weights=given, **options)
    assert_close(padded[1], value_and_gradient(*sides, weights=given, **options)[1])


def test_bfloat16_is_computed_in_float32():
    half = [jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), side) for side in models(7)]
    full = [jax.tree.map(lambda leaf: leaf.astype(jnp.float32), side) for side in half]
    found, expected = (linear_contrast(*sides, weights=weights(7), scale=5.0) for sides in (half, full))
    assert found.total.dtype == jnp.float32
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-2)


@every_kernel
def test_transforms_change_nothing(kernel):
    sides, given = models(8), weights(8)
    options = {"scale": 5.0, "implementation": kernel}
    expected = value_and_gradient(*sides, weights=given, **options)
    jitted = jax.jit(lambda *sides: value_and_gradient(*sides, weights=given, **options))(*sides)
    assert_close(jitted, expected)
    heads = [side.head for side in sides]

    def rows(weights, *values):
        pairs = zip(values, heads, strict=True)
        return linear_contrast(*(Hiddens(values=v, head=h) for v, h in pairs), weights=weights, **options).divergence

    mapped = jax.vmap(rows)(given, *(side.values for side in sides))
    counted = np.asarray(given) != 0
    np.testing.assert_allclose(
        np.asarray(mapped)[counted], np.asarray(expected[0].divergence)[counted], rtol=1e-4, atol=1e-5
    )


@every_kernel
@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 1, 8)], ids=str)
def test_eight_devices_equal_one(kernel, shape):
    tokens = (3, 7)
    sides, given = models(9, tokens=tokens, rows=24), weights(9, tokens)

    def run(*sides):
        loss, gradient = value_and_gradient(*sides, weights=given, scale=5.0, implementation=kernel)
        return loss.total, gradient

    expected = run(*sides)
    with jax.set_mesh(jax.make_mesh(shape, (DATA, FSDP, TENSOR), axis_types=(AxisType.Auto,) * 3)):
        found = jax.jit(run)(*sides)
    assert_close(found, expected)


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
    message = r"second must have the positions and the vocabulary of student, \(3, 5\) and 13, got \(3, 5\) and 12"
    with pytest.raises(ValueError, match=message):
        linear_contrast(student, first, with_head(second, vocab_size=12), weights=given, scale=1.0)
    cases = [
        ({"scale": -1.0}, r"scale must be >= 0 and finite, got -1\.0"),
        ({"floor": 0.0}, r"floor must be > 0 and finite, got 0\.0"),
        ({"beta": float("inf")}, r"beta must be > 0 and finite, got inf"),
        ({"reward": "both"}, r"reward must be one of vanilla, contrastive, got 'both'"),
        ({"implementation": "fast"}, r"implementation must be one of token_chunk, vocab_tile, reference, or a kernel"),
        ({"weights": given[0]}, r"weights must have the leading shape .* \(3, 5\), got \(5,\)"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            linear_contrast(student, first, second, **({"weights": given, "scale": 1.0} | changes))
