"""Logits to compare, and their log-probabilities in float64 NumPy."""

import jax.numpy as jnp
import numpy as np


def host_logits(seed, shape=(8, 12), scale=3.0, dtype=np.float32):
    """In NumPy, whose arithmetic compiles nothing."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32).astype(dtype)


def logits(seed, shape=(4, 9), scale=3.0):
    return jnp.asarray(host_logits(seed, shape, scale))


def log_probs(logits, temperature=1.0):
    logits = np.asarray(logits, np.float64) / temperature
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def kl(log_a, log_b):
    """KL(a || b), where 0 (log 0 - log b) = 0."""
    with np.errstate(invalid="ignore"):
        return np.where(np.exp(log_a) > 0, np.exp(log_a) * (log_a - log_b), 0.0).sum(-1)


STUDENT, TEACHER = np.log(np.float32([0.5, 0.5])), np.log(np.float32([0.75, 0.25]))
"""The pair of the hand values."""
