"""Hidden states to compare, and their losses in float64 NumPy."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import LinearLoss, TokenChunk, VocabTile, linear_divergence
from jaxkd.records import Head, Hiddens
from tests.losses.divergence.rows import ROWS, SEPARABLE

TOKENS, ROWS_OF_HEAD, VOCABULARY = (3, 5), 16, 13

# Sizes that divide neither the 15 tokens nor the 16 rows.
KERNELS = {"token_chunk": TokenChunk(chunk=4), "vocab_tile": VocabTile(tile=5)}
IMPLEMENTATIONS = {"reference": "reference", **KERNELS}

every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)


def implementations_of(*names):
    """Parametrize with every implementation and each of these divergences that it takes."""
    return pytest.mark.parametrize(
        ("implementation", "row"),
        [
            pytest.param(implementation, ROWS[divergence], id=f"{name}-{divergence}")
            for name, implementation in IMPLEMENTATIONS.items()
            for divergence in names
            if divergence in SEPARABLE or not isinstance(implementation, VocabTile)
        ],
    )


def hiddens(seed, width, *, tokens=TOKENS, rows=ROWS_OF_HEAD, vocabulary=VOCABULARY, bias=False, **head):
    """Hidden states whose logits are a few nats apart."""
    rng = np.random.default_rng(seed)
    return Hiddens(
        values=jnp.asarray(rng.normal(size=(*tokens, width)), jnp.float32),
        head=Head(
            weight=jnp.asarray(rng.normal(size=(rows, width)), jnp.float32),
            bias=jnp.asarray(rng.normal(size=rows), jnp.float32) if bias else None,
            vocab_size=vocabulary,
            **head,
        ),
    )


def pair(seed=0, **options):
    """Student and teacher of unequal widths."""
    return hiddens(seed, 4, **options), hiddens(seed + 100, 6, **options)


def targets(seed=0, *, tokens=TOKENS, vocabulary=VOCABULARY):
    """Weights, some of them 0 and not the same for both terms, and labels."""
    rng = np.random.default_rng(seed + 200)
    weights, label_weights = ((rng.random(tokens) < 0.7) * rng.uniform(0.1, 1, tokens) for _ in range(2))
    return {
        "weights": jnp.asarray(weights, jnp.float32),
        "labels": jnp.asarray(rng.integers(0, vocabulary, tokens), jnp.int32),
        "label_weights": jnp.asarray(label_weights, jnp.float32),
    }


def with_values(hiddens, values):
    return dataclasses.replace(hiddens, values=values)


def with_head(hiddens, **changes):
    return dataclasses.replace(hiddens, head=dataclasses.replace(hiddens.head, **changes))


def lengthened(hiddens, rows, fill=9.0):
    """The same vocabulary in a head of more rows."""
    head = hiddens.head
    more = rows - head.weight.shape[0]
    bias = None if head.bias is None else jnp.pad(head.bias, (0, more), constant_values=fill)
    return with_head(hiddens, weight=jnp.pad(head.weight, ((0, more), (0, 0)), constant_values=fill), bias=bias)


def counting(given):
    """Where each column of a loss has a meaning: where the position has a weight, the divergence where it has one."""
    nothing = np.zeros(next(iter(given.values())).shape)
    weights, label_weights = (given.get(name, nothing) for name in ("weights", "label_weights"))
    used = (weights != 0) | (label_weights != 0)
    return {"divergence": weights != 0, "cross_entropy": used, "argmax": used, "lse": used}


def counted(loss, given):
    """The loss with columns of 0 where they have no meaning."""
    columns = {name: jnp.where(where, getattr(loss, name), 0) for name, where in counting(given).items()}
    return dataclasses.replace(loss, **columns)


@functools.cache
def compiled(implementation, divergence):
    """A compiled function of student, teacher and targets: the loss, and the gradient of its total to both sides.

    One for all tests, so that equal shapes are compiled once.
    """

    @jax.jit
    def run(student, teacher, given):
        def total(student, teacher):
            loss = linear_divergence(student, teacher, divergence=divergence, implementation=implementation, **given)
            return loss.total, loss

        (_, loss), gradient = jax.value_and_grad(total, (0, 1), has_aux=True)(student, teacher)
        return counted(loss, given), gradient

    return run


def exact_logits(hiddens):
    """Float64 logits [n, vocab_size]."""
    head = hiddens.head
    values = np.asarray(hiddens.values, np.float64).reshape(-1, hiddens.values.shape[-1])
    logits = values @ np.asarray(head.weight, np.float64)[: head.vocab_size].T
    if head.bias is not None:
        logits += np.asarray(head.bias, np.float64)[: head.vocab_size]
    logits *= head.scale
    return logits if head.softcap is None else head.softcap * np.tanh(logits / head.softcap)


def log_sum_exp(logits):
    largest = logits.max(-1)
    return np.log(np.exp(logits - largest[:, None]).sum(-1)) + largest


def exact_log_probs(hiddens, temperature=1.0):
    logits = exact_logits(hiddens) / temperature
    return logits - log_sum_exp(logits)[:, None]


def exact_loss(student, teacher, given, oracle, temperature):
    """The loss in float64, from a divergence's definition as a function of log q and log p; counted."""
    shape = student.values.shape[:-1]
    given = {"weights": np.zeros(shape), "label_weights": np.zeros(shape), **given}
    logits = exact_logits(student)
    lse = log_sum_exp(logits)
    divergence = oracle(exact_log_probs(student, temperature), exact_log_probs(teacher, temperature))
    cross_entropy = np.zeros_like(lse)
    if "labels" in given:
        cross_entropy = lse - np.take_along_axis(logits, np.asarray(given["labels"]).reshape(-1, 1), -1)[:, 0]
    weights, label_weights = (np.asarray(given[name], np.float64).ravel() for name in ("weights", "label_weights"))
    columns = {"divergence": divergence, "cross_entropy": cross_entropy, "argmax": logits.argmax(-1), "lse": lse}
    columns = {name: np.where(where, columns[name].reshape(shape), 0) for name, where in counting(given).items()}
    total = np.where(weights, weights * divergence, 0) + np.where(label_weights, label_weights * cross_entropy, 0)
    return {"total": total.sum(), **columns}


def assert_trees_close(found, expected, *, rtol=2e-5, atol=2e-6):
    """Leaf by leaf: records may differ in what is no array."""
    for (path, leaf), other in zip(jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=rtol, atol=atol, err_msg=jax.tree_util.keystr(path))


def assert_equals(loss: LinearLoss, exact: dict, *, rtol=1e-5, atol=2e-6):
    """The loss equals its float64 counterpart field by field; the likeliest token exactly."""
    for field in dataclasses.fields(loss):
        found = getattr(loss, field.name)
        np.testing.assert_allclose(found, exact[field.name], rtol=rtol, atol=atol, err_msg=field.name)
    np.testing.assert_array_equal(loss.argmax, exact["argmax"])
