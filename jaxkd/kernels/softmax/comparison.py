"""A separable divergence and the cross entropy over parts of the vocabulary: values, and gradients of logits.

With log q = z / T - log sum exp(z / T) and a divergence D = sum_v f(log q_v, log p_v), the gradient is
dD/dz_v = (g_v - q_v sum_u g_u) / T where g = df/dlog q, and the same for the teacher with h = df/dlog p.
So three sweeps over the vocabulary suffice: one for the two log-sum-exps, one for the sums of f, g and h,
one for the gradient.  If D is a mixture of KL(p || q) and KL(q || p) the second sweep is unnecessary: the sums
follow from means under p and q, which the first sweep also computes.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels.divergence import SeparableDivergence
from jaxkd.kernels.inputs import Targets
from jaxkd.kernels.softmax.statistics import Statistics


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Sums:
    """Per-token sums over the vocabulary of a divergence's summands and of their derivatives."""

    divergence: Float[Array, " n"]
    student_slope: Float[Array, " n"]
    """sum_v df/dlog q_v."""
    teacher_slope: Float[Array, " n"]
    """sum_v df/dlog p_v."""

    @classmethod
    def of(
        cls,
        divergence: SeparableDivergence,
        statistics: Statistics,
        logits: dict[str, Float[Array, "n r"]],
    ) -> "Sums":
        """Return the sums over one part of the vocabulary, from both sides' logits; parts are added leaf by leaf."""
        log_q, log_p = _log_probs(divergence, statistics, logits)
        summands, student_slopes, teacher_slopes = _slopes(divergence, log_q, log_p)
        return cls(
            divergence=jnp.sum(summands, axis=-1),
            student_slope=jnp.sum(student_slopes, axis=-1),
            teacher_slope=jnp.sum(teacher_slopes, axis=-1),
        )

    @classmethod
    def empty(cls, tokens: int, dtype: jnp.dtype) -> "Sums":
        """Return the empty sums."""
        zero = jnp.zeros(tokens, dtype)
        return cls(divergence=zero, student_slope=zero, teacher_slope=zero)

    @classmethod
    def from_means(cls, shares: tuple[float, float], statistics: Statistics) -> "Sums":
        """Return the sums over the whole vocabulary for D = forward KL(p || q) + reverse KL(q || p).

        df/dlog q_v = -forward p_v + reverse q_v (log q_v - log p_v + 1), whose sum is
        -forward + reverse (KL(q || p) + 1); and the same with the sides swapped.
        """
        totals = {side: softmax.total for side, softmax in statistics.softmaxes.items()}
        means = {side: moment / totals[side] for side, moment in statistics.moments.items()}
        shift = jnp.log(totals["student"] / totals["teacher"])  # one logarithm: two near log V would cancel
        forward, reverse = shares
        forward_kl = means["teacher"] + shift if forward else jnp.zeros_like(shift)
        reverse_kl = means["student"] - shift if reverse else jnp.zeros_like(shift)
        return cls(
            divergence=forward * forward_kl + reverse * reverse_kl,
            student_slope=reverse * (reverse_kl + 1) - forward,
            teacher_slope=forward * (forward_kl + 1) - reverse,
        )

    def across(self, axis: str | None) -> "Sums":
        """Return the sums over all devices along a mesh axis."""
        return self if axis is None else jax.lax.psum(self, axis)


def divergence_gradients(
    divergence: SeparableDivergence, statistics: Statistics, sums: Sums, logits: dict[str, Float[Array, "n r"]]
) -> dict[str, Float[Array, "n r"]]:
    """Return the derivative of each token's divergence by one part of each side's logits."""
    log_q, log_p = _log_probs(divergence, statistics, logits)
    _, student_slopes, teacher_slopes = _slopes(divergence, log_q, log_p)
    to_student = student_slopes - jnp.exp(log_q) * sums.student_slope[:, None]
    to_teacher = teacher_slopes - jnp.exp(log_p) * sums.teacher_slope[:, None]
    return {"student": to_student / divergence.temperature, "teacher": to_teacher / divergence.temperature}


def total_gradients(
    slopes: dict[str, Float[Array, "n r"]],
    statistics: Statistics,
    student: Float[Array, "n r"],
    *,
    ids: Int[Array, " r"],
    targets: Targets,
) -> dict[str, Float[Array, "n r"]]:
    """Return the derivative of the total by one part of the logits: weighted slopes plus the cross entropy's."""
    gradients = {}
    if targets.weights is not None:
        gradients = {side: weighted(targets.weights, slope) for side, slope in slopes.items()}
    if targets.labels is not None and targets.label_weights is not None:
        # softmax - one hot
        nats = jnp.exp(statistics.sharp.log_probs(student)) - (targets.labels[:, None] == ids[None, :])
        nats = weighted(targets.label_weights, nats)
        gradients["student"] = gradients["student"] + nats if "student" in gradients else nats
    return gradients


def weighted(weights: Float[Array, " n"] | None, slopes: Float[Array, "n r"]) -> Float[Array, "n r"]:
    """Return `weights * slopes`, or 0 where there is no weight or it is 0, whatever the slope."""
    if weights is None:
        return jnp.zeros_like(slopes)
    return jnp.where(weights[:, None] == 0, 0.0, weights[:, None] * slopes)


def _log_probs(
    divergence: SeparableDivergence, statistics: Statistics, logits: dict[str, Float[Array, "n r"]]
) -> tuple[Float[Array, "n r"], Float[Array, "n r"]]:
    """Return log q and log p."""
    log_probs = {
        side: statistics.softmaxes[side].log_probs(one / divergence.temperature) for side, one in logits.items()
    }
    return log_probs["student"], log_probs["teacher"]


def _slopes(
    divergence: SeparableDivergence, log_q: Float[Array, "n r"], log_p: Float[Array, "n r"]
) -> tuple[Float[Array, "n r"], Float[Array, "n r"], Float[Array, "n r"]]:
    """Return each token's summands and their derivatives by log q and by log p."""
    summands, pull = jax.vjp(divergence.summands, log_q, log_p)
    return summands, *pull(jnp.ones_like(summands))
