"""Divergences between two probabilities of one event."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxkd.kernels import SeparableDivergence


def binary_divergence(
    student_log_probs: Float[Array, "*events"],
    teacher_log_probs: Float[Array, "*events"],
    *,
    divergence: SeparableDivergence,
    temperature: float = 1.0,
) -> Float[Array, "*events"]:
    """Return D((a, 1 - a), (b, 1 - b)) with a = p^(1/temperature) of the teacher and b = q^(1/temperature), in nats.

    Texts have probabilities near 0, where a divergence between two events is dominated by both not happening.  A
    temperature above 1 moves them towards 1.  Multiplied by the temperature, as the temperature grows without bound the
    forward KL tends to s - t + t log(t / s), with s = -log q and t = -log p.

    Args:
        student_log_probs: log-probabilities in nats, at most 0; gradients reach them.
        teacher_log_probs: log-probabilities of the same events; gradient-stopped.
        divergence: a separable divergence, here over a vocabulary of two outcomes.  Its own temperature is not read.
        temperature: divides the log-probabilities, > 0.

    Returns:
        Per event, float32 (float64 for float64 inputs).  Log-probabilities above -epsilon of the dtype are clipped to
        it, so that probability 1 has a finite cost.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Minixhofer, Vulić & Ponti, ALM (arXiv 2503.20083), the binarised f-divergence; checked against
    bminixhofer/tokenkit@bcacdef.  Deviation: that code subtracts 1e-6 from each logarithm, and its forward divergence
    is a cross entropy, with the same gradient.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.losses import ForwardKL
        >>> nats = binary_divergence(jnp.log(jnp.array(0.5)), jnp.log(jnp.array(0.75)), divergence=ForwardKL())
        >>> round(float(nats), 4)
        0.1308
    """
    if student_log_probs.shape != teacher_log_probs.shape:
        raise ValueError(
            f"teacher_log_probs must have the shape of student_log_probs, got {teacher_log_probs.shape} and "
            f"{student_log_probs.shape}. Give both of the same events."
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    outcomes = [_outcomes(one, temperature) for one in (student_log_probs, jax.lax.stop_gradient(teacher_log_probs))]
    return jnp.sum(divergence.summands(*outcomes), axis=-1)


def _outcomes(log_probs: Float[Array, "*events"], temperature: float) -> Float[Array, "*events 2"]:
    """Return the log-probabilities of an event and of its complement."""
    wide = log_probs.astype(jnp.promote_types(jnp.float32, log_probs.dtype))
    happens = jnp.minimum(wide, -float(jnp.finfo(wide.dtype).eps)) / temperature
    # Use -expm1, since 1 - exp(x) loses precision for small x.
    return jnp.stack([happens, jnp.log(-jnp.expm1(happens))], axis=-1)
