"""Check of a divergence of one's own before anything is trained with it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels.divergence import Divergence, SeparableDivergence

_STUDENT = ((0.3, -1.2, 0.9, -jnp.inf), (2.0, 0.1, -0.4, -jnp.inf))
_TEACHER = ((-0.5, 0.8, 0.2, -jnp.inf), (0.0, -1.0, 1.5, -jnp.inf))
_TOLERANCE = 1e-5
"""Some forty roundings of float32 numbers near 1, each of at most 6e-8, and a margin of four."""


def check_divergence(divergence: Divergence) -> None:
    """Check that the kernels compute a divergence as it is defined; call it in the tests of your own.

    It is evaluated on two small distributions with a token that neither has, as behind the padded rows of a head.

    Args:
        divergence: an instance, such as `ForwardKL(temperature=2.0)`.

    Returns:
        Nothing, if all holds.

    Raises:
        TypeError: an object that is no `Divergence`, or that cannot be hashed.
        ValueError: a divergence that is not 0 for equal distributions; one whose value or gradient is not finite where
            both distributions lack a token; a separable one whose summands do not add up to its value, or whose
            `kl_shares` describe another divergence.

    Source: inferred.  Deviation: none.

    Example:
        >>> from jaxkd.losses import ForwardKL
        >>> check_divergence(ForwardKL(temperature=2.0))
    """
    require_divergence(divergence)
    name = type(divergence).__name__
    try:
        hash(divergence)
    except TypeError as error:
        raise TypeError(
            f"{name} must be hashable, as a jitted function closes over it, got: {error}. Make it a frozen dataclass "
            "of hashable fields."
        ) from error
    student, teacher = jnp.array(_STUDENT), jnp.array(_TEACHER)
    values, pull = jax.vjp(divergence, student, teacher)
    if not (_finite(values) and all(map(_finite, pull(jnp.ones_like(values))))):
        raise ValueError(
            f"{name} must be finite, with finite gradients, where both log-probabilities are -inf, as they are for the "
            f"padded rows of a head, got {values}. Let a summand be 0 there, by jnp.where before and after the formula."
        )
    equal = divergence(student, student)
    if not _close(equal, jnp.zeros_like(equal)):
        raise ValueError(f"{name} must be 0 for equal distributions, got {equal}.")
    if isinstance(divergence, SeparableDivergence):
        _require_summands(name, divergence, student, teacher, values)


def require_divergence(divergence: object) -> None:
    """Reject what is no divergence.

    Raises:
        TypeError: another object, such as a function or a class.
    """
    if isinstance(divergence, type) or not isinstance(divergence, Divergence):
        kind = divergence.__name__ if isinstance(divergence, type) else type(divergence).__name__
        raise TypeError(
            f"divergence must be an instance of a divergence, such as jaxkd.losses.ForwardKL(), got {kind}. Your own "
            "is a frozen dataclass with temperature, gradient_to and a call on the logits of student and teacher."
        )


def _require_summands(
    name: str,
    divergence: SeparableDivergence,
    student: Float[Array, "n v"],
    teacher: Float[Array, "n v"],
    values: Float[Array, " n"],
) -> None:
    log_q, log_p = (jax.nn.log_softmax(logits / divergence.temperature) for logits in (student, teacher))
    summands = divergence.summands(log_q, log_p)
    if not _close(jnp.sum(summands, axis=-1), values):
        raise ValueError(
            f"the summands of {name} must add up to its value, {values}, got {jnp.sum(summands, axis=-1)}."
        )
    if divergence.kl_shares is not None:
        forward, reverse = divergence.kl_shares
        gap = jnp.where(jnp.isfinite(log_q), log_p - log_q, 0)
        described = jnp.sum((forward * jnp.exp(log_p) - reverse * jnp.exp(log_q)) * gap, axis=-1)
        if not _close(described, values):
            raise ValueError(
                f"the kl_shares of {name} must be None, or (a, b) where it is a KL(p || q) + b KL(q || p), got "
                f"{divergence.kl_shares}, which is {described} where its value is {values}."
            )


def _finite(values: Array) -> bool:
    return bool(jnp.isfinite(values).all())


def _close(values: Array, others: Array) -> bool:
    return bool(jnp.allclose(values, others, rtol=_TOLERANCE, atol=_TOLERANCE))
