"""The probability that the next token is one of several."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import head_logits
from jaxkd.losses import event_log_probs
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import ROWS_OF_HEAD, TOKENS, assert_trees_close, exact_log_probs, hiddens, with_values
from tests.kernels.test_mesh import assert_equal, on_mesh
from tests.losses.compiled import assert_equals_finite_differences
from tests.memory import assert_never_as_large_as_the_logits

EVENT = np.arange(ROWS_OF_HEAD) % 3 == 1  # rows 13 to 15 are no tokens
MASK = np.random.default_rng(0).random(TOKENS) < 0.7


def bent(values):
    return jnp.sum(jnp.tanh(jnp.sum(values, axis=-1) / 10) + jnp.sum(values**2, axis=-1) / 50)


@jax.jit
def compiled(model, mask, event):
    def total(model):
        found = event_log_probs(model, event, mask=mask)
        return bent(found), found

    return jax.value_and_grad(total, has_aux=True)(model)


def values_and_gradient(model, mask=MASK, event=EVENT):
    """The log-probabilities, and the gradient of a bent sum of them."""
    (_, found), gradient = jax.device_get(compiled(model, mask, event))
    return found, gradient


def test_hand_values():
    head = Head(weight=np.log(np.float32([[0.5], [0.2], [0.3]])), vocab_size=3)
    one = Hiddens(values=np.ones((1, 1, 1), np.float32), head=head)
    for event, probability in (([True, False, True], 0.8), ([False, True, False], 0.2), ([True, True, True], 1.0)):
        found, _ = values_and_gradient(one, np.ones((1, 1), bool), np.array(event))
        np.testing.assert_allclose(np.exp(found), [[probability]], rtol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_equals_float64_numpy_and_the_gradient_of_all_logits(bias):
    model = hiddens(1, 4, bias=bias)
    found, gradient = values_and_gradient(model)
    expected = np.log(np.exp(exact_log_probs(model))[:, EVENT[:13]].sum(-1)).reshape(TOKENS)
    np.testing.assert_allclose(found, np.where(MASK, expected, 0), rtol=2e-6, atol=1e-6)

    @jax.jit
    def dense(model):
        log_q = jax.nn.log_softmax(head_logits(model))
        return bent(jnp.where(MASK, jax.nn.logsumexp(jnp.where(EVENT[None, None], log_q, -jnp.inf), axis=-1), 0))

    assert_trees_close(gradient, jax.grad(dense)(model))


def test_an_event_and_its_opposite_add_up_to_one():
    model = hiddens(2, 4)
    both = [np.exp(values_and_gradient(model, event=event)[0])[MASK] for event in (EVENT, ~EVENT)]
    np.testing.assert_allclose(both[0] + both[1], 1, rtol=1e-6)


def test_gradient_equals_finite_differences():
    def run(model):
        (total, _), gradient = jax.device_get(compiled(model, MASK, EVENT))
        return total, (gradient,)

    model = jax.tree.map(np.asarray, hiddens(3, 4))
    assert_equals_finite_differences(run, model, rtol=2e-2, atol=2e-2, eps=1e-3)


def test_what_is_masked_does_not_matter_and_nothing_gives_zero():
    model = hiddens(4, 4)
    expected = values_and_gradient(model)
    spoilt = with_values(model, np.where(MASK[..., None], model.values, np.float32(np.nan)))
    assert_trees_close(values_and_gradient(spoilt), expected, rtol=1e-6, atol=1e-7)
    nothing = values_and_gradient(model, np.zeros_like(MASK))
    assert all(not leaf.any() for leaf in jax.tree.leaves(nothing))


def test_an_unlikely_event_keeps_its_logarithm_and_nan_is_not_hidden():
    model = hiddens(5, 4)
    far = with_values(model, np.asarray(model.values) * np.float32(100))
    logits = exact_log_probs(far)[:, EVENT[:13]]
    expected = (logits.max(-1) + np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1))).reshape(TOKENS)
    found, gradient = values_and_gradient(far)
    np.testing.assert_allclose(found, np.where(MASK, expected, 0), rtol=1e-5, atol=1e-4)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    found, _ = values_and_gradient(with_values(model, np.full_like(model.values, np.nan)))
    assert np.isnan(found[MASK]).all()


def test_jit_vmap_and_eight_devices_change_nothing(unchecked_shapes):
    model = hiddens(6, 4)
    expected = values_and_gradient(model)
    eager = event_log_probs(model, jnp.asarray(EVENT), mask=jnp.asarray(MASK))
    np.testing.assert_allclose(eager, expected[0], rtol=1e-6)
    rows = jax.vmap(lambda values, mask: event_log_probs(with_values(model, values), EVENT, mask=mask))
    np.testing.assert_allclose(jax.jit(rows)(model.values, MASK), expected[0], rtol=1e-6)
    with on_mesh(2, 2, 2):
        assert_equal(values_and_gradient(model), expected, tolerance=2e-6)


def test_stores_no_logits():
    chunk = 8192  # what 128 MiB hold
    tokens, vocabulary = 8 * chunk, 4096
    head = Head(weight=jax.ShapeDtypeStruct((vocabulary, 8), jnp.float32), vocab_size=vocabulary - 3)
    model = Hiddens(values=jax.ShapeDtypeStruct((tokens, 8), jnp.float32), head=head)

    def loss(model):
        return bent(event_log_probs(model, jnp.arange(vocabulary) % 3 == 1, mask=jnp.ones(tokens, bool))[None])

    with jax.numpy_rank_promotion("allow"):
        assert_never_as_large_as_the_logits(loss, model, tokens=tokens, vocabulary=vocabulary, sizes=(chunk, 8))


def test_a_soft_cap_and_an_event_of_another_vocabulary_are_refused(unchecked_shapes):
    with pytest.raises(ValueError, match=r"hiddens must have a head without soft-cap, got one of 30\.0"):
        event_log_probs(hiddens(7, 4, softcap=30.0), EVENT, mask=MASK)
    with pytest.raises(ValueError, match=r"event must have a value for each of the head's 16 rows, got shape \(3,\)"):
        event_log_probs(hiddens(7, 4), EVENT[:3], mask=MASK)
