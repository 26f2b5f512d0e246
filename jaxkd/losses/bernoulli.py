"""Losses of events that happen or do not, each with one logit: cross entropy and divergence."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from jaxkd.losses.divergence.log_space import entropy_summands


def binary_cross_entropy(
    logits: Float[Array, "*events"],
    targets: Float[Array, "*events"] | Integer[Array, "*events"] | Bool[Array, "*events"],
) -> Float[Array, "*events"]:
    """Return -t log sigmoid(z) - (1 - t) log sigmoid(-z), in nats, with z the logits and t the targets.

    Args:
        logits: log-odds of any float dtype; gradients reach them.
        targets: probabilities or labels in [0, 1], gradient-stopped.  Divide a mask of 0 and 255 by 255.

    Returns:
        Per event, float32 (float64 if an input is), >= 0.  A target of 0 or 1 keeps its cost where the probability is
        rounded to it: sigmoid(-30) nats at a logit of 30.  The cost of a certain, wrong logit of +-inf is +inf, that of
        a right one 0.

    Raises:
        ValueError: shapes that differ.

    Source: the negative log-likelihood of a Bernoulli variable.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> binary_cross_entropy(jnp.array([0.0, 100.0]), jnp.array([True, False])).round(4).tolist()
        [0.6930999755859375, 100.0]
    """
    if logits.shape != targets.shape:
        raise ValueError(
            f"targets must have the shape of logits, got {targets.shape} and {logits.shape}. Both have one entry for "
            "each event: a single channel of logits is squeezed first."
        )
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(logits, targets))
    logits, targets = logits.astype(dtype), jax.lax.stop_gradient(targets.astype(dtype))
    # Two products instead of softplus(z) - t z, whose terms cancel where a large logit is right.
    return _product(targets, jax.nn.softplus(-logits)) + _product(1 - targets, jax.nn.softplus(logits))


def bernoulli_divergence(
    student_logits: Float[Array, "*events"], teacher_logits: Float[Array, "*events"], *, temperature: float = 1.0
) -> Float[Array, "*events"]:
    """Return KL(sigmoid(z_t / temperature) || sigmoid(z_s / temperature)), in nats, with z the logits of each side.

    It is `forward_kl` over two outcomes with the logits (z, 0).  No temperature^2 factor is applied: scale the result
    if a method requires it.  `binary_divergence` starts from log-probabilities, of which a temperature takes the root,
    and clips those near 0; at temperature 1 the two are equal up to that clip.  From logits nothing is clipped: the
    gradient, (sigmoid(z_s / temperature) - sigmoid(z_t / temperature)) / temperature, keeps its size where a side is
    certain and wrong.

    Args:
        student_logits: log-odds of any float dtype; gradients reach them.
        teacher_logits: log-odds of the same events; gradient-stopped.  They may be infinite.
        temperature: divides both logits, > 0.

    Returns:
        Per event, float32 (float64 if an input is), >= 0 up to rounding.

    Raises:
        ValueError: shapes that differ, or a temperature that is not positive.

    Source: Hinton et al. (arXiv 1503.02531), section 2, as a divergence between two outcomes.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> student, teacher = jnp.array([0.0, -1e4]), jnp.array([jnp.log(3.0), 1e4])
        >>> [round(nats, 4) for nats in bernoulli_divergence(student, teacher).tolist()]
        [0.1308, 10000.0]
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"teacher_logits must have the shape of student_logits, got {teacher_logits.shape} and "
            f"{student_logits.shape}. Resize the predictions of one side to the other's resolution."
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}.")
    dtype = jnp.promote_types(jnp.float32, jnp.result_type(student_logits, teacher_logits))
    log_q, log_p = (
        _outcomes(one.astype(dtype) / temperature) for one in (student_logits, jax.lax.stop_gradient(teacher_logits))
    )
    return jnp.sum(entropy_summands(log_p, log_q), axis=-1)


def _outcomes(logits: Float[Array, "*events"]) -> Float[Array, "*events 2"]:
    """Return the log-probabilities of each event and of its complement, both exact where they are near 0."""
    return jnp.stack([jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)], axis=-1)


def _product(weights: Float[Array, "*events"], nats: Float[Array, "*events"]) -> Float[Array, "*events"]:
    """Return weights * nats, where 0 times infinity is 0, in the gradient too."""
    counted = weights != 0
    return weights * jnp.where(counted, nats, 0.0)
