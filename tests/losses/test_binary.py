"""Two probabilities of one event, compared."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxkd.losses import ForwardKL, JensenShannon, ReverseKL, TotalVariation, binary_divergence, forward_kl, masked_mean
from tests.losses.compiled import assert_equals_finite_differences, compiled

DIVERGENCES = [ForwardKL(), ReverseKL(), TotalVariation(), JensenShannon(beta=0.3)]
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda one: type(one).__name__)


def log_probs(seed=0, least=-30.0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(least, -0.05, (8, 6)).astype(np.float32).astype(dtype) for _ in range(2))


def loss(student, teacher, divergence=DIVERGENCES[0], temperature=1.0):
    return compiled(binary_divergence, divergence=divergence, temperature=temperature)(student, teacher)


def exact(divergence, student, teacher, temperature):
    """By definition, in float64."""
    b, a = (np.exp(np.asarray(one, np.float64) / temperature) for one in (student, teacher))

    def kl(x, y):
        return x * np.log(x / y) + (1 - x) * np.log((1 - x) / (1 - y))

    match divergence:
        case ForwardKL():
            return kl(a, b)
        case ReverseKL():
            return kl(b, a)
        case TotalVariation():
            return np.abs(a - b)
        case JensenShannon(beta=beta):
            mixed = beta * a + (1 - beta) * b
            return beta * kl(a, mixed) + (1 - beta) * kl(b, mixed)


def test_hand_value():
    nats, _ = compiled(binary_divergence, divergence=ForwardKL())(*np.log(np.float32([[0.5], [0.75]])))
    np.testing.assert_allclose(nats, [0.75 * np.log(1.5) + 0.25 * np.log(0.5)], rtol=1e-6)


@every_divergence
@pytest.mark.parametrize("temperature", [1.0, 100.0])
def test_equals_float64_numpy(divergence, temperature):
    student, teacher = log_probs(1)
    found = temperature * loss(student, teacher, divergence, temperature)[0]
    expected = temperature * exact(divergence, student, teacher, temperature)
    # Summands near 1 / temperature cancel, and are rounded at 1.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 + temperature * 2**-23)


def test_is_the_divergence_of_two_outcomes_and_zero_between_equals():
    sides = log_probs(2, least=-3.0, dtype=np.float64)
    logits = [np.stack([one, np.log1p(-np.exp(one))], axis=-1) for one in sides]
    with jax.enable_x64(True):
        np.testing.assert_allclose(loss(*sides)[0], compiled(forward_kl)(*logits)[0], rtol=1e-12)
        for divergence in DIVERGENCES:
            np.testing.assert_allclose(loss(sides[0], sides[0], divergence)[0], 0, atol=1e-15)


def test_tends_to_its_limit_in_the_temperature():
    student, teacher = log_probs(3)
    s, t = (-one.astype(np.float64) for one in (student, teacher))
    limit = s - t + t * np.log(t / s)
    gaps = [
        np.abs(temperature * loss(student, teacher, temperature=temperature)[0] - limit).max()
        for temperature in (1e2, 1e3, 1e4)
    ]
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2]
    assert gaps[2] < 0.1  # it falls as s^2 / temperature


@every_divergence
def test_gradient_equals_finite_differences_and_none_reaches_the_teacher(divergence):
    run = compiled(binary_divergence, divergence=divergence, temperature=100.0)
    sides = log_probs(4, dtype=np.float64)
    with jax.enable_x64(True):
        assert_equals_finite_differences(run, *sides, rtol=1e-6, atol=1e-11, eps=1e-5)
        value, (_, to_teacher) = run(*sides)
    assert not to_teacher.any()
    assert value.dtype == np.float64


@every_divergence
@pytest.mark.parametrize("temperature", [1.0, 100.0])
def test_certain_and_impossible_events_have_a_finite_cost_and_gradient(divergence, temperature):
    ends = np.float32([0, -1e-9, -1, -50, -1e4])
    student, teacher = (np.resize(one, (8, 6)) for one in np.meshgrid(ends, ends))
    value, (gradient, _) = loss(student, teacher, divergence, temperature)
    if isinstance(divergence, ReverseKL) or temperature > 1:
        assert not np.isnan(value).any()
    assert not np.isnan(gradient).any()


def test_bfloat16_is_compared_in_float32():
    found, _ = loss(*(np.zeros((8, 6), jnp.bfloat16) for _ in range(2)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, 0)
    sides = [one.astype(jnp.bfloat16) for one in log_probs(8)]
    np.testing.assert_allclose(loss(*sides)[0], exact(DIVERGENCES[0], *sides, 1.0), rtol=1e-5, atol=1e-6)


def test_what_a_mask_leaves_out_does_not_matter():
    (student, teacher), mask = log_probs(5), np.arange(48).reshape(8, 6) % 3 > 0

    def mean(student, teacher, *, mask):
        return masked_mean(binary_divergence(student, teacher, divergence=ForwardKL()), mask)

    expected, found = (
        compiled(mean)(np.where(mask, student, np.float32(filling)), teacher, mask=mask) for filling in (0, -7)
    )
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1][0], expected[1][0])
    assert not found[1][0][~mask].any()


def test_transforms_and_eight_devices_change_nothing():
    student, teacher = log_probs(6)
    run = functools.partial(binary_divergence, divergence=ForwardKL(), temperature=100.0)
    expected = run(jnp.asarray(student), jnp.asarray(teacher))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = jax.device_put((student, teacher), NamedSharding(mesh, PartitionSpec("data")))
    for sides in ((student, teacher), placed):
        np.testing.assert_allclose(loss(*sides, temperature=100.0)[0], expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(student, teacher), expected, rtol=1e-5, atol=1e-8)


def test_other_shapes_and_temperatures_are_refused(unchecked_shapes):
    student, teacher = log_probs(7)
    message = r"teacher_log_probs must have the shape of student_log_probs, got \(6,\) and \(8, 6\)"
    with pytest.raises(ValueError, match=message):
        binary_divergence(student, teacher[0], divergence=ForwardKL())
    with pytest.raises(ValueError, match=r"temperature must be > 0, got 0\.0"):
        binary_divergence(student, teacher, divergence=ForwardKL(), temperature=0.0)
