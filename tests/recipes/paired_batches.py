"""Batches of two tokenizations, and what becomes of one where the teacher has nothing to say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.data import vocabulary


def first(tiny):
    """With what every method reads."""
    stream = tiny.paired.training_stream("train", tiny.foreign, tiny.teacher, 0, match="edit distance")
    return jax.tree.map(jnp.asarray, next(iter(stream)))


def without_aligned_tokens(batch):
    """The teacher's tokens stand for no text."""
    spans = dataclasses.replace(batch.teacher_spans, ends=batch.teacher_spans.starts)
    return dataclasses.replace(batch, teacher_spans=spans)


def sure_of_an_unknown_token(recipe, batch):
    """Everywhere the teacher's likeliest token is one that the student lacks: hidden states are that token's row."""
    head = np.asarray(recipe.load_frozen()["teacher"]["embedding"], np.float64)
    ids = vocabulary.between(recipe.student, recipe.teacher).student_of_teacher
    missing = next(token for token in np.flatnonzero(ids < 0) if (head @ head[token]).argmax() == token)
    hiddens = jnp.broadcast_to(jnp.asarray(head[missing], jnp.float32), (*batch.teacher.labels.shape, head.shape[1]))
    return dataclasses.replace(batch, teacher=dataclasses.replace(batch.teacher, teacher=hiddens))


def all_zero(tree):
    return all(bool((leaf == 0).all()) for leaf in jax.tree.leaves(tree))
