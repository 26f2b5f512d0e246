"""Teachers stored as their most likely tokens, and divergences from them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels.divergence import Divergence
from jaxkd.records import TopK


def top_k(teacher_logits: Float[Array, "*tokens v"], k: int, *, temperature: float = 1.0) -> TopK:
    """Return the k most likely tokens of each position, their log-probabilities, and that of all others together.

    Args:
        teacher_logits: logits of any float dtype; -inf marks a padding row.
        k: number of tokens to store, from 1 to v.
        temperature: divides the logits, > 0; the record serves divergences of this temperature only.

    Returns:
        `TopK` with float32 values (float64 for float64 inputs).  `exp(log_probs)` and `exp(log_tail)` add up to 1.

    Raises:
        ValueError: a k outside [1, v], or a temperature that is not positive.

    Source: inferred.  Deviation: caches that store the raw logits of k tokens alone lose the mass of the others, and
    methods that renormalise over the k tokens never reduce it.

    Example:
        >>> import jax.numpy as jnp
        >>> record = top_k(jnp.log(jnp.array([0.1, 0.6, 0.3])), 1)
        >>> int(record.ids[0]), round(float(jnp.exp(record.log_tail)), 4)
        (1, 0.4)
    """
    size = teacher_logits.shape[-1]
    if not 1 <= k <= size:
        raise ValueError(f"k must be in [1, {size}], the size of the vocabulary, got {k}.")
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    logits = teacher_logits.astype(jnp.promote_types(jnp.float32, teacher_logits.dtype)) / temperature
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    _, ids = jax.lax.top_k(logits, k)
    return TopK(
        ids=ids,
        log_probs=jnp.take_along_axis(log_probs, ids, axis=-1),
        log_tail=_log_sum_exp(_without(log_probs, ids)),
        temperature=temperature,
        vocab_size=size,
    )


def top_k_divergence(
    divergence: Divergence, student_logits: Float[Array, "*tokens v"], teacher: TopK
) -> Float[Array, "*tokens"]:
    """Return `divergence` over k + 1 events: the teacher's k tokens, and any other token.

    For a divergence that cannot grow when events are merged (all KLs, Jensen-Shannon, the skews, total
    variation) this is a lower bound.  It omits differences between student and teacher within the tail:
    for `ForwardKL` exactly p_tail KL(p(. | tail) || q(. | tail)).  The gradient on the logit of a token in
    the tail is its share of the gradient on the bucket, and is not 0.

    Args:
        divergence: a divergence with the record's temperature.
        student_logits: logits of the student; gradients reach them; -inf marks a padding row.
        teacher: record of the teacher; gradient-stopped.

    Returns:
        Per position, float32 (float64 for float64 inputs).

    Raises:
        ValueError: another temperature, or another vocabulary.

    Source: inferred: the chain rule of the divergence.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.losses import ForwardKL
        >>> student, teacher = jnp.zeros(4), jnp.log(jnp.array([0.7, 0.1, 0.1, 0.1]))
        >>> round(float(top_k_divergence(ForwardKL(), student, top_k(teacher, 1))), 4)  # p_tail = 0.3, q_tail = 0.75
        0.4458
    """
    require_temperature(divergence, teacher)
    if not teacher.vocab_size <= student_logits.shape[-1]:
        raise ValueError(
            f"student_logits must have the {teacher.vocab_size} tokens of the top-k record, got "
            f"{student_logits.shape[-1]}. A divergence compares one vocabulary: align the tokens first."
        )
    logits = student_logits.astype(jnp.promote_types(jnp.float32, student_logits.dtype)) / teacher.temperature
    # Subtract the maximum, because the sum over the tail is rounded to the size of its logits.
    logits -= jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    known = (teacher.ids >= 0) & (teacher.ids < teacher.vocab_size)
    kept = jnp.take_along_axis(logits, jnp.where(known, teacher.ids, 0), axis=-1)
    student = _joined(jnp.where(known, kept, -jnp.inf), _log_sum_exp(_without(logits, teacher.ids)))
    target = jax.lax.stop_gradient(_joined(teacher.log_probs, teacher.log_tail))
    # Both are already at the record's temperature, and the divergence divides by it again.
    return divergence(student * teacher.temperature, target * teacher.temperature)


def require_temperature(divergence: Divergence, teacher: TopK) -> None:
    """Reject a divergence whose temperature differs from the record's."""
    if isinstance(divergence.temperature, jax.Array) or divergence.temperature != teacher.temperature:
        raise ValueError(
            f"divergence.temperature must be the {teacher.temperature} that the top-k record was made at, got "
            f"{divergence.temperature}. Make the record again at that temperature, or keep hidden states instead."
        )


def _joined(kept: Float[Array, "*tokens k"], tail: Float[Array, "*tokens"]) -> Float[Array, "*tokens k+1"]:
    return jnp.concatenate([kept, tail[..., None]], axis=-1)


def _without(logits: Float[Array, "*tokens v"], ids: Int[Array, "*tokens k"]) -> Float[Array, "*tokens v"]:
    """Replace the logits of `ids` by -inf; invalid ids are ignored."""
    size = logits.shape[-1]
    flat, flat_ids = logits.reshape(-1, size), ids.reshape(-1, ids.shape[-1])
    flat_ids = jnp.where(flat_ids < 0, size, flat_ids)  # a negative index would count from the end
    rows = jnp.arange(flat.shape[0])[:, None]
    return flat.at[rows, flat_ids].set(-jnp.inf, mode="drop").reshape(logits.shape)


def _log_sum_exp(logits: Float[Array, "*tokens v"]) -> Float[Array, "*tokens"]:
    """Log-sum-exp that is -inf, with gradient 0, if every logit is -inf."""
    nothing = jnp.all(logits == -jnp.inf, axis=-1)
    safe = jnp.where(nothing[..., None], 0.0, logits)
    return jnp.where(nothing, -jnp.inf, jax.nn.logsumexp(safe, axis=-1))
