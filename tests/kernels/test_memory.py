"""No implementation but the reference stores all logits, whatever the loss."""

import jax
import jax.numpy as jnp
import pytest

from jaxkd.kernels import TokenChunk, VocabTile, linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import Head, Hiddens, TopK
from tests.kernels.cases import every_kernel, unless
from tests.losses.divergence.rows import ROWS, SEPARABLE
from tests.memory import assert_never_as_large_as_the_logits, count, largest_array

TOKENS, VOCABULARY, CHUNK, TILE, STUDENT_WIDTH, TEACHER_WIDTH = 256, 512, 32, 48, 8, 16
KERNELS = {"token_chunk": TokenChunk(chunk=CHUNK), "vocab_tile": VocabTile(tile=TILE)}
SIZES = {"tokens": TOKENS, "vocabulary": VOCABULARY, "sizes": (CHUNK, STUDENT_WIDTH, TEACHER_WIDTH)}


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def side(width):
    head = Head(weight=array(VOCABULARY, width), bias=array(VOCABULARY), softcap=30.0, vocab_size=VOCABULARY - 3)
    return Hiddens(values=array(TOKENS, width), head=head)


STUDENT, TEACHER = side(STUDENT_WIDTH), side(TEACHER_WIDTH)
LABELLED = {"labels": jnp.zeros(TOKENS, jnp.int32), "label_weights": jnp.ones(TOKENS)}


def divergence_loss(implementation, divergence):
    def loss(student, teacher):
        return linear_divergence(
            student,
            teacher,
            weights=jnp.ones(TOKENS),
            divergence=divergence,
            implementation=implementation,
            **LABELLED,
        ).total

    return loss


@pytest.mark.parametrize(
    ("kernel", "row", "gradient_to"),
    [
        pytest.param(
            kernel,
            row,
            gradient_to,
            id=f"{name}-{divergence}-{gradient_to}",
            marks=unless(gradient_to == "both" or divergence in ("forward_kl", "jensen_shannon", "adaptive_kl")),
        )
        for name, kernel in KERNELS.items()
        for divergence, row in (SEPARABLE if name == "vocab_tile" else ROWS).items()
        for gradient_to in ("student", "both")
    ],
)
def test_no_divergence_stores_the_logits(kernel, row, gradient_to):
    loss = divergence_loss(kernel, row.dataclass(temperature=2.0, gradient_to=gradient_to))
    assert_never_as_large_as_the_logits(loss, STUDENT, TEACHER, **SIZES)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_cross_entropy_stores_no_logits(kernel):
    def loss(student):
        return linear_cross_entropy(
            student, LABELLED["labels"], weights=LABELLED["label_weights"], implementation=kernel
        ).total

    assert_never_as_large_as_the_logits(loss, STUDENT, **SIZES)


def test_a_teacher_of_likely_tokens_stores_no_logits():
    def loss(student, log_probs, log_tail):
        record = TopK(
            ids=jnp.zeros((TOKENS, 4), jnp.int32),
            log_probs=log_probs,
            log_tail=log_tail,
            vocab_size=VOCABULARY - 3,
        )
        return divergence_loss(KERNELS["token_chunk"], ForwardKL())(student, record)

    assert_never_as_large_as_the_logits(loss, STUDENT, array(TOKENS, 4), array(TOKENS), **SIZES)


def test_the_reference_fails_the_same_assertion():
    with pytest.raises(AssertionError):
        assert_never_as_large_as_the_logits(divergence_loss("reference", ForwardKL()), STUDENT, TEACHER, **SIZES)
    whole = TokenChunk(chunk=TOKENS), VocabTile(tile=VOCABULARY)
    for kernel in whole:
        with pytest.raises(AssertionError):
            assert_never_as_large_as_the_logits(divergence_loss(kernel, ForwardKL()), STUDENT, TEACHER, **SIZES)


def test_a_case_that_is_too_small_to_say_anything_is_refused():
    with pytest.raises(ValueError, match=r"tokens must be 8 times 64, the largest of sizes, or more, got 256"):
        assert_never_as_large_as_the_logits(
            divergence_loss("reference", ForwardKL()), STUDENT, TEACHER, **(SIZES | {"sizes": (64,)})
        )


def test_sub_jaxprs_are_searched():
    def inner(x):
        return jax.lax.cond(x.sum() > 0, lambda x: jnp.outer(x, x).sum(), lambda x: x.sum(), x)

    def outer(x):
        return jax.lax.scan(lambda total, row: (total + jax.jit(inner)(row), None), 0.0, x)[0]

    for function in (outer, jax.grad(jax.checkpoint(outer))):
        assert largest_array(jax.make_jaxpr(function)(jnp.ones((3, 7))).jaxpr) == 7 * 7
    assert count(jax.make_jaxpr(outer)(jnp.ones((3, 7))).jaxpr, "cond") == 1


@every_kernel
def test_the_head_is_not_copied(kernel):
    """In a small batch the heads are the largest arrays: the sweeps of the forward pass make nothing of their size."""
    tokens, rows, width = 4, 64, 32
    one = Hiddens(values=array(tokens, width), head=Head(weight=array(rows, width), vocab_size=rows))

    def evaluate(student, teacher):
        return linear_divergence(
            student, teacher, weights=jnp.ones(tokens), divergence=ForwardKL(), implementation=kernel
        ).total

    assert largest_array(jax.make_jaxpr(evaluate)(one, one).jaxpr) < rows * width
