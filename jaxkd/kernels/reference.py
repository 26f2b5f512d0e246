"""The distillation loss from hidden states, written the obvious way: the oracle of every kernel."""

import dataclasses
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.kernels.head_logits import head_logits
from jaxkd.records import Hiddens
from jaxkd.typing import Scalar


@runtime_checkable
class Divergence(Protocol):
    """A distance between two distributions over one vocabulary, a value per position, in nats.

    Implementations are frozen dataclasses (`jaxkd.losses.ForwardKL`), so that they are hashable
    and a jitted function may close over them.
    """

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]: ...


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearLoss:
    """A weighted sum that can be differentiated, and what it was made of, which cannot."""

    total: Scalar
    """Sum over positions of `weights * divergence + label_weights * cross_entropy`."""
    divergence: Float[Array, "*tokens"]
    """Nats per position, gradient-stopped; 0 where no teacher was given."""
    cross_entropy: Float[Array, "*tokens"]
    """Nats per position, gradient-stopped; 0 where no labels were given."""
    argmax: Int[Array, "*tokens"]
    """The student's most likely token."""
    lse: Float[Array, "*tokens"]
    """Log-sum-exp of the student's logits, gradient-stopped."""


def reference(
    student: Hiddens,
    teacher: Hiddens | None,
    *,
    weights: Float[Array, "*tokens"] | None,
    divergence: Divergence | None,
    labels: Int[Array, "*tokens"] | None,
    label_weights: Float[Array, "*tokens"] | None,
) -> LinearLoss:
    """Both logits at once; see `linear_divergence` for the meaning of the arguments."""
    logits = head_logits(student)
    lse = jax.nn.logsumexp(logits, axis=-1)
    nothing = jnp.zeros_like(lse)
    total = jnp.zeros((), lse.dtype)
    values = cross_entropy = nothing
    if teacher is not None and divergence is not None and weights is not None:
        values = divergence(logits, head_logits(jax.lax.stop_gradient(teacher)))
        total += _weighted_sum(weights, values)
    if labels is not None and label_weights is not None:
        cross_entropy = lse - jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
        total += _weighted_sum(label_weights, cross_entropy)
    stopped = jax.lax.stop_gradient((values, cross_entropy, lse))
    return LinearLoss(
        total=total,
        divergence=stopped[0],
        cross_entropy=stopped[1],
        argmax=jnp.argmax(logits, axis=-1),
        lse=stopped[2],
    )


def _weighted_sum(weights: Float[Array, "*tokens"], values: Float[Array, "*tokens"]) -> Scalar:
    """Positions of weight 0 are left out, not multiplied: what padding holds never reaches the total."""
    weights = jax.lax.stop_gradient(weights)
    return jnp.sum(weights * jnp.where(weights == 0, 0.0, values))
