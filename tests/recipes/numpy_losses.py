"""Losses re-derived in float64 from logits, for the oracles of the recipes."""

import jax
import numpy as np

from jaxkd.distillation import forward

hiddens = jax.jit(forward.hiddens, static_argnums=0)
"""Hidden states of an architecture, its parameters and a batch, compiled once for a model."""


def logits(hiddens, rows=None):
    """Logits of a `Hiddens` without bias, scale and soft-cap."""
    weight = np.asarray(hiddens.head.weight, np.float64)[: rows or hiddens.head.vocab_size]
    return np.asarray(hiddens.values, np.float64) @ weight.T


def log_softmax(logits, temperature=1.0):
    scaled = logits / temperature
    scaled = scaled - scaled.max(-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))


def cross_entropy(logits, labels):
    return -np.take_along_axis(log_softmax(logits), np.asarray(labels)[..., None], -1)[..., 0]


def forward_kl(student, teacher, temperature=1.0):
    log_q, log_p = log_softmax(student, temperature), log_softmax(teacher, temperature)
    return (np.exp(log_p) * (log_p - log_q)).sum(-1)


def reverse_kl(student, teacher, temperature=1.0):
    return forward_kl(teacher, student, temperature)
