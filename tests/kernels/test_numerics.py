"""The arithmetic of every implementation: NaN, large logits, bfloat16, float64, degenerate distributions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import losses
from jaxkd.kernels import TokenChunk, VocabTile, linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import (
    assert_equals,
    assert_trees_close,
    compiled,
    every_implementation,
    exact_log_probs,
    exact_loss,
    hiddens,
    implementations_of,
    pair,
    targets,
    with_head,
    with_values,
)
from tests.losses.divergence.rows import ROWS


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)


@implementations_of(*ROWS)
@pytest.mark.parametrize("side", [0, 1], ids=["student", "teacher"])
def test_nan_at_a_used_position_is_not_hidden(implementation, row, side):
    sides = list(pair(0, bias=True, softcap=5.0, scale=0.7))
    given = targets(0)
    assert given["weights"][0, 0] > 0
    sides[side] = with_values(sides[side], sides[side].values.at[0, 0, 1].set(jnp.nan))
    loss, _ = compiled(implementation, row.dataclass(temperature=2.0, gradient_to="both"))(*sides, given)
    assert jnp.isnan(loss.total)
    np.testing.assert_array_equal(jnp.isnan(loss.divergence), jnp.zeros((3, 5), bool).at[0, 0].set(True))


@every_implementation
def test_nan_is_not_hidden_from_the_cross_entropy(implementation):
    student = hiddens(1, 4)
    labels, weights = jnp.zeros((3, 5), jnp.int32), jnp.ones((3, 5))
    for broken in (
        with_values(student, student.values.at[0, 0, 1].set(jnp.nan)),
        with_head(student, weight=student.head.weight.at[7, 1].set(jnp.nan)),
    ):
        assert jnp.isnan(linear_cross_entropy(broken, labels, weights=weights, implementation=implementation).total)


@implementations_of(*ROWS)
def test_large_logits_equal_float64_numpy(implementation, row):
    """Logits up to 3e4: relative to the largest value, a few roundings of float32."""
    student, teacher = (with_values(side, side.values * 1e4) for side in pair(2))
    given = targets(2)
    loss, gradient = compiled(implementation, row.dataclass(gradient_to="both"))(student, teacher, given)
    exact = exact_loss(student, teacher, given, row.oracle, 1.0)
    for name in ("total", "divergence", "cross_entropy", "lse"):
        atol = 2e-7 * max(1, np.abs(exact[name]).max())
        np.testing.assert_allclose(getattr(loss, name), exact[name], rtol=1e-5, atol=atol)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@every_implementation
@pytest.mark.parametrize("shift", [1e4, -1e4])
def test_logits_far_from_zero_are_compared_as_if_they_were_near(implementation, shift):
    """Float32 rounds logits of 1e4 to 5e-4, and so far they move a divergence; from there on no digit is lost."""
    student, teacher = pair(3)
    student, teacher = (
        with_head(side, bias=jnp.full(16, sign * shift, jnp.float32)) for side, sign in ((student, 1), (teacher, -1))
    )
    given = targets(3)
    for name in ("symmetric_kl", "jensen_shannon"):
        divergence = ROWS[name].dataclass(gradient_to="both")
        loss, gradient = compiled(implementation, divergence)(student, teacher, given)
        exact = exact_loss(student, teacher, given, ROWS[name].oracle, 1.0)
        for column in ("divergence", "cross_entropy"):
            np.testing.assert_allclose(getattr(loss, column), exact[column], atol=2e-3)
        assert_trees_close((loss, gradient), compiled("reference", divergence)(student, teacher, given))


@every_implementation
@pytest.mark.parametrize("offset", [0.0, 30.0, 100.0])
def test_a_small_divergence_survives_an_offset_between_the_models(implementation, offset):
    """What all logits of a model have in common no softmax sees, and models differ in it by tens of nats."""
    rng = np.random.default_rng(10)
    logits = jnp.asarray(rng.normal(size=(16, 13)) * 2, jnp.float32)
    moved = logits + jnp.asarray(rng.normal(size=(16, 13)) * 0.07, jnp.float32)
    # Values are logits, and the head is the identity, so that no product rounds them.
    student = Hiddens(values=moved + offset, head=Head(weight=jnp.eye(13), vocab_size=13))
    teacher = with_values(student, logits)
    for name in ("forward_kl", "reverse_kl", "symmetric_kl"):
        loss = linear_divergence(
            student,
            teacher,
            weights=jnp.full(16, 1 / 16),
            divergence=ROWS[name].dataclass(),
            implementation=implementation,
        )
        exact = ROWS[name].oracle(exact_log_probs(student), exact_log_probs(teacher)).mean()
        assert 1e-3 < exact < 4e-3
        np.testing.assert_allclose(loss.total, exact, rtol=2e-4)


@every_implementation
@pytest.mark.parametrize("divergence", [ForwardKL(), losses.ReverseKL(), losses.JensenShannon()], ids=str)
def test_bfloat16_inputs_keep_a_small_divergence(implementation, divergence):
    """Of some 1e-3 nats at most 1e-3 may be lost: bfloat16 arithmetic would lose it all."""
    teacher = cast(hiddens(4, 16, tokens=(64,), rows=16, vocabulary=16), jnp.bfloat16)
    teacher = with_values(teacher, teacher.values / 2)
    student = with_values(teacher, (teacher.values.astype(jnp.float32) * 1.03).astype(jnp.bfloat16))
    oracle = next(row.oracle for row in ROWS.values() if row.dataclass() == divergence)
    exact = oracle(exact_log_probs(cast(student, jnp.float32)), exact_log_probs(cast(teacher, jnp.float32))).mean()
    assert 1e-4 < exact < 4e-3
    loss = linear_divergence(
        student, teacher, weights=jnp.full(64, 1 / 64), divergence=divergence, implementation=implementation
    )
    assert loss.total.dtype == loss.divergence.dtype == jnp.float32
    np.testing.assert_allclose(loss.total, exact, rtol=1e-3)


@every_implementation
@pytest.mark.parametrize("size", [1, 64])
def test_bfloat16_gradients_do_not_depend_on_the_number_of_parts(implementation, size):
    """Relative to its norm a gradient is off by 2^-8 at most: the gradient of each logit and the sum are rounded to
    2^-9.  Summed in bfloat16, 512 parts of one token would lose tens of percent.
    """
    if isinstance(implementation, TokenChunk | VocabTile):
        implementation = type(implementation)(**{next(iter(dataclasses.asdict(implementation))): size})
    student, teacher = (
        cast(hiddens(seed, width, tokens=(512,), rows=64, vocabulary=64, bias=True), jnp.bfloat16)
        for seed, width in ((5, 8), (6, 12))
    )
    given = {name: targets(5, tokens=(512,), vocabulary=64)[name] for name in ("weights", "labels", "label_weights")}
    divergence = ForwardKL(gradient_to="both")
    _, half = compiled(implementation, divergence)(student, teacher, given)
    _, single = compiled("reference", divergence)(cast(student, jnp.float32), cast(teacher, jnp.float32), given)
    for found, expected in zip(jax.tree.leaves(half), jax.tree.leaves(single), strict=True):
        assert found.dtype == jnp.bfloat16
        error = jnp.linalg.norm(found.astype(jnp.float32) - expected) / jnp.linalg.norm(expected)
        assert error < 2**-8


@implementations_of("forward_kl", "jensen_shannon", "adaptive_kl")
def test_float64_is_kept(implementation, row):
    with jax.enable_x64(True):
        student, teacher, given = (
            jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), part)
            for part in (*pair(7, bias=True, softcap=5.0), targets(7))
        )
        given["labels"] = given["labels"].astype(jnp.int32)
        divergence = row.dataclass(temperature=2.0, gradient_to="both")
        loss, gradient = compiled(implementation, divergence)(student, teacher, given)
        exact = exact_loss(student, teacher, given, row.oracle, 2.0)
        assert_equals(loss, exact, rtol=1e-12, atol=1e-13)
        _, expected = compiled("reference", divergence)(student, teacher, given)
        assert_trees_close(gradient, expected, rtol=1e-11, atol=1e-13)
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves((loss.total, loss.divergence, gradient)))


@every_implementation
def test_zeros_and_a_vocabulary_of_one_token_have_a_finite_gradient(implementation):
    given = targets(8)
    zeros = [jax.tree.map(jnp.zeros_like, side) for side in pair(8)]
    loss, gradient = compiled(implementation, losses.SymmetricKL(gradient_to="both"))(*zeros, given)
    np.testing.assert_allclose(loss.divergence, 0, atol=1e-6)
    np.testing.assert_allclose(loss.total, given["label_weights"].sum() * np.log(13), rtol=1e-6)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    one = [Hiddens(values=side.values, head=Head(weight=side.head.weight, vocab_size=1)) for side in pair(8)]
    loss, gradient = compiled(implementation, losses.SymmetricKL(gradient_to="both"))(
        *one, given | {"labels": jnp.zeros((3, 5), jnp.int32)}
    )
    assert loss.total == 0
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), gradient)


@every_implementation
def test_a_token_whose_probability_underflows_keeps_its_cost(implementation):
    """The student's second token lies 200 nats below its first: exp(-200) is 0 in float32."""
    student = Hiddens(values=jnp.array([[1.0]]), head=Head(weight=jnp.array([[0.0], [-200.0]]), vocab_size=2))
    teacher = Hiddens(values=jnp.array([[1.0]]), head=Head(weight=jnp.array([[0.0], [0.0]]), vocab_size=2))
    for divergence, exact in ((ForwardKL(), 100 - np.log(2)), (losses.ReverseKL(), np.log(2))):
        loss = linear_divergence(
            student, teacher, weights=jnp.ones(1), divergence=divergence, implementation=implementation
        )
        np.testing.assert_allclose(loss.total, exact, rtol=1e-6)


@every_implementation
@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e4), ("bfloat16", 1.0), ("float64", 1.0)])
def test_cross_entropy_alone_is_exact_in_every_precision(implementation, dtype, scale):
    """From the same inputs: bfloat16 ones are multiplied out and summed in float32."""
    given = targets(9)
    with jax.enable_x64(dtype == "float64"):
        student = hiddens(9, 16, bias=True)
        student = cast(with_values(student, student.values * scale), jnp.dtype(dtype))
        loss, gradient = jax.jit(
            jax.value_and_grad(
                lambda student: (
                    linear_cross_entropy(
                        student, given["labels"], weights=given["label_weights"], implementation=implementation
                    ).total
                )
            )
        )(student)
        assert loss.dtype == jnp.promote_types(jnp.float32, dtype)
        assert all(leaf.dtype == dtype and jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
        wide = cast(student, jnp.float32) if dtype == "bfloat16" else student
        exact = exact_loss(wide, wide, given | {"weights": jnp.zeros((3, 5))}, ROWS["forward_kl"].oracle, 1.0)
        np.testing.assert_allclose(loss, exact["total"], rtol=1e-7 if dtype == "float64" else 2e-6)
