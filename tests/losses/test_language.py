"""Cross entropy: hand value, oracle, gradient, extreme logits, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.losses import cross_entropy


def case(seed=0, shape=(3, 5), vocabulary=11):
    rng = np.random.default_rng(seed)
    logits = jnp.asarray(rng.normal(size=(*shape, vocabulary)) * 3, jnp.float32)
    return logits, jnp.asarray(rng.integers(0, vocabulary, shape), jnp.int32)


def test_uniform_logits_cost_log_v():
    np.testing.assert_allclose(cross_entropy(jnp.zeros((2, 8)), jnp.array([0, 7])), np.log(8), rtol=1e-6)


def test_equals_float64_numpy():
    logits, labels = case()
    exact = np.asarray(logits, np.float64)
    exact = np.log(np.exp(exact).sum(-1)) - np.take_along_axis(exact, np.asarray(labels)[..., None], -1)[..., 0]
    np.testing.assert_allclose(cross_entropy(logits, labels), exact, rtol=2e-6, atol=1e-6)


def test_gradient_is_probability_minus_one_hot():
    logits, labels = case(1)
    gradient = jax.grad(lambda logits: cross_entropy(logits, labels).sum())(logits)
    np.testing.assert_allclose(gradient, jax.nn.softmax(logits) - jax.nn.one_hot(labels, 11), atol=1e-6)
    check_grads(
        jax.jit(lambda logits: cross_entropy(logits, labels).sum()),
        (logits,),
        order=1,
        modes=["rev"],
        rtol=2e-2,
        atol=2e-2,
    )


def test_extreme_logits_stay_finite_and_padding_rows_do_not_count():
    logits, labels = case(2)
    assert jnp.isfinite(cross_entropy(logits + 1e4, labels)).all()
    padded = jnp.pad(logits, ((0, 0), (0, 0), (0, 2)), constant_values=-jnp.inf)
    np.testing.assert_allclose(cross_entropy(padded, labels), cross_entropy(logits, labels), rtol=1e-6)


def test_bfloat16_is_summed_in_float32():
    logits, labels = case(3)
    half = logits.astype(jnp.bfloat16)
    assert cross_entropy(half, labels).dtype == jnp.float32
    np.testing.assert_allclose(cross_entropy(half, labels), cross_entropy(half.astype(jnp.float32), labels), rtol=1e-6)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_other_shapes_and_labels_that_are_not_ids():
    logits, labels = case()
    with pytest.raises(ValueError, match=r"labels must have the leading shape of logits, \(3, 5\), got \(5,\)"):
        cross_entropy(logits, labels[0])
    with pytest.raises(TypeError, match=r"labels must be token ids of an integer dtype, got float32"):
        cross_entropy(logits, labels.astype(jnp.float32))
