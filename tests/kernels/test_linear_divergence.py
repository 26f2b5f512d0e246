"""Distillation losses from hidden states: every implementation against float64 NumPy and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxkd.kernels import head_logits, linear_cross_entropy, linear_divergence
from jaxkd.kernels.token_chunk import default_chunk, token_chunk
from jaxkd.losses import ForwardKL
from jaxkd.records import Head, Hiddens

IMPLEMENTATIONS = ("reference", "token_chunk")


def pair(rng, tokens=(3, 7), vocabulary=13, rows=16, softcap=None, bias=False):
    def side(width):
        return Hiddens(
            values=jnp.asarray(rng.normal(size=(*tokens, width)), jnp.float32),
            head=Head(
                weight=jnp.asarray(rng.normal(size=(rows, width)), jnp.float32),
                bias=jnp.asarray(rng.normal(size=rows), jnp.float32) if bias else None,
                softcap=softcap,
                scale=0.7,
                vocab_size=vocabulary,
            ),
        )

    return side(4), side(6)


def arguments(rng, tokens=(3, 7), vocabulary=13):
    mask = rng.random(tokens) < 0.7
    return {
        "weights": jnp.asarray(mask * rng.random(tokens), jnp.float32),
        "labels": jnp.asarray(rng.integers(0, vocabulary, tokens), jnp.int32),
        "label_weights": jnp.asarray(mask * rng.random(tokens), jnp.float32),
    }


def numpy_log_probs(hiddens, temperature):
    head = hiddens.head
    logits = np.asarray(hiddens.values, np.float64) @ np.asarray(head.weight, np.float64)[: head.vocab_size].T
    if head.bias is not None:
        logits += np.asarray(head.bias, np.float64)[: head.vocab_size]
    logits *= head.scale
    if head.softcap is not None:
        logits = head.softcap * np.tanh(logits / head.softcap)
    logits /= temperature
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("softcap", "bias"), [(None, False), (5.0, True)])
def test_equals_float64_numpy(implementation, softcap, bias):
    rng = np.random.default_rng(0)
    student, teacher = pair(rng, softcap=softcap, bias=bias)
    given = arguments(rng)
    loss = linear_divergence(
        student, teacher, divergence=ForwardKL(temperature=2.0), implementation=implementation, **given
    )
    log_p, log_q = numpy_log_probs(teacher, 2.0), numpy_log_probs(student, 2.0)
    divergence = (np.exp(log_p) * (log_p - log_q)).sum(-1)
    sharp = numpy_log_probs(student, 1.0)
    nats = -np.take_along_axis(sharp, np.asarray(given["labels"])[..., None], -1)[..., 0]
    total = (np.asarray(given["weights"]) * divergence + np.asarray(given["label_weights"]) * nats).sum()
    np.testing.assert_allclose(loss.total, total, rtol=2e-6)
    np.testing.assert_allclose(loss.divergence, divergence, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loss.cross_entropy, nats, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(loss.argmax, sharp.argmax(-1))


@pytest.mark.parametrize("chunk", [1, 4, 5, 21, 64])
def test_chunks_equal_the_reference_in_value_and_gradient(chunk):
    rng = np.random.default_rng(1)
    student, teacher = pair(rng, bias=True)
    given = arguments(rng) | {"divergence": ForwardKL()}

    def total(loss, student, teacher):
        return loss(student, teacher, **given).total * 3.0

    whole = jax.value_and_grad(
        lambda s, t: total(lambda *a, **k: linear_divergence(*a, implementation="reference", **k), s, t), (0, 1)
    )(student, teacher)
    parts = jax.jit(
        jax.value_and_grad(lambda s, t: total(lambda *a, **k: token_chunk(*a, chunk=chunk, **k), s, t), (0, 1))
    )(student, teacher)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), parts, whole)
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), parts[1][1])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_gradient_equals_finite_differences(implementation):
    rng = np.random.default_rng(2)
    student, teacher = pair(rng, tokens=(5,), vocabulary=16)
    given = arguments(rng, tokens=(5,), vocabulary=16)

    def total(values, weight):
        moved = Hiddens(values=values, head=Head(weight=weight, vocab_size=16))
        return linear_divergence(moved, teacher, divergence=ForwardKL(), implementation=implementation, **given).total

    check_grads(jax.jit(total), (student.values, student.head.weight), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_what_is_masked_does_not_matter(implementation):
    rng = np.random.default_rng(3)
    student, teacher = pair(rng)
    given = arguments(rng)
    given["label_weights"] = jnp.where(given["weights"] == 0, 0.0, given["label_weights"])
    masked = given["weights"] == 0
    assert masked.any()

    def run(student, teacher, labels):
        return linear_divergence(
            student,
            teacher,
            divergence=ForwardKL(),
            implementation=implementation,
            **(given | {"labels": labels}),
        ).total

    def scrambled(hiddens):
        return Hiddens(values=jnp.where(masked[..., None], 1e3, hiddens.values), head=hiddens.head)

    value, gradient = jax.value_and_grad(run)(student, teacher, given["labels"])
    other, other_gradient = jax.value_and_grad(run)(
        scrambled(student), scrambled(teacher), jnp.where(masked, 0, given["labels"])
    )
    np.testing.assert_allclose(value, other, rtol=1e-6)
    np.testing.assert_array_equal(other_gradient.values[masked], 0)
    np.testing.assert_allclose(gradient.head.weight, other_gradient.head.weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_empty_mask_gives_zero_and_a_zero_gradient(implementation):
    student, teacher = pair(np.random.default_rng(4))
    nothing = jnp.zeros((3, 7))
    value, gradient = jax.value_and_grad(
        lambda student: (
            linear_divergence(
                student, teacher, weights=nothing, divergence=ForwardKL(), implementation=implementation
            ).total
        )
    )(student)
    assert value == 0
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), gradient)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_cross_entropy_alone_equals_the_mixed_loss_without_a_divergence(implementation):
    rng = np.random.default_rng(5)
    student, teacher = pair(rng)
    given = arguments(rng)
    alone = linear_cross_entropy(
        student, given["labels"], weights=given["label_weights"], implementation=implementation
    )
    mixed = linear_divergence(
        student,
        teacher,
        divergence=ForwardKL(),
        implementation=implementation,
        **(given | {"weights": jnp.zeros((3, 7))}),
    )
    np.testing.assert_allclose(alone.total, mixed.total, rtol=1e-6)
    np.testing.assert_array_equal(alone.divergence, 0)


def test_bfloat16_inputs_keep_a_small_divergence():
    rng = np.random.default_rng(6)
    teacher, _ = pair(rng, tokens=(64,), vocabulary=16)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), teacher)
    student = Hiddens(values=(half.values.astype(jnp.float32) * 1.05).astype(jnp.bfloat16), head=half.head)
    log_p, log_q = numpy_log_probs(half, 1.0), numpy_log_probs(student, 1.0)
    true = (np.exp(log_p) * (log_p - log_q)).sum(-1).mean()
    assert true < 1e-2
    for implementation in IMPLEMENTATIONS:
        loss = linear_divergence(
            student, half, weights=jnp.full(64, 1 / 64), divergence=ForwardKL(), implementation=implementation
        )
        np.testing.assert_allclose(loss.total, true, rtol=1e-3)


def test_padded_heads_of_different_lengths_are_one_vocabulary():
    rng = np.random.default_rng(7)
    student, teacher = pair(rng, vocabulary=13, rows=16)
    longer = Head(weight=jnp.pad(teacher.head.weight, ((0, 4), (0, 0)), constant_values=9.0), scale=0.7, vocab_size=13)
    given = {"weights": jnp.ones((3, 7)), "divergence": ForwardKL()}
    same = linear_divergence(student, teacher, **given).total
    padded = linear_divergence(student, Hiddens(values=teacher.values, head=longer), **given).total
    np.testing.assert_allclose(padded, same, rtol=1e-6)


def test_rows_beyond_the_vocabulary_get_no_probability_and_no_gradient():
    student, _ = pair(np.random.default_rng(8), vocabulary=13, rows=16)
    assert (head_logits(student)[..., 13:] == -jnp.inf).all()
    gradient = jax.grad(
        lambda student: linear_cross_entropy(student, jnp.zeros((3, 7), jnp.int32), weights=jnp.ones((3, 7))).total
    )(student)
    np.testing.assert_array_equal(gradient.head.weight[13:], 0)


def test_no_array_of_all_logits_exists_in_the_gradient():
    """N tokens in chunks of N / 8: nothing as large as a quarter of [N, V] may be in the jaxpr."""
    tokens, vocabulary, width, chunk = 256, 512, 8, 32
    rng = np.random.default_rng(9)

    def side():
        return Hiddens(
            values=jnp.asarray(rng.normal(size=(tokens, width)), jnp.float32),
            head=Head(weight=jnp.asarray(rng.normal(size=(vocabulary, width)), jnp.float32), vocab_size=vocabulary),
        )

    def total(student, teacher):
        return token_chunk(
            student,
            teacher,
            weights=jnp.ones(tokens),
            divergence=ForwardKL(),
            labels=None,
            label_weights=None,
            chunk=chunk,
        ).total

    largest = largest_array(jax.make_jaxpr(jax.value_and_grad(total))(side(), side()).jaxpr)
    assert chunk * vocabulary <= largest < tokens * vocabulary / 4


def largest_array(jaxpr) -> int:
    """Elements of the largest value that a jaxpr computes, sub-jaxprs included."""
    largest = 0
    for equation in jaxpr.eqns:
        largest = max([largest, *(variable.aval.size for variable in equation.outvars)])
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                largest = max(largest, largest_array(inner))
    return largest


def test_evaluation_computes_no_gradient():
    student, teacher = pair(np.random.default_rng(10))
    text = str(
        jax.make_jaxpr(
            lambda s, t: (
                token_chunk(s, t, weights=jnp.ones((3, 7)), divergence=ForwardKL(), labels=None, label_weights=None).lse
            )
        )(student, teacher)
    )
    assert text.count("dot_general") == 2


def test_default_chunk_keeps_one_side_under_64_mib():
    for vocabulary in (256, 49_152, 151_936, 262_144):
        chunk = default_chunk(vocabulary)
        assert chunk % 32 == 0
        assert chunk == 32 or chunk * vocabulary * 4 <= 64 * 2**20


def test_sharded_over_eight_devices_equals_one():
    rng = np.random.default_rng(11)
    student, teacher = pair(rng, tokens=(4, 6), vocabulary=16)
    given = arguments(rng, tokens=(4, 6), vocabulary=16) | {"divergence": ForwardKL()}

    def run(student, teacher):
        return linear_divergence(student, teacher, **given).total

    alone = jax.jit(jax.value_and_grad(run))(student, teacher)
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
        spread = jax.jit(jax.value_and_grad(run))(student, teacher)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), spread, alone)


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared():
    rng = np.random.default_rng(12)
    student, teacher = pair(rng)
    given = arguments(rng) | {"divergence": ForwardKL()}
    shorter = Hiddens(values=teacher.values[:, :5], head=teacher.head)
    with pytest.raises(ValueError, match=r"teacher.values must have the leading shape of student.values"):
        linear_divergence(student, shorter, **given)
    other = Hiddens(values=teacher.values, head=Head(weight=teacher.head.weight, vocab_size=12))
    with pytest.raises(ValueError, match=r"teacher.head.vocab_size must equal the student's 13, got 12"):
        linear_divergence(student, other, **given)
    with pytest.raises(ValueError, match=r"weights must have the leading shape .* got \(7,\)"):
        linear_divergence(student, teacher, **(given | {"weights": jnp.ones(7)}))
    with pytest.raises(ValueError, match=r"labels and label_weights must be given together"):
        linear_divergence(student, teacher, **(given | {"labels": None}))
    with pytest.raises(ValueError, match=r"implementation must be one of auto, reference, token_chunk, got 'fast'"):
        linear_divergence(student, teacher, implementation="fast", **given)
