"""Losses from hidden states: every implementation against float64 NumPy and each other, masks, errors."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import losses
from jaxkd.kernels import TokenChunk, VocabTile, head_logits, linear_argmax, linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import (
    IMPLEMENTATIONS,
    KERNELS,
    assert_all_zero,
    assert_equals,
    assert_gradient_equals_finite_differences,
    assert_trees_close,
    compiled,
    every_implementation,
    every_kernel,
    exact_loss,
    float32,
    implementations_of,
    lengthened,
    pair,
    targets,
    unless,
    with_head,
    with_values,
)
from tests.losses.divergence.rows import ROWS
from tests.memory import count

# What a head and a divergence may have; most tests share these programs.
HEAD = {"bias": True, "softcap": 5.0, "scale": 0.7}
DIVERGENCE = {"temperature": 2.0, "gradient_to": "both"}
FORWARD, SYMMETRIC = (ROWS[name].dataclass(**DIVERGENCE) for name in ("forward_kl", "symmetric_kl"))

# Each divergence once, and each way to compute one in each kernel: from means, from sums, from whole distributions.
every_divergence = implementations_of(
    rest=ROWS,
    reference=ROWS,
    token_chunk=(
        "forward_kl",
        "symmetric_kl",
        "jensen_shannon, beta 0.1",
        "skew_forward_kl",
        "wasserstein_sorted",
        "alpha_beta, 0.5 and 1.5",
        "adaptive_kl",
    ),
    vocab_tile=(
        "forward_kl",
        "reverse_kl",
        "symmetric_kl",
        "jensen_shannon",
        "skew_reverse_kl",
        "total_variation",
        "alpha_beta",
    ),
)


@every_implementation
def test_hand_value(implementation):
    """Among 13 tokens all are as likely for the student; the teacher's first has 1/4, each other 1/16."""
    student, teacher = (
        with_head(side, weight=np.zeros(side.head.weight.shape, np.float32), bias=np.zeros(16, np.float32))
        for side in pair(0, **HEAD)
    )
    # softcap tanh(scale bias / softcap) / temperature = log 4
    teacher.head.bias[0] = 5 / 0.7 * np.arctanh(2 * np.log(4) / 5)
    weights, label_weights = np.zeros((2, 3, 5), np.float32)
    weights[0, :2], label_weights[0, 1] = [1, 3], 10
    given = {"weights": weights, "labels": targets(0)["labels"], "label_weights": label_weights}
    loss, _ = compiled(implementation, FORWARD)(student, teacher, given)
    divergence = 1 / 4 * np.log(13 / 4) + 3 / 4 * np.log(13 / 16)
    np.testing.assert_allclose(loss.total, 4 * divergence + 10 * np.log(13), rtol=1e-6)
    np.testing.assert_allclose(loss.divergence[0, :2], divergence, rtol=1e-5)
    np.testing.assert_allclose(loss.lse[0, :2], np.log(13), rtol=1e-6)
    np.testing.assert_array_equal(loss.argmax, 0)
    alone, _ = compiled(implementation, None)(student, teacher, given)
    np.testing.assert_allclose(alone.total, 10 * np.log(13), rtol=1e-6)


@every_divergence
def test_equals_float64_numpy(implementation, row):
    student, teacher = pair(0, **HEAD)
    given = targets(0)
    loss, _ = compiled(implementation, row.dataclass(**DIVERGENCE))(student, teacher, given)
    assert_equals(loss, exact_loss(student, teacher, given, row.oracle, 2.0))


@every_implementation
def test_equals_float64_numpy_without_soft_cap_and_bias(implementation):
    student, teacher = pair(1, scale=0.7)
    given = targets(1)
    loss, _ = compiled(implementation, ForwardKL())(student, teacher, given)
    assert_equals(loss, exact_loss(student, teacher, given, ROWS["forward_kl"].oracle, 1.0))


@every_divergence
def test_gradients_to_both_sides_equal_the_references(implementation, row):
    student, teacher = pair(0, **HEAD)
    divergence = row.dataclass(**DIVERGENCE)
    _, gradient = compiled(implementation, divergence)(student, teacher, targets(0))
    _, expected = compiled("reference", divergence)(student, teacher, targets(0))
    assert_trees_close(gradient, expected)
    for leaf in jax.tree.leaves(gradient):
        assert np.abs(leaf).max() > 1e-3


@implementations_of(
    rest=("forward_kl", "total_variation"),
    reference=("forward_kl",),
    token_chunk=("total_variation", "adaptive_kl"),
    vocab_tile=("forward_kl",),
)
def test_no_gradient_reaches_the_teacher_unless_asked(implementation, row):
    student, teacher = pair(0, **HEAD)
    divergence = row.dataclass(temperature=2.0)
    _, (to_student, to_teacher) = compiled(implementation, divergence)(student, teacher, targets(0))
    both = dataclasses.replace(divergence, gradient_to="both")
    _, (expected, _) = compiled("reference", both)(student, teacher, targets(0))
    assert_trees_close(to_student, expected)
    assert_all_zero(to_teacher)


@every_implementation
def test_gradient_equals_finite_differences(implementation):
    given = targets(2)
    run = compiled(implementation, SYMMETRIC)
    sides = pair(2, **HEAD)
    _, gradient = run(*sides, given)
    assert_gradient_equals_finite_differences(lambda *sides: run(*sides, given)[0].total, sides, gradient)


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

    assert_all_zero(gradients(student, given["weights"], given["label_weights"]))


@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(kind(**{field: size}), marks=unless(size in fast))
        for kind, field, fast in ((TokenChunk, "chunk", (1, 5, 64)), (VocabTile, "tile", (1, 4, 64)))
        for size in (1, 4, 5, 15, 16, 64)
    ],
    ids=str,
)
def test_no_size_of_a_part_changes_anything(kernel):
    arguments = *pair(4, **HEAD), targets(4)
    assert_trees_close(compiled(kernel, SYMMETRIC)(*arguments), compiled("reference", SYMMETRIC)(*arguments))


@pytest.mark.parametrize("name", ["auto", "token_chunk", "vocab_tile"])
def test_the_defaults_change_nothing_either(name):
    arguments = *pair(17, **HEAD), targets(17)
    assert_trees_close(compiled(name, FORWARD)(*arguments), compiled("reference", FORWARD)(*arguments))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param(name, shape, id=f"{name}-{shape}", marks=unless(shape in fast))
        for name, fast in {
            "reference": [(), (3, 1, 5)],
            "token_chunk": [(), (15,)],
            "vocab_tile": [(), (3, 1, 5)],
        }.items()
        for shape in [(), (15,), (3, 1, 5)]
    ],
)
def test_any_leading_shape_is_a_flat_list(name, shape):
    """A single position is the first of the list."""
    sides, given = pair(5, **HEAD), targets(5)
    if shape == ():
        alone = np.arange(15).reshape(3, 5) == 0
        given = {name: float32(array * alone) if "weights" in name else array for name, array in given.items()}
    size = math.prod(shape)

    def shaped(array):
        return np.asarray(array).reshape(15, *array.shape[2:])[:size].reshape((*shape, *array.shape[2:]))

    found = compiled(IMPLEMENTATIONS[name], FORWARD)(
        *(with_values(side, shaped(side.values)) for side in sides), jax.tree.map(shaped, given)
    )
    loss, gradient = compiled("reference", FORWARD)(*sides, given)
    total, *columns = jax.tree.leaves(loss)
    expected = total, [*map(shaped, columns)], [with_values(side, shaped(side.values)) for side in gradient]
    assert_trees_close(found, expected)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param(name, rows, id=f"{name}-{rows}", marks=unless(rows in fast))
        for name, fast in {
            "reference": [(21, 16)],
            "token_chunk": [(16, 21), (32, 16)],
            "vocab_tile": [(16, 21), (32, 16), (32, 32)],
        }.items()
        # With tiles of 5 rows, more than one of the last holds padding alone.
        for rows in [(16, 21), (21, 16), (32, 16), (32, 32)]
    ],
)
def test_heads_of_different_lengths_are_one_vocabulary(name, rows):
    sides = pair(6, **HEAD)
    longer = [lengthened(side, length) for side, length in zip(sides, rows, strict=True)]
    loss, gradient = compiled(IMPLEMENTATIONS[name], SYMMETRIC)(*longer, targets(6))
    expected, expected_gradient = compiled("reference", SYMMETRIC)(*sides, targets(6))
    assert_trees_close(loss, expected)
    for side, expected_side, length in zip(gradient, expected_gradient, rows, strict=True):
        assert_trees_close(side, lengthened(expected_side, length, fill=0.0))
        assert_all_zero([np.asarray(array)[13:] for array in (side.head.weight, side.head.bias)])


def test_a_tile_of_rows_that_are_no_tokens_adds_nothing_to_sums_either():
    """With tiles of 5 rows, more than one of 32 holds padding alone."""
    divergence = ROWS["alpha_beta"].dataclass(**DIVERGENCE)
    sides = pair(7, **HEAD)
    found = compiled(KERNELS["vocab_tile"], divergence)(*(lengthened(side, 32) for side in sides), targets(7))
    loss, gradient = compiled("reference", divergence)(*sides, targets(7))
    assert_trees_close(found, (loss, tuple(lengthened(side, 32, fill=0.0) for side in gradient)))


@every_implementation
def test_without_labels_only_the_divergence_counts(implementation):
    student, teacher = pair(8)
    given = {"weights": targets(8)["weights"]}
    loss, _ = compiled(implementation, ForwardKL())(student, teacher, given)
    assert_equals(loss, exact_loss(student, teacher, given, ROWS["forward_kl"].oracle, 1.0))


@every_implementation
def test_cross_entropy_alone_equals_float64_numpy_and_the_mixed_loss(implementation):
    student, teacher = pair(9, **HEAD)
    given = targets(9) | {"weights": np.zeros((3, 5), np.float32)}
    loss, (gradient, _) = compiled(implementation, None)(student, teacher, given)
    exact = exact_loss(student, teacher, given, ROWS["forward_kl"].oracle, 2.0)
    assert_equals(loss, exact | {"divergence": np.zeros((3, 5))})
    _, (mixed, _) = compiled("reference", FORWARD)(student, teacher, given)
    assert_trees_close(gradient, mixed)


@every_implementation
def test_gradient_of_cross_entropy_equals_finite_differences(implementation):
    student, given = pair(10, **HEAD)[0], targets(10)
    run = compiled(implementation, None)
    _, (gradient, _) = run(student, student, given)
    assert_gradient_equals_finite_differences(
        lambda student: run(student, student, given)[0].total, (student,), gradient
    )


@every_implementation
def test_the_likeliest_token_is_the_first_of_equals(implementation):
    student, teacher = pair(10, **HEAD)
    weight = np.zeros((16, 4))
    weight[[6, 11]] = 1
    student = with_values(student, np.ones((3, 5, 4), np.float32))
    student = with_head(student, weight=np.float32(weight), bias=np.zeros(16, np.float32))
    given = targets(10) | {"label_weights": np.ones((3, 5), np.float32)}
    loss, _ = compiled(implementation, None)(student, teacher, given)
    np.testing.assert_array_equal(loss.argmax, 6)


def test_the_likeliest_token_by_hand_and_under_every_transform():
    values, weight = float32([[2, 0], [0, 2], [np.nan, 1]]), float32([[1, 0], [0, 1], [9, 9]])
    mask = jax.device_put(np.array([True, True, False]))
    hiddens = Hiddens(values=values, head=Head(weight=weight, vocab_size=2))
    compiled_argmax = jax.jit(linear_argmax)
    for found in (linear_argmax(hiddens, mask), compiled_argmax(hiddens, mask)):
        assert found[:2].tolist() == [0, 1], "the third row of the head is no token"
    student, _ = pair(3)
    everywhere = jax.device_put(np.ones((3, 5), bool))
    expected = np.argmax(head_logits(student), axis=-1)
    np.testing.assert_array_equal(compiled_argmax(student, everywhere), expected)
    rows = jax.jit(jax.vmap(lambda values, mask: linear_argmax(with_values(student, values), mask)))
    np.testing.assert_array_equal(rows(student.values, everywhere), expected)


@implementations_of(
    rest=("forward_kl", "jensen_shannon"),
    reference=("forward_kl",),
    token_chunk=("jensen_shannon",),
    vocab_tile=("forward_kl",),
)
def test_equal_models_have_no_divergence_and_no_gradient(implementation, row):
    """Smooth divergences alone: at a kink, as total variation has, a rounding decides on the gradient."""
    student, _ = pair(11, **HEAD)
    given = targets(11) | {"label_weights": np.zeros((3, 5), np.float32)}
    loss, gradient = compiled(implementation, row.dataclass(temperature=2.0))(student, student, given)
    np.testing.assert_allclose(loss.divergence, 0, atol=2e-6)
    assert_trees_close(gradient, jax.tree.map(np.zeros_like, gradient), atol=2e-6)


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
