"""Divergences: hand values, laws, float64 oracle, gradients, extreme logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.losses import ForwardKL, forward_kl


def logits(seed, shape=(4, 9), scale=3.0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * scale, jnp.float32)


def oracle(student, teacher, temperature):
    def log_probs(logits):
        logits = np.asarray(logits, np.float64) / temperature
        logits = logits - logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    log_p, log_q = log_probs(teacher), log_probs(student)
    return (np.exp(log_p) * (log_p - log_q)).sum(-1)


def test_hand_value():
    student, teacher = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.75, 0.25]))
    np.testing.assert_allclose(forward_kl(student, teacher), 0.75 * np.log(1.5) + 0.25 * np.log(0.5), rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_equals_float64_numpy(temperature):
    student, teacher = logits(0), logits(1)
    np.testing.assert_allclose(
        forward_kl(student, teacher, temperature=temperature), oracle(student, teacher, temperature), rtol=2e-6
    )
    np.testing.assert_array_equal(
        ForwardKL(temperature=temperature)(student, teacher), forward_kl(student, teacher, temperature=temperature)
    )


def test_is_zero_only_between_equals_and_ignores_a_constant():
    student, teacher = logits(2), logits(3)
    np.testing.assert_allclose(forward_kl(student, student + 7.0), 0, atol=1e-6)
    assert (forward_kl(student, teacher) > 0.01).all()
    np.testing.assert_allclose(forward_kl(student + 5.0, teacher), forward_kl(student, teacher), rtol=1e-5)


def test_gradient_is_q_minus_p_for_the_student_and_zero_for_the_teacher():
    student, teacher = logits(4), logits(5)
    to_student, to_teacher = jax.grad(lambda s, t: forward_kl(s, t).sum(), (0, 1))(student, teacher)
    np.testing.assert_allclose(to_student, jax.nn.softmax(student) - jax.nn.softmax(teacher), atol=1e-6)
    np.testing.assert_array_equal(to_teacher, 0)
    check_grads(
        jax.jit(lambda s: forward_kl(s, teacher).sum()), (student,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2
    )


def test_minus_infinity_is_a_token_that_does_not_exist():
    student, teacher = logits(6), logits(7)
    padded = [jnp.pad(side, ((0, 0), (0, 3)), constant_values=-jnp.inf) for side in (student, teacher)]
    value, gradient = jax.value_and_grad(lambda s: forward_kl(s, padded[1]).sum())(padded[0])
    np.testing.assert_allclose(value, forward_kl(student, teacher).sum(), rtol=1e-6)
    assert jnp.isfinite(gradient).all()
    only_student = forward_kl(padded[0], jnp.pad(teacher, ((0, 0), (0, 3))))
    assert (only_student == jnp.inf).all()


def test_nan_is_not_hidden():
    teacher = logits(8)
    assert jnp.isnan(forward_kl(logits(9).at[0, 0].set(jnp.nan), teacher)[0])
    assert jnp.isnan(forward_kl(teacher, logits(9).at[0, 0].set(jnp.nan))[0])


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_large_logits_stay_finite(scale):
    student, teacher = logits(10) + scale, logits(11) + scale
    value, gradient = jax.value_and_grad(lambda s: forward_kl(s, teacher).sum())(student)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()


def test_bfloat16_logits_are_compared_in_float32():
    teacher = logits(12, (64, 32)).astype(jnp.bfloat16)
    student = (teacher.astype(jnp.float32) * 1.03).astype(jnp.bfloat16)
    value = forward_kl(student, teacher)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value.mean(), oracle(student, teacher, 1.0).mean(), rtol=1e-3)


def test_jit_and_vmap_change_nothing():
    student, teacher = logits(13), logits(14)
    eager = forward_kl(student, teacher)
    np.testing.assert_allclose(jax.jit(forward_kl)(student, teacher), eager, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(forward_kl)(student, teacher), eager, rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared():
    with pytest.raises(ValueError, match=r"teacher_logits must have the shape of student_logits, got \(4, 8\)"):
        forward_kl(logits(0), logits(1, (4, 8)))
    with pytest.raises(ValueError, match=r"temperature must be > 0, got 0"):
        forward_kl(logits(0), logits(1), temperature=0.0)
