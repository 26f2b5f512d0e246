"""Events with one logit each: cross entropy and divergence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.special import expit

from jaxkd.losses import (
    ForwardKL,
    bernoulli_divergence,
    binary_cross_entropy,
    binary_divergence,
    cross_entropy,
    forward_kl,
    masked_mean,
)
from tests.losses.compiled import assert_equals_finite_differences, compiled

SHAPE = (8, 6)
LARGE = 1e4
TINY = float(np.finfo(np.float32).tiny)


def logits(seed, scale=5.0, dtype=np.float32):
    return (np.random.default_rng(seed).normal(size=SHAPE) * scale).astype(np.float32).astype(dtype)


def shares(seed, dtype=np.float32):
    """Targets in [0, 1], both ends among them."""
    drawn = np.random.default_rng(seed).uniform(-0.3, 1.3, SHAPE).clip(0, 1)
    return drawn.astype(np.float32).astype(dtype)


def divergence(student, teacher, temperature=1.0):
    return compiled(bernoulli_divergence, temperature=temperature)(student, teacher)


def entropy(logits, targets):
    return compiled(binary_cross_entropy)(logits, targets)


def exact_entropy(logits, targets):
    """By definition, in float64."""
    z, t = (np.asarray(one, np.float64) for one in (logits, targets))
    return t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)


def exact_divergence(student, teacher, temperature=1.0):
    """By definition, in float64: the sum over both outcomes of p (log p - log q)."""
    s, t = (np.asarray(one, np.float64) / temperature for one in (student, teacher))
    return sum(expit(x * t) * (np.logaddexp(0, -x * s) - np.logaddexp(0, -x * t)) for x in (1, -1))


def test_hand_values():
    student = np.zeros(SHAPE, np.float32)
    teacher = np.full(SHAPE, np.log(3), np.float32)  # 3/4 against 1/2
    np.testing.assert_allclose(divergence(student, teacher)[0], 0.75 * np.log(1.5) + 0.25 * np.log(0.5), rtol=1e-6)
    np.testing.assert_allclose(entropy(teacher, student)[0], -np.log(0.25), rtol=1e-6)  # t = 0
    np.testing.assert_allclose(entropy(teacher, student + 1)[0], -np.log(0.75), rtol=1e-6)
    np.testing.assert_allclose(entropy(student, student + 0.5)[0], np.log(2), rtol=1e-6)
    np.testing.assert_allclose(divergence(student, 2 * teacher, 2.0)[0], divergence(student, teacher)[0], rtol=1e-6)


def test_cross_entropy_equals_float64_numpy():
    z, t = logits(0), shares(1)
    np.testing.assert_allclose(entropy(z, t)[0], exact_entropy(z, t), rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_equals_float64_numpy(temperature):
    student, teacher = logits(2), logits(3)
    found = divergence(student, teacher, temperature)[0]
    np.testing.assert_allclose(found, exact_divergence(student, teacher, temperature), rtol=5e-6, atol=2e-7)


def test_cross_entropy_is_that_of_two_classes():
    z, t = logits(4), (shares(5) > 0.5)
    both = jnp.stack([jnp.zeros(SHAPE), jnp.asarray(z)], axis=-1)
    found = binary_cross_entropy(jnp.asarray(z), jnp.asarray(t))
    np.testing.assert_allclose(found, cross_entropy(both, jnp.asarray(t, int)), rtol=1e-5, atol=1e-6)
    for kind in (np.int32, np.uint8, np.float32):
        np.testing.assert_array_equal(binary_cross_entropy(jnp.asarray(z), jnp.asarray(t, kind)), found)


def test_divergence_is_the_cross_entropy_less_the_entropy_and_zero_between_equals():
    with jax.enable_x64(True):
        student, teacher = (jnp.asarray(logits(seed), np.float64) for seed in (6, 7))
        found = bernoulli_divergence(student, teacher)
        p = jax.nn.sigmoid(teacher)
        expected = binary_cross_entropy(student, p) - binary_cross_entropy(teacher, p)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert (found > 0).all()
        np.testing.assert_array_equal(bernoulli_divergence(student, student), 0)
        np.testing.assert_allclose(bernoulli_divergence(-student, -teacher), found, rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergence_is_the_forward_kl_of_two_outcomes(temperature):
    with jax.enable_x64(True):
        student, teacher = (jnp.asarray(logits(seed), np.float64) for seed in (8, 9))
        both = [jnp.stack([one, jnp.zeros(SHAPE)], axis=-1) for one in (student, teacher)]
        found = bernoulli_divergence(student, teacher, temperature=temperature)
        np.testing.assert_allclose(found, forward_kl(*both, temperature=temperature), rtol=1e-9)


def test_divergence_is_binary_divergence_at_temperature_one_and_does_not_saturate():
    run = functools.partial(binary_divergence, divergence=ForwardKL())
    with jax.enable_x64(True):
        student, teacher = (jnp.asarray(logits(seed), np.float64) for seed in (10, 11))
        sides = [jax.nn.log_sigmoid(one) for one in (student, teacher)]
        np.testing.assert_allclose(run(*sides), bernoulli_divergence(student, teacher), rtol=1e-9, atol=1e-14)
        rooted = run(*sides, temperature=2.0)  # roots of probabilities, not of odds
        assert np.abs(rooted - bernoulli_divergence(student, teacher, temperature=2.0)).max() > 0.1

    def clipped(student):
        return run(jax.nn.log_sigmoid(student), jax.nn.log_sigmoid(jnp.array(-LARGE)))

    value, gradient = jax.value_and_grad(clipped)(jnp.array(LARGE))
    assert value < 20
    assert gradient == 0
    value, gradient = jax.value_and_grad(bernoulli_divergence)(jnp.array(LARGE), jnp.array(-LARGE))
    assert value == LARGE
    assert gradient == 1


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_gradients_equal_their_formulas_and_finite_differences(temperature):
    with jax.enable_x64(True):
        student, teacher = logits(12, dtype=np.float64), logits(13, dtype=np.float64)
        run = compiled(bernoulli_divergence, temperature=temperature)
        value, (gradient, to_teacher) = run(student, teacher)
        expected = (expit(student / temperature) - expit(teacher / temperature)) / temperature
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-15)
        assert_equals_finite_differences(run, student, teacher, rtol=1e-7, atol=1e-9, eps=1e-5)
    assert not to_teacher.any()
    assert value.dtype == gradient.dtype == np.float64


def test_gradient_of_cross_entropy_and_none_to_the_targets():
    with jax.enable_x64(True):
        z, t = logits(14, dtype=np.float64), shares(15, dtype=np.float64)
        value, (gradient, to_targets) = entropy(z, t)
        np.testing.assert_allclose(gradient, expit(z) - t, rtol=1e-12, atol=1e-12)
        assert_equals_finite_differences(entropy, z, t, rtol=1e-7, atol=1e-9, eps=1e-5)
    assert not to_targets.any()
    assert value.dtype == np.float64


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_large_logits_stay_exact_and_their_gradient_useful(temperature):
    ends = np.float32([-LARGE, -100, -30, 0, 30, 100, LARGE])
    student, teacher = (np.resize(one, SHAPE) for one in np.meshgrid(ends, ends[:6]))
    value, (gradient, _) = divergence(student, teacher, temperature)
    # Relative, so that exp(-30) counts too; float32 ends at `tiny`.
    np.testing.assert_allclose(value, exact_divergence(student, teacher, temperature), rtol=5e-6, atol=TINY)
    expected = (expit(np.float64(student) / temperature) - expit(np.float64(teacher) / temperature)) / temperature
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)
    labels = np.float32(teacher > 0)
    value, (gradient, _) = entropy(student, labels)
    np.testing.assert_allclose(value, exact_entropy(student, labels), rtol=1e-6, atol=TINY)
    np.testing.assert_allclose(gradient, expit(np.float64(student)) - labels, rtol=1e-6, atol=1e-6)


def test_certain_sides_cost_nothing_where_right_and_infinity_where_wrong():
    infinite = np.resize(np.float32([-np.inf, np.inf]), SHAPE)
    finite = logits(16)
    value, (gradient, _) = divergence(finite, infinite)
    np.testing.assert_allclose(value, exact_entropy(finite, infinite > 0), rtol=1e-6)
    np.testing.assert_allclose(gradient, expit(finite) - (infinite > 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(divergence(infinite, infinite)[0], 0)
    np.testing.assert_array_equal(divergence(-infinite, infinite)[0], np.inf)
    np.testing.assert_array_equal(entropy(infinite, np.float32(infinite > 0))[0], 0)
    np.testing.assert_array_equal(entropy(infinite, np.float32(infinite < 0))[0], np.inf)


def test_bfloat16_is_computed_in_float32_and_nan_is_not_hidden():
    student, teacher = (logits(seed).astype(jnp.bfloat16) for seed in (17, 18))
    found, _ = divergence(student, teacher)
    assert found.dtype == np.float32
    wide = [np.asarray(one, np.float32) for one in (student, teacher)]
    np.testing.assert_allclose(found, exact_divergence(*wide), rtol=5e-6, atol=2e-7)
    found, _ = entropy(student, shares(19))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact_entropy(wide[0], shares(19)), rtol=1e-6)
    for side in (0, 1):
        sides = [logits(20), shares(21)]
        sides[side][0, 0] = np.nan
        for run in (divergence, entropy):
            value = run(*sides)[0]
            assert np.isnan(value[0, 0])
            assert not np.isnan(value.ravel()[1:]).any()


@pytest.mark.parametrize("function", [bernoulli_divergence, binary_cross_entropy])
def test_what_a_mask_leaves_out_does_not_matter(function):
    first, second, mask = logits(22), shares(23), np.arange(48).reshape(SHAPE) % 3 > 0

    def mean(first, second, *, mask):
        return masked_mean(function(jnp.where(mask, first, 0.0), second), mask)

    expected, found = (
        compiled(mean)(np.where(mask, first, np.float32(filling)), second, mask=mask) for filling in (0, np.nan)
    )
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1][0], expected[1][0])
    assert not found[1][0][~mask].any()


@pytest.mark.parametrize("function", [bernoulli_divergence, binary_cross_entropy])
def test_transforms_and_eight_devices_change_nothing(function):
    sides = logits(24), shares(25)
    expected = function(*map(jnp.asarray, sides))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put(sides, NamedSharding(mesh, PartitionSpec("data")))
    run = divergence if function is bernoulli_divergence else entropy
    for arrays in (sides, placed):
        np.testing.assert_allclose(run(*arrays)[0], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(jax.jit(jax.vmap(function))(*sides), expected, rtol=1e-5, atol=1e-7)


def test_other_shapes_and_temperatures_are_refused(unchecked_shapes):
    first, second = jnp.asarray(logits(26)), jnp.asarray(shares(27))
    with pytest.raises(ValueError, match=r"teacher_logits must have the shape of student_logits, got \(6,\) and \(8"):
        bernoulli_divergence(first, second[0])
    for temperature in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}\."):
            bernoulli_divergence(first, second, temperature=temperature)
    with pytest.raises(
        ValueError, match=r"targets must have the shape of logits, got \(6,\) and \(8, 6\).*single channel of logits"
    ):
        binary_cross_entropy(first, second[0])


@pytest.mark.slow
def test_equal_those_of_torch():
    torch = pytest.importorskip("torch")
    student, teacher, targets = logits(28), logits(29), shares(30)
    wide = {name: torch.tensor(one, dtype=torch.float64) for name, one in (("s", student), ("t", teacher))}
    z = wide["s"].clone().requires_grad_()
    expected = torch.nn.BCEWithLogitsLoss(reduction="none")(z, torch.tensor(targets, dtype=torch.float64))
    expected.sum().backward()
    value, (gradient, _) = entropy(student, targets)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-5, atol=1e-6)
    for temperature in (1.0, 4.0):
        z = wide["s"].clone().requires_grad_()
        bernoulli = torch.distributions.Bernoulli
        expected = torch.distributions.kl_divergence(
            bernoulli(logits=wide["t"] / temperature), bernoulli(logits=z / temperature)
        )
        expected.sum().backward()
        value, (gradient, _) = divergence(student, teacher, temperature)
        np.testing.assert_allclose(value, expected.detach().numpy(), rtol=5e-6, atol=2e-7)
        np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-5, atol=1e-6)
