"""Two probabilities of one event, compared: it happens, or it does not."""

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
    """D((a, 1 - a), (b, 1 - b)) with a = p^(1/temperature) of the teacher and b = q^(1/temperature), in nats.

    Texts are unlikely: of two probabilities near 0 a divergence sees nearly nothing but that both events did not
    happen.  A temperature above 1 brings them near 1.  Multiplied by the temperature, the forward KL tends to
    s - t + t log(t / s) with s = -log q and t = -log p, for a temperature without bound.

    Args:
        student_log_probs: nats, at most 0; gradients reach them.
        teacher_log_probs: the same events; gradient-stopped.
        divergence: a sum over the vocabulary, which is here that of two outcomes.  Its own temperature is not read.
        temperature: > 0.

    Returns:
        Per event, float32 (float64 for float64 inputs).  A probability nearer to 1 than the dtype's epsilon counts as
        that, so that 1 has a finite cost.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Minixhofer, Vulić & Ponti, ALM (arXiv 2503.20083), the binarised f-divergence; checked against
    bminixhofer/tokenkit@bcacdef.  Deviation: that code takes 1e-6 off each logarithm, and has its forward divergence
    as a cross entropy, of the same gradient.

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
    """The log-probabilities of an event and of its opposite."""
    wide = log_probs.astype(jnp.promote_types(jnp.float32, log_probs.dtype))
    happens = jnp.minimum(wide, -float(jnp.finfo(wide.dtype).eps)) / temperature
    # -expm1, since 1 - exp of a small number loses it.
    return jnp.stack([happens, jnp.log(-jnp.expm1(happens))], axis=-1)
