"""Values of each position that can be differentiated one by one: `linear_log_probs`, `linear_divergence_values`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import TokenChunk, VocabTile, head_logits, linear_divergence_values, linear_log_probs
from jaxkd.losses import ForwardKL, forward_kl
from jaxkd.records import Head, Hiddens
from tests.kernels.cases import (
    TOKENS,
    VOCABULARY,
    assert_all_finite,
    assert_all_zero,
    assert_gradient_equals_finite_differences,
    assert_trees_close,
    cast,
    every_implementation,
    exact_log_probs,
    filled,
    float32,
    pair,
    with_values,
)
from tests.kernels.test_mesh import assert_equal, on_mesh
from tests.memory import assert_never_as_large_as_the_logits

DIVERGENCE = ForwardKL(temperature=2.0)


def labels_and_mask(seed=0):
    rng = np.random.default_rng(seed)
    return jax.device_put((rng.integers(0, VOCABULARY, TOKENS).astype(np.int32), rng.random(TOKENS) < 0.7))


def bent(values):
    """Something that is no weighted sum: each value's slope depends on all others of its row."""
    return jnp.sum(jnp.tanh(jnp.sum(values, axis=-1) / 10) + jnp.sum(values**2, axis=-1) / 50)


@functools.cache
def compiled(implementation):
    """Both values, and the gradient of what is bent out of them to student, teacher and head."""

    @jax.jit
    def run(student, teacher, labels, mask):
        def total(student, teacher):
            log_probs = linear_log_probs(student, labels, mask=mask, implementation=implementation)
            nats = linear_divergence_values(
                student, teacher, mask=mask, divergence=DIVERGENCE, implementation=implementation
            )
            return bent(log_probs.values) + bent(nats), (log_probs, nats)

        (_, found), gradient = jax.value_and_grad(total, (0, 1), has_aux=True)(student, teacher)
        return found, gradient

    return run


def test_hand_values():
    weight = np.log(np.float32([[0.5], [0.2], [0.3]]))
    hiddens = Hiddens(values=float32(np.ones((2, 1))), head=Head(weight=jax.device_put(weight), vocab_size=3))
    labels, mask = jax.device_put((np.array([1, 2], np.int32), np.array([True, False])))
    found = jax.jit(linear_log_probs)(hiddens, labels, mask=mask)
    np.testing.assert_allclose(found.values, [np.log(0.2), 0.0], rtol=1e-6)
    assert np.asarray(found.argmax)[0] == 0
    compared = functools.partial(linear_divergence_values, divergence=ForwardKL())
    np.testing.assert_allclose(jax.jit(compared)(hiddens, hiddens, mask=mask), 0, atol=1e-7)


@every_implementation
def test_equals_float64_numpy(implementation):
    student, teacher = pair(1, bias=True)
    labels, mask = labels_and_mask(1)
    (found, nats), _ = compiled(implementation)(student, teacher, labels, mask)
    log_q = exact_log_probs(student)
    expected = np.take_along_axis(log_q, np.asarray(labels).reshape(-1, 1), -1).reshape(TOKENS)
    np.testing.assert_allclose(found.values, np.where(mask, expected, 0), rtol=2e-6, atol=1e-6)
    mask = np.asarray(mask)
    np.testing.assert_array_equal(np.asarray(found.argmax)[mask], log_q.argmax(-1).reshape(TOKENS)[mask])
    tempered_q, tempered_p = (exact_log_probs(side, 2.0) for side in (student, teacher))
    expected = (np.exp(tempered_p) * (tempered_p - tempered_q)).sum(-1).reshape(TOKENS)
    np.testing.assert_allclose(nats, np.where(mask, expected, 0), rtol=2e-6, atol=1e-6)


@every_implementation
def test_the_gradient_is_that_of_all_logits(implementation):
    """A loss that is no sum over positions, by plain differentiation."""
    student, teacher = pair(2, bias=True)
    labels, mask = labels_and_mask(2)

    def dense(student):
        logits = head_logits(student)
        log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1)[..., 0]
        nats = forward_kl(logits, head_logits(teacher), temperature=2.0)
        return bent(jnp.where(mask, log_probs, 0)) + bent(jnp.where(mask, nats, 0))

    _, (to_student, to_teacher) = compiled(implementation)(student, teacher, labels, mask)
    assert_trees_close(to_student, jax.jit(jax.grad(dense))(student))
    assert_all_zero(to_teacher)


def test_gradient_equals_finite_differences():
    student, *others = *pair(3, bias=True), *labels_and_mask(3)
    run = compiled("token_chunk")

    @jax.jit
    def total(found):
        log_probs, nats = found
        return bent(log_probs.values) + bent(nats)

    _, (gradient, _) = run(student, *others)
    assert_gradient_equals_finite_differences(lambda student: total(run(student, *others)[0]), (student,), gradient)


def test_what_is_masked_does_not_matter_and_nothing_gives_zero():
    student, teacher = pair(4, bias=True)
    labels, mask = labels_and_mask(4)
    run = compiled("token_chunk")
    expected = run(student, teacher, labels, mask)
    for filling in (np.nan, 1e4):
        sides = (filled(side, ~np.asarray(mask), filling) for side in (student, teacher))
        found = run(*sides, np.where(mask, labels, np.int32(0)), mask)
        np.testing.assert_array_equal(found[0][0].values, expected[0][0].values)
        np.testing.assert_array_equal(found[0][1], expected[0][1])
        assert_trees_close(found[1][0], expected[1][0], rtol=1e-6, atol=1e-7)
    (found, nats), gradient = run(student, teacher, labels, np.zeros(TOKENS, bool))
    assert_all_zero((found.values, nats, gradient))


def test_large_logits_are_finite_and_nan_is_not_hidden():
    student, teacher = pair(5, bias=True)
    labels, mask = labels_and_mask(5)
    large = with_values(student, np.asarray(student.values) * 1e3)
    (found, nats), gradient = compiled("token_chunk")(large, teacher, labels, mask)
    expected = np.take_along_axis(exact_log_probs(large), np.asarray(labels).reshape(-1, 1), -1).reshape(TOKENS)
    np.testing.assert_allclose(found.values, np.where(mask, expected, 0), rtol=1e-5, atol=1e-3)
    assert_all_finite((nats, gradient))
    broken = filled(student, np.ones(TOKENS, bool), np.nan)
    (found, nats), _ = compiled("token_chunk")(broken, teacher, labels, mask)
    for values in (found.values, nats):
        assert np.isnan(np.asarray(values)[np.asarray(mask)]).all()


def test_bfloat16_is_computed_in_float32_and_float64_is_kept():
    labels, mask = labels_and_mask(6)
    narrow = cast(pair(6, bias=True), jnp.bfloat16)
    wide = cast(narrow, np.float32)
    (found, nats), (gradient, _) = compiled("token_chunk")(*narrow, labels, mask)
    (expected, expected_nats), _ = compiled("token_chunk")(*wide, labels, mask)
    assert found.values.dtype == nats.dtype == jnp.float32
    assert gradient.values.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nats, expected_nats, rtol=1e-5, atol=1e-6)
    with jax.enable_x64(True):
        (found, nats), gradient = compiled("token_chunk")(*cast(wide, np.float64), labels, mask)
        assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves((found.values, nats, gradient)))


def test_jit_and_vmap_change_nothing(unchecked_shapes):
    student, teacher = pair(7)
    labels, mask = labels_and_mask(7)

    def run(student_values, teacher_values, labels, mask):
        sides = with_values(student, student_values), with_values(teacher, teacher_values)
        log_probs = linear_log_probs(sides[0], labels, mask=mask)
        return log_probs.values, linear_divergence_values(*sides, mask=mask, divergence=DIVERGENCE)

    given = student.values, teacher.values, labels, mask
    expected = jax.jit(run)(*given)
    assert_trees_close(run(*given), expected, rtol=1e-6)
    assert_trees_close(jax.jit(jax.vmap(run))(*given), expected, rtol=1e-6)


@pytest.mark.parametrize("mesh", [(2, 2, 2), pytest.param((8, 1, 1), marks=pytest.mark.slow)], ids=str)
def test_equals_one_device(mesh):
    """In float64, to what `test_mesh.py` derives."""
    with jax.enable_x64(True):
        arguments = *cast(pair(8, bias=True), np.float64), *labels_and_mask(8)
        alone = compiled("token_chunk")(*arguments)
        with on_mesh(*mesh):
            spread = compiled("token_chunk")(*arguments)
    assert_equal((spread[0][0].values, spread[0][1]), (alone[0][0].values, alone[0][1]), tolerance=1e-12)
    assert_equal(spread[1][0], alone[1][0], tolerance=1e-12)


@pytest.mark.parametrize("kernel", [TokenChunk(chunk=32), VocabTile(tile=48)], ids=["token_chunk", "vocab_tile"])
def test_stores_no_logits(kernel):
    tokens, vocabulary = 256, 512

    def side(width):
        head = Head(weight=jax.ShapeDtypeStruct((vocabulary, width), jnp.float32), vocab_size=vocabulary - 3)
        return Hiddens(values=jax.ShapeDtypeStruct((tokens, width), jnp.float32), head=head)

    def loss(student, teacher):
        mask = jnp.ones(tokens, bool)
        labels = jnp.zeros(tokens, jnp.int32)
        nats = linear_divergence_values(student, teacher, mask=mask, divergence=DIVERGENCE, implementation=kernel)
        return bent(linear_log_probs(student, labels, mask=mask, implementation=kernel).values) + bent(nats)

    sizes = {"tokens": tokens, "vocabulary": vocabulary, "sizes": (32, 8, 16)}
    assert_never_as_large_as_the_logits(loss, side(8), side(16), **sizes)


def test_masks_of_another_shape_are_refused(unchecked_shapes):
    student, teacher = pair(9)
    labels, mask = labels_and_mask(9)
    message = r"mask must have the leading shape of student.values, \(3, 5\), got \(3,\)"
    with pytest.raises(ValueError, match=message):
        linear_log_probs(student, labels, mask=mask[:, 0])
    with pytest.raises(ValueError, match=message):
        linear_divergence_values(student, teacher, mask=mask[:, 0], divergence=DIVERGENCE)
