"""Batches of two tokenizations, and what becomes of one where the teacher has nothing to say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.distillation import forward
from jaxkd.records import Head, Hiddens
from jaxkd.tokenizers import pieces, vocabulary
from tests.recipes import numpy_losses as oracle


def first(tiny):
    """With what every method reads."""
    text = dataclasses.replace(tiny.paired, match="edit distance")
    stream = text.distillation_stream("train", tiny.foreign, tiny.teacher, 0)
    return next(iter(stream))


def without_aligned_tokens(batch):
    """The teacher's tokens stand for no text."""
    spans = dataclasses.replace(batch.teacher_spans, ends=batch.teacher_spans.starts)
    return dataclasses.replace(batch, teacher_spans=spans)


def coarse(batch):
    """Every third token of the student's ends within one of the teacher's, so that two of its own stand for that."""
    ours, theirs = (
        dataclasses.replace(spans, starts=2 * spans.starts, ends=2 * spans.ends)
        for spans in (batch.student_spans, batch.teacher_spans)
    )
    followed = ours.segment_ids[:, 1:] == ours.segment_ids[:, :-1]
    moved = np.pad(followed & (np.arange(followed.shape[1]) % 3 == 0), ((0, 0), (0, 1))).astype(np.int32)
    ends, starts = ours.ends - moved, ours.starts.copy()
    starts[:, 1:] -= moved[:, :-1]
    return dataclasses.replace(
        batch, student_spans=dataclasses.replace(ours, starts=starts, ends=ends), teacher_spans=theirs
    )


def with_teacher_hiddens(recipe, batch):
    """As a cache of the teacher fills it in."""
    hiddens = oracle.hiddens(recipe.teacher.config(), recipe.teacher.load(), batch.teacher)
    return dataclasses.replace(batch, teacher=dataclasses.replace(batch.teacher, teacher=np.asarray(hiddens.values)))


def sure_of_an_unknown_token(recipe, batch):
    """Everywhere the teacher's likeliest token is one that the student lacks: hidden states are that token's row."""
    head = np.asarray(recipe.teacher.load()["embedding"], np.float64)
    ids = vocabulary.relation(recipe.student, recipe.teacher).student_of_teacher
    missing = next(token for token in np.flatnonzero(ids < 0) if (head @ head[token]).argmax() == token)
    hiddens = np.broadcast_to(head[missing].astype(np.float32), (*batch.teacher.labels.shape, head.shape[1]))
    return dataclasses.replace(batch, teacher=dataclasses.replace(batch.teacher, teacher=hiddens))


def long(batch, rows, length):
    """Rows of this many targets, which both sides cut alike: a text of one byte a token."""
    places = np.broadcast_to(np.arange(length, dtype=np.int32), (rows, length))
    spans = dataclasses.replace(batch.student_spans, starts=places, ends=places + 1, segment_ids=np.ones_like(places))
    targets = {"labels": np.zeros_like(places), "loss_mask": np.ones((rows, length), bool)}
    return dataclasses.replace(
        batch,
        student=dataclasses.replace(batch.student, **targets),
        teacher=dataclasses.replace(batch.teacher, **targets),
        student_spans=spans,
        teacher_spans=spans,
    )


def loss_of_hiddens(recipe, batch, monkeypatch):
    """A recipe's loss behind the models: a function of both sides' hidden states."""
    batch = jax.device_put(batch)
    variables, counts = recipe.abstract(), recipe.counts(batch)

    def loss(student, teacher):
        monkeypatch.setattr(forward, "hiddens", lambda *_, **__: student)
        monkeypatch.setattr(forward, "teacher", lambda *_, **__: jax.lax.stop_gradient(teacher))
        return recipe.loss(variables, batch, counts, jax.random.key(0)).loss

    return loss


def described(rows, length, width, vocabulary):
    """Shapes of hidden states and their head."""
    head = Head(weight=jax.ShapeDtypeStruct((vocabulary, width), jnp.float32), vocab_size=vocabulary)
    return Hiddens(values=jax.ShapeDtypeStruct((rows, length, width), jnp.float32), head=head)


def starts_a_boundary(model):
    """Whether each token begins with a space, tab or newline, or is special."""
    tokenizer = model.tokenizer()
    found = np.zeros(model.config().vocab_size, bool)
    for index, text in pieces.token_bytes(tokenizer).items():
        found[index] = text[:1] in (b" ", b"\t", b"\n") or index in tokenizer.all_special_ids
    return found


def all_zero(tree):
    return not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(tree))
