"""The term of the labels: its value beside its formula, and no work for a gradient that nobody asks for."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.distillation.label_loss import label_loss
from jaxkd.records import Head, Hiddens
from tests.memory import count


@pytest.fixture
def batch(tiny_batch):
    return jax.tree.map(jnp.asarray, tiny_batch)


@pytest.fixture
def student(batch):
    """Hidden states at the targets, and a head of as many rows as the labels need."""
    generator = np.random.default_rng(0)
    rows = int(batch.labels.max()) + 1
    weight = jnp.asarray(generator.normal(size=(rows, 8)), jnp.float32)
    values = jnp.asarray(generator.normal(size=(*batch.labels.shape, 8)), jnp.float32)
    return Hiddens(values=values, head=Head(weight=weight, vocab_size=rows))


def test_it_is_the_mean_cross_entropy_times_its_rate(batch, student):
    mask = np.asarray(batch.loss_mask)
    label_term = label_loss(student, batch, rate=0.25, count=jnp.asarray(2 * mask.sum()))
    logits = np.asarray(student.values, np.float64) @ np.asarray(student.head.weight, np.float64).T
    nats = np.logaddexp.reduce(logits, axis=-1) - np.take_along_axis(logits, batch.labels[..., None], -1)[..., 0]
    np.testing.assert_allclose(label_term.total, 0.25 * nats[mask].mean() / 2, rtol=1e-6)
    np.testing.assert_allclose(label_term.metrics["cross_entropy"].value(), nats[mask].mean(), rtol=1e-6)
    right = logits.argmax(axis=-1) == batch.labels
    np.testing.assert_allclose(label_term.metrics["accuracy"].value(), right[mask].mean(), rtol=1e-6)


def test_without_a_share_it_is_reported_and_has_no_backward_pass(batch, student):
    def products(rate):
        def loss(values):
            label_term = label_loss(dataclasses.replace(student, values=values), batch, rate=rate, count=jnp.asarray(9))
            return label_term.total, label_term.metrics

        gradient = jax.make_jaxpr(jax.value_and_grad(loss, has_aux=True))(student.values)
        return count(gradient.jaxpr, "dot_general")

    assert products(0.0) == 1 < products(0.5)
    label_term, shared = (label_loss(student, batch, rate=rate, count=jnp.asarray(9)) for rate in (0.0, 0.5))
    assert label_term.total == 0
    assert label_term.metrics["cross_entropy"].value() == shared.metrics["cross_entropy"].value()
