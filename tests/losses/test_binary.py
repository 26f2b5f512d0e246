"""Two probabilities of one event, compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.losses import ForwardKL, JensenShannon, ReverseKL, TotalVariation, binary_divergence, forward_kl
from jaxkd.losses.reduce import masked_mean

DIVERGENCES = [ForwardKL(), ReverseKL(), TotalVariation(), JensenShannon(beta=0.3)]
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES, ids=lambda one: type(one).__name__)


def log_probs(seed=0, shape=(4, 6), least=-30.0):
    rng = np.random.default_rng(seed)
    return tuple(jnp.asarray(rng.uniform(least, -0.05, shape), jnp.float32) for _ in range(2))


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
    nats = binary_divergence(jnp.log(jnp.array([0.5])), jnp.log(jnp.array([0.75])), divergence=ForwardKL())
    np.testing.assert_allclose(nats, [0.75 * np.log(1.5) + 0.25 * np.log(0.5)], rtol=1e-6)


@every_divergence
@pytest.mark.parametrize("temperature", [1.0, 100.0])
def test_equals_float64_numpy(divergence, temperature):
    student, teacher = log_probs(1)
    found = temperature * binary_divergence(student, teacher, divergence=divergence, temperature=temperature)
    expected = temperature * exact(divergence, student, teacher, temperature)
    # Summands near 1 / temperature cancel, and are rounded at 1.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 + temperature * 2**-23)


def test_is_the_divergence_of_two_outcomes_and_zero_between_equals():
    student, teacher = log_probs(2, least=-3.0)
    logits = [jnp.stack([one, jnp.log1p(-jnp.exp(one))], axis=-1) for one in (student, teacher)]
    found = binary_divergence(student, teacher, divergence=ForwardKL())
    np.testing.assert_allclose(found, forward_kl(*logits), rtol=1e-5, atol=1e-6)
    for divergence in DIVERGENCES:
        np.testing.assert_allclose(binary_divergence(student, student, divergence=divergence), 0, atol=1e-7)


def test_tends_to_its_limit_in_the_temperature():
    student, teacher = log_probs(3)
    s, t = (-np.asarray(one, np.float64) for one in (student, teacher))
    limit = s - t + t * np.log(t / s)
    gaps = [
        np.abs(
            temperature * binary_divergence(student, teacher, divergence=ForwardKL(), temperature=temperature) - limit
        )
        for temperature in (1e2, 1e3, 1e4)
    ]
    assert gaps[0].max() > 5 * gaps[1].max() > 25 * gaps[2].max()
    np.testing.assert_allclose(gaps[2], 0, atol=0.1)  # it falls as s^2 / temperature


@every_divergence
def test_gradient_equals_finite_differences_and_none_reaches_the_teacher(divergence):
    with jax.enable_x64(True):
        student, teacher = (jnp.asarray(one, jnp.float64) for one in log_probs(4))

        def total(student, teacher=teacher):
            return jnp.sum(100 * binary_divergence(student, teacher, divergence=divergence, temperature=100.0))

        check_grads(jax.jit(total), (student,), order=1, modes=["rev"], rtol=1e-6)
        assert not np.asarray(jax.grad(total, 1)(student, teacher)).any()
        assert total(student).dtype == jnp.float64


def test_certain_and_impossible_events_have_a_finite_cost_and_gradient():
    values = jnp.array([0.0, -1e-9, -1.0, -50.0, -1e4])
    student, teacher = (one.ravel() for one in jnp.meshgrid(values, values))
    for divergence in DIVERGENCES:
        for temperature in (1.0, 100.0):

            def total(student, divergence=divergence, temperature=temperature):
                return jnp.sum(binary_divergence(student, teacher, divergence=divergence, temperature=temperature))

            value, gradient = jax.value_and_grad(total)(student)
            if isinstance(divergence, ReverseKL) or temperature > 1:
                assert not jnp.isnan(value)
            assert not jnp.isnan(gradient).any()
    found = binary_divergence(jnp.zeros(1, jnp.bfloat16), jnp.zeros(1, jnp.bfloat16), divergence=ForwardKL())
    assert found.dtype == jnp.float32 and found[0] == 0


def test_what_a_mask_leaves_out_does_not_matter():
    student, teacher = log_probs(5)
    mask = jnp.arange(24).reshape(4, 6) % 3 > 0

    def total(student, filling):
        filled = jnp.where(mask, student, filling)
        return masked_mean(binary_divergence(filled, teacher, divergence=ForwardKL()), mask)

    expected = jax.value_and_grad(total)(student, 0.0)
    found = jax.value_and_grad(total)(student, -7.0)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_transforms_and_eight_devices_change_nothing():
    student, teacher = log_probs(6, shape=(8, 6))

    def run(student, teacher):
        return binary_divergence(student, teacher, divergence=ForwardKL(), temperature=100.0)

    expected = run(student, teacher)
    np.testing.assert_allclose(jax.jit(run)(student, teacher), expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(jax.vmap(run)(student, teacher), expected, rtol=1e-5, atol=1e-8)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = [jax.device_put(one, NamedSharding(mesh, PartitionSpec("data"))) for one in (student, teacher)]
    np.testing.assert_allclose(jax.jit(run)(*placed), expected, rtol=1e-5, atol=1e-8)


def test_other_shapes_and_temperatures_are_refused(unchecked_shapes):
    student, teacher = log_probs(7)
    message = r"teacher_log_probs must have the shape of student_log_probs, got \(6,\) and \(4, 6\)"
    with pytest.raises(ValueError, match=message):
        binary_divergence(student, teacher[0], divergence=ForwardKL())
    with pytest.raises(ValueError, match=r"temperature must be > 0, got 0\.0"):
        binary_divergence(student, teacher, divergence=ForwardKL(), temperature=0.0)
