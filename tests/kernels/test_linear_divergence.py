"""Losses from hidden states: every implementation against float64 NumPy and each other, masks, errors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd import losses
from jaxkd.kernels import VocabTile, head_logits, linear_argmax, linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import (
    assert_equals,
    assert_trees_close,
    compiled,
    counted,
    every_implementation,
    every_kernel,
    exact_loss,
    hiddens,
    implementations_of,
    lengthened,
    pair,
    targets,
    with_values,
)
from tests.losses.divergence.rows import ROWS
from tests.memory import count

FORWARD = ROWS["forward_kl"].oracle


@every_implementation
def test_hand_value(implementation):
    """Two tokens: q = (1/2, 1/2), p = (3/4, 1/4)."""
    student = Hiddens(values=jnp.zeros((2, 1)), head=Head(weight=jnp.ones((2, 1)), vocab_size=2))
    teacher = Hiddens(values=jnp.full((2, 1), np.log(3)), head=Head(weight=jnp.eye(2, 1), vocab_size=2))
    loss = linear_divergence(
        student,
        teacher,
        weights=jnp.array([1.0, 3.0]),
        divergence=ForwardKL(),
        labels=jnp.array([0, 1]),
        label_weights=jnp.array([0.0, 10.0]),
        implementation=implementation,
    )
    divergence = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    np.testing.assert_allclose(loss.total, 4 * divergence + 10 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(loss.divergence, divergence, rtol=1e-5)
    np.testing.assert_allclose(loss.lse, np.log(2), rtol=1e-6)
    np.testing.assert_array_equal(loss.argmax, 0)
    alone = linear_cross_entropy(student, jnp.array([0, 1]), weights=jnp.ones(2), implementation=implementation)
    np.testing.assert_allclose(alone.total, 2 * np.log(2), rtol=1e-6)


@implementations_of(*ROWS)
def test_equals_float64_numpy(implementation, row):
    student, teacher = pair(0, bias=True, softcap=5.0, scale=0.7)
    given = targets(0)
    loss, _ = compiled(implementation, row.dataclass(temperature=2.0, gradient_to="both"))(student, teacher, given)
    assert_equals(loss, exact_loss(student, teacher, given, row.oracle, 2.0))


@every_implementation
def test_equals_float64_numpy_without_soft_cap_and_bias(implementation):
    student, teacher = pair(1, scale=0.7)
    given = targets(1)
    loss, _ = compiled(implementation, ForwardKL())(student, teacher, given)
    assert_equals(loss, exact_loss(student, teacher, given, FORWARD, 1.0))


@implementations_of(*ROWS)
def test_gradients_to_both_sides_equal_the_references(implementation, row):
    student, teacher = pair(0, bias=True, softcap=5.0, scale=0.7)
    divergence = row.dataclass(temperature=2.0, gradient_to="both")
    _, gradient = compiled(implementation, divergence)(student, teacher, targets(0))
    _, expected = compiled("reference", divergence)(student, teacher, targets(0))
    assert_trees_close(gradient, expected)
    for leaf in jax.tree.leaves(gradient):
        assert jnp.abs(leaf).max() > 1e-3


@implementations_of("forward_kl", "total_variation", "adaptive_kl")
def test_no_gradient_reaches_the_teacher_unless_asked(implementation, row):
    divergence = row.dataclass(temperature=2.0)
    student, teacher = pair(0, bias=True, softcap=5.0, scale=0.7)
    _, (to_student, to_teacher) = compiled(implementation, divergence)(student, teacher, targets(0))
    both = dataclasses.replace(divergence, gradient_to="both")
    _, (expected, _) = compiled("reference", both)(student, teacher, targets(0))
    assert_trees_close(to_student, expected)
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), to_teacher)


@every_implementation
def test_gradient_equals_finite_differences(implementation):
    student, teacher = pair(2, tokens=(5,), bias=True, softcap=8.0)
    given = targets(2, tokens=(5,))

    @jax.jit
    def total(student, teacher):
        divergence = losses.JensenShannon(gradient_to="both")
        return linear_divergence(student, teacher, divergence=divergence, implementation=implementation, **given).total

    check_grads(total, (student, teacher), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


@every_implementation
def test_only_the_total_has_a_gradient_and_none_reaches_the_weights(implementation):
    student, teacher = pair(3)
    given = targets(3)

    @jax.jit
    def gradients(student, weights, label_weights):
        def loss(student, weights, label_weights):
            changed = given | {"weights": weights, "label_weights": label_weights}
            return linear_divergence(student, teacher, divergence=ForwardKL(), implementation=implementation, **changed)

        def columns(student):
            found = loss(student, weights, label_weights)
            return (found.divergence + found.cross_entropy + found.lse).sum()

        to_weights = jax.grad(lambda *weights: loss(student, *weights).total, (0, 1))(weights, label_weights)
        return jax.grad(columns)(student), to_weights

    zeros = gradients(student, given["weights"], given["label_weights"])
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), zeros)


@every_kernel
@pytest.mark.parametrize("size", [1, 4, 5, 15, 16, 64])
def test_no_size_of_a_part_changes_anything(kernel, size):
    sized = dataclasses.replace(kernel, **{next(iter(dataclasses.fields(kernel))).name: size})
    divergence = losses.SymmetricKL(gradient_to="both")
    found = compiled(sized, divergence)(*pair(4, bias=True), targets(4))
    assert_trees_close(found, compiled("reference", divergence)(*pair(4, bias=True), targets(4)))


@pytest.mark.parametrize("name", ["auto", "token_chunk", "vocab_tile"])
def test_the_defaults_change_nothing_either(name):
    found = compiled(name, ForwardKL())(*pair(17), targets(17))
    assert_trees_close(found, compiled("reference", ForwardKL())(*pair(17), targets(17)))


@every_implementation
@pytest.mark.parametrize("tokens", [(), (4,), (2, 3), (2, 1, 3)], ids=str)
def test_any_leading_shape_is_a_flat_list(implementation, tokens):
    student, teacher = pair(5, tokens=tokens, bias=True)
    given = targets(5, tokens=tokens)
    loss, gradient = compiled(implementation, ForwardKL())(student, teacher, given)
    flat = [with_values(side, side.values.reshape(-1, side.values.shape[-1])) for side in (student, teacher)]
    flat_given = {name: array.ravel() for name, array in given.items()}
    flat_loss, flat_gradient = compiled("reference", ForwardKL())(*flat, flat_given)
    reshaped = jax.tree.map(lambda a, b: a.reshape(b.shape), (flat_loss, flat_gradient), (loss, gradient))
    assert loss.divergence.shape == tokens
    assert_trees_close((loss, gradient), reshaped)


@every_implementation
@pytest.mark.parametrize("rows", [(16, 21), (21, 16), (32, 13)], ids=["teacher", "student", "much longer student"])
def test_heads_of_different_lengths_are_one_vocabulary(implementation, rows):
    sides = pair(6, rows=13, bias=True)
    longer = [lengthened(side, length) for side, length in zip(sides, rows, strict=True)]
    divergence = losses.SymmetricKL(gradient_to="both")
    loss, gradient = compiled(implementation, divergence)(*longer, targets(6))
    expected, expected_gradient = compiled("reference", divergence)(*sides, targets(6))
    assert_trees_close(loss, expected)
    for side, expected_side, length in zip(gradient, expected_gradient, rows, strict=True):
        assert_trees_close(side, lengthened(expected_side, length, fill=0.0))
        np.testing.assert_array_equal(side.head.weight[13:], 0)
        np.testing.assert_array_equal(side.head.bias[13:], 0)


@implementations_of("symmetric_kl", "alpha_beta")
def test_parts_of_rows_that_are_no_tokens_add_nothing(implementation, row):
    divergence = row.dataclass(gradient_to="both")
    sides = pair(7, rows=13)
    # With tiles of 5 rows, more than one holds padding alone.
    found = compiled(implementation, divergence)(*(lengthened(side, 32) for side in sides), targets(7))
    loss, gradient = compiled("reference", divergence)(*sides, targets(7))
    assert_trees_close(found, (loss, tuple(lengthened(side, 32, fill=0.0) for side in gradient)))


@every_implementation
def test_without_labels_only_the_divergence_counts(implementation):
    student, teacher = pair(8)
    given = {"weights": targets(8)["weights"]}
    loss, _ = compiled(implementation, ForwardKL())(student, teacher, given)
    assert_equals(loss, exact_loss(student, teacher, given, FORWARD, 1.0))


@every_implementation
def test_cross_entropy_alone_equals_float64_numpy_and_the_mixed_loss(implementation):
    student, teacher = pair(9, bias=True, softcap=5.0)
    given = targets(9) | {"weights": jnp.zeros((3, 5))}

    def alone(student):
        loss = linear_cross_entropy(
            student, given["labels"], weights=given["label_weights"], implementation=implementation
        )
        return loss.total, counted(loss, given)

    (_, loss), gradient = jax.jit(jax.value_and_grad(alone, has_aux=True))(student)
    exact = exact_loss(student, teacher, given, FORWARD, 1.0)
    assert_equals(loss, exact | {"divergence": np.zeros((3, 5))})
    _, (mixed, _) = compiled("reference", ForwardKL())(student, teacher, given)
    assert_trees_close(gradient, mixed)


@every_implementation
def test_gradient_of_cross_entropy_equals_finite_differences(implementation):
    student = hiddens(10, 4, tokens=(5,), bias=True)
    given = targets(10, tokens=(5,))

    @jax.jit
    def total(student):
        return linear_cross_entropy(
            student, given["labels"], weights=given["label_weights"], implementation=implementation
        ).total

    check_grads(total, (student,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


@every_implementation
def test_the_likeliest_token_is_the_first_of_equals(implementation):
    weight = jnp.zeros((16, 4)).at[jnp.array([6, 11])].set(1.0)
    student = Hiddens(values=jnp.ones((3, 4)), head=Head(weight=weight, vocab_size=13))
    loss = linear_cross_entropy(student, jnp.zeros(3, jnp.int32), weights=jnp.ones(3), implementation=implementation)
    np.testing.assert_array_equal(loss.argmax, 6)


def test_the_likeliest_token_by_hand_and_under_every_transform():
    values, weight = (
        jnp.array([[2.0, 0.0], [0.0, 2.0], [jnp.nan, 1.0]]),
        jnp.array([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]),
    )
    mask = jnp.array([True, True, False])
    hiddens = Hiddens(values=values, head=Head(weight=weight, vocab_size=2))
    for found in (linear_argmax(hiddens, mask), jax.jit(linear_argmax)(hiddens, mask)):
        assert found[:2].tolist() == [0, 1], "the third row of the head is no token"
    student, _ = pair(3)
    everywhere = jnp.ones(student.values.shape[:-1], bool)
    expected = np.argmax(head_logits(student), axis=-1)
    np.testing.assert_array_equal(jax.jit(linear_argmax)(student, everywhere), expected)
    rows = jax.vmap(lambda values, mask: linear_argmax(dataclasses.replace(student, values=values), mask))
    np.testing.assert_array_equal(rows(student.values, everywhere), expected)


@implementations_of("forward_kl", "total_variation")
def test_equal_models_have_no_divergence_and_no_gradient(implementation, row):
    student, _ = pair(11, bias=True)
    given = targets(11) | {"label_weights": jnp.zeros((3, 5))}
    loss, gradient = compiled(implementation, row.dataclass())(student, student, given)
    np.testing.assert_allclose(loss.divergence, 0, atol=2e-6)
    assert_trees_close(gradient, jax.tree.map(jnp.zeros_like, gradient), atol=2e-6)


@every_kernel
def test_evaluation_computes_no_gradient(kernel):
    student, teacher = pair(15)

    def evaluate(divergence):
        def lse(student, teacher):
            return linear_divergence(
                student, teacher, weights=jnp.ones((3, 5)), divergence=divergence, implementation=kernel
            ).lse

        return count(jax.make_jaxpr(lse)(student, teacher).jaxpr, "dot_general")

    assert evaluate(ForwardKL()) == 2
    # The third sweep of vocab_tile: without shares of a KL the sums need another.
    assert evaluate(losses.JensenShannon()) == (4 if isinstance(kernel, VocabTile) else 2)
