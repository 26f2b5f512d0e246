"""Logits of a head: hand value, laws, float64 NumPy, gradient, precision, transforms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.kernels import head_logits
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import exact_logits, hiddens, with_head, with_values

OPTIONS = {
    "plain": {},
    "bias": {"bias": True},
    "scale and soft-cap": {"bias": True, "scale": 0.7, "softcap": 5.0},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def test_hand_value():
    head = Head(weight=jnp.array([[1.0, 2.0], [0.0, 1.0]]), bias=jnp.array([3.0, 0.0]), scale=2.0, vocab_size=2)
    values = jnp.array([[1.0, 1.0], [0.0, -1.0]])
    np.testing.assert_allclose(head_logits(Hiddens(values=values, head=head)), [[12, 2], [2, -2]])
    capped = dataclasses.replace(head, softcap=4.0)
    np.testing.assert_allclose(
        head_logits(Hiddens(values=values, head=capped)), 4 * np.tanh([[3, 0.5], [0.5, -0.5]]), rtol=1e-6
    )


@every_option
def test_equals_float64_numpy(options):
    side = hiddens(0, 4, **options)
    exact = exact_logits(side).reshape(3, 5, 13)
    np.testing.assert_allclose(head_logits(side)[..., :13], exact, rtol=2e-6, atol=1e-6)


@every_option
def test_rows_beyond_the_vocabulary_are_impossible_and_get_no_gradient(options):
    side = hiddens(1, 4, **options)
    np.testing.assert_array_equal(head_logits(side)[..., 13:], -jnp.inf)
    gradient = jax.jit(jax.grad(lambda side: jax.nn.log_softmax(head_logits(side))[..., 0].sum()))(side)
    np.testing.assert_array_equal(gradient.head.weight[13:], 0)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_soft_cap_bounds_the_logits_and_a_large_one_does_not_matter():
    side = hiddens(2, 4, softcap=3.0)
    assert (jnp.abs(head_logits(side)[..., :13]) <= 3).all()
    large, none = (head_logits(with_head(side, softcap=softcap))[..., :13] for softcap in (1e4, None))
    np.testing.assert_allclose(large, none, rtol=1e-5)


@every_option
def test_gradient(options):
    side = hiddens(3, 4, tokens=(5,), vocabulary=16, **options)
    check_grads(
        jax.jit(lambda side: jnp.sin(head_logits(side)).sum()), (side,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2
    )


@every_option
def test_large_and_zero_hiddens_have_finite_logits_and_gradients(options):
    side = hiddens(4, 4, vocabulary=16, **options)
    for values in (side.values * 1e4, jnp.zeros_like(side.values)):
        logits, pull = jax.vjp(head_logits, with_values(side, values))
        exact = exact_logits(with_values(side, values)).reshape(logits.shape)
        np.testing.assert_allclose(logits, exact, rtol=2e-6, atol=2e-7 * max(1, np.abs(exact).max()))
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(pull(jnp.ones_like(logits))))


@every_option
def test_bfloat16_is_multiplied_out_in_float32_and_float64_is_kept(options):
    side = hiddens(5, 64, vocabulary=16, **options)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), side)
    logits = head_logits(half)
    assert logits.dtype == jnp.float32
    # From the same rounded inputs: the order of the 64 additions is all that differs.
    exact = exact_logits(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), half)).reshape(logits.shape)
    np.testing.assert_allclose(logits, exact, rtol=1e-5, atol=1e-5)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), side)
        assert head_logits(wide).dtype == jnp.float64
        np.testing.assert_allclose(head_logits(wide), exact_logits(wide).reshape(logits.shape), rtol=1e-11, atol=1e-12)


@every_option
def test_transforms_change_nothing(options):
    side = hiddens(6, 4, **options)
    eager = head_logits(side)
    np.testing.assert_allclose(jax.jit(head_logits)(side), eager, rtol=2e-6, atol=1e-6)
    loop = [head_logits(with_values(side, values)) for values in side.values]
    mapped = jax.vmap(lambda values: head_logits(with_values(side, values)))(side.values)
    np.testing.assert_allclose(mapped, jnp.stack(loop), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(mapped, eager, rtol=2e-6, atol=1e-6)
