"""Hidden states to compare, and their losses in float64 NumPy."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import LinearLoss, TokenChunk, VocabTile, linear_cross_entropy, linear_divergence
from jaxkd.records import Head, Hiddens
from tests.losses.divergence.rows import ROWS, SEPARABLE

TOKENS, ROWS_OF_HEAD, VOCABULARY = (3, 5), 16, 13

# Sizes that divide neither the 15 tokens nor the 16 rows.
KERNELS = {"token_chunk": TokenChunk(chunk=4), "vocab_tile": VocabTile(tile=5)}
IMPLEMENTATIONS = {"reference": "reference", **KERNELS}

every_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)


def unless(fast):
    """The mark of a case that is left to the slow level unless `fast`: its parts are in other cases."""
    return () if fast else pytest.mark.slow


def implementations_of(*, rest=(), **fast):
    """Parametrize with implementations and divergences that they take.

    Args:
        rest: names of divergences that are slow for every implementation that does not name them.
        fast: names of divergences, by implementation.
    """
    return pytest.mark.parametrize(
        ("implementation", "row"),
        [
            pytest.param(implementation, row, id=f"{name}-{divergence}", marks=unless(divergence in fast[name]))
            for name, implementation in IMPLEMENTATIONS.items()
            for divergence, row in (SEPARABLE if isinstance(implementation, VocabTile) else ROWS).items()
            if divergence in rest or divergence in fast[name]
        ],
    )


def float32(array):
    """Neither cast nor copied by JAX, which would compile a program for each shape."""
    return jax.device_put(np.asarray(array, np.float32))


def hiddens(seed, width, *, tokens=TOKENS, rows=ROWS_OF_HEAD, vocabulary=VOCABULARY, bias=False, **head):
    """Hidden states whose logits are a few nats apart."""
    rng = np.random.default_rng(seed)
    return Hiddens(
        values=float32(rng.normal(size=(*tokens, width))),
        head=Head(
            weight=float32(rng.normal(size=(rows, width))),
            bias=float32(rng.normal(size=rows)) if bias else None,
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
        "weights": float32(weights),
        "labels": jax.device_put(rng.integers(0, vocabulary, tokens).astype(np.int32)),
        "label_weights": float32(label_weights),
    }


def with_values(hiddens, values):
    return dataclasses.replace(hiddens, values=values)


def with_head(hiddens, **changes):
    return dataclasses.replace(hiddens, head=dataclasses.replace(hiddens.head, **changes))


def lengthened(hiddens, rows, fill=9.0):
    """The same vocabulary in a head of more rows."""
    head = hiddens.head
    more = rows - head.weight.shape[0]
    bias = None if head.bias is None else float32(np.pad(head.bias, (0, more), constant_values=fill))
    weight = float32(np.pad(head.weight, ((0, more), (0, 0)), constant_values=fill))
    return with_head(hiddens, weight=weight, bias=bias)


def filled(hiddens, where, filling):
    """Other hidden states at some positions."""
    return with_values(hiddens, float32(np.where(np.asarray(where)[..., None], filling, hiddens.values)))


def cast(tree, dtype):
    """The same numbers in another precision, as NumPy arrays: float64 ones, too, wherever JAX would round them."""

    def converted(leaf):
        leaf = np.asarray(leaf)
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(converted, tree)


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

    One for all tests, so that equal shapes are compiled once.  Without a divergence the loss is the cross entropy, and
    neither the teacher nor `weights` matters.
    """

    @jax.jit
    def run(student, teacher, given):
        if divergence is None:
            given = {"label_weights": given["label_weights"], "labels": given["labels"]}

        def total(student, teacher):
            if divergence is None:
                loss = linear_cross_entropy(
                    student, given["labels"], weights=given["label_weights"], implementation=implementation
                )
            else:
                loss = linear_divergence(
                    student, teacher, divergence=divergence, implementation=implementation, **given
                )
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


def assert_all_zero(tree):
    for path, leaf in jax.tree.leaves_with_path(tree):
        np.testing.assert_array_equal(leaf, 0, err_msg=jax.tree_util.keystr(path))


def assert_all_finite(tree):
    for path, leaf in jax.tree.leaves_with_path(tree):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)


def assert_gradient_equals_finite_differences(total, arguments, gradient, *, step=1e-3, rtol=1e-2, atol=1e-2):
    """Along a random direction of each leaf of the arguments, the others held."""
    leaves, tree = jax.tree.flatten(jax.tree.map(np.asarray, arguments))
    for place, (leaf, slope) in enumerate(zip(leaves, jax.tree.leaves(gradient), strict=True)):
        direction = np.random.default_rng(place).normal(size=leaf.shape).astype(leaf.dtype)
        ends = [
            total(*tree.unflatten([*leaves[:place], leaf + sign * step * direction, *leaves[place + 1 :]]))
            for sign in (-1, 1)
        ]
        found = (np.float64(ends[1]) - np.float64(ends[0])) / (2 * step)
        expected = (np.asarray(slope, np.float64) * direction).sum()
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=f"leaf {place}")


def assert_equals(loss: LinearLoss, exact: dict, *, rtol=1e-5, atol=2e-6):
    """The loss equals its float64 counterpart field by field; the likeliest token exactly."""
    for field in dataclasses.fields(loss):
        found = getattr(loss, field.name)
        np.testing.assert_allclose(found, exact[field.name], rtol=rtol, atol=atol, err_msg=field.name)
    np.testing.assert_array_equal(loss.argmax, exact["argmax"])
