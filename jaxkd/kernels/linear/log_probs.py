"""Per-position values with separate gradients, from hidden states, without storing all logits.

Only the total of a `LinearLoss` is differentiable: its weights must be known before the sweep.  A loss that is not a
sum over positions, such as the probability of several consecutive tokens, knows them only in the backward pass.  So
here the backward pass runs the sweep that computes the gradient, which costs the products of one more sweep.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.kernels.divergence import Divergence
from jaxkd.kernels.fused import Kernel
from jaxkd.kernels.linear.divergence import LinearLoss, Name, linear_cross_entropy, linear_divergence, require_shape
from jaxkd.records import Hiddens


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LogProbs:
    """Log-probabilities of labels, and the model's most likely tokens."""

    values: Float[Array, "*tokens"]
    """Log-probabilities in nats, each with its own gradient; 0 where the mask is False."""
    argmax: Int[Array, "*tokens"]
    """Most likely token; any id where the mask is False."""


def linear_log_probs(
    hiddens: Hiddens,
    labels: Int[Array, "*tokens"],
    *,
    mask: Bool[Array, "*tokens"],
    implementation: Name | Kernel = "auto",
) -> LogProbs:
    """Return the log-probability of the label at each position, in nats, each differentiable.

    Args:
        hiddens: hidden states and head; gradients reach its values, head weight and head bias.
        labels: token ids; any valid id where the mask is False.
        mask: positions to compute; the others may hold anything.
        implementation: as in `linear_divergence`.

    Returns:
        `LogProbs`, float32 (float64 for float64 inputs); differentiable once, in reverse mode.

    Raises:
        ValueError: shapes that differ, or an unknown implementation.
        TypeError: labels that are not integers.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.records import Head, Hiddens
        >>> hiddens = Hiddens(values=jnp.zeros((3, 2)), head=Head(weight=jnp.ones((8, 2)), vocab_size=8))
        >>> found = linear_log_probs(hiddens, jnp.array([0, 1, 2]), mask=jnp.array([True, True, False]))
        >>> [round(float(value), 4) for value in found.values]  # -log 8
        [-2.0794, -2.0794, 0.0]
    """
    require_shape("mask", mask, hiddens)
    nats, argmax = _values(_CrossEntropy(implementation=implementation), hiddens, labels, mask)
    return LogProbs(values=jnp.where(mask, -nats, 0.0), argmax=argmax)


def linear_divergence_values(
    student: Hiddens,
    teacher: Hiddens,
    *,
    mask: Bool[Array, "*tokens"],
    divergence: Divergence,
    implementation: Name | Kernel = "auto",
) -> Float[Array, "*tokens"]:
    """Return the divergence at each position, in nats, each differentiable.

    Args:
        student: hidden states of the student; gradients reach its values, head weight and head bias.
        teacher: hidden states of the same positions and vocabulary, of any width; gradient-stopped.
        mask: positions to compute; the others may hold anything.
        divergence: compares the two distributions of a position.
        implementation: as in `linear_divergence`.

    Returns:
        Per position, float32 (float64 for float64 inputs), 0 where the mask is False; differentiable once, in reverse
        mode.

    Raises:
        ValueError: as `linear_divergence`.

    Source: inferred.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxkd.losses import ForwardKL
        >>> from jaxkd.records import Head, Hiddens
        >>> def one(probs):
        ...     weight = jnp.log(jnp.array(probs))[:, None]
        ...     return Hiddens(values=jnp.ones((1, 1)), head=Head(weight=weight, vocab_size=len(probs)))
        >>> student, teacher = one([0.5, 0.5]), one([0.75, 0.25])
        >>> nats = linear_divergence_values(student, teacher, mask=jnp.ones(1, bool), divergence=ForwardKL())
        >>> round(float(nats[0]), 4)
        0.1308
    """
    require_shape("mask", mask, student)
    loss = _Divergence(divergence=divergence, implementation=implementation)
    nats, _ = _values(loss, student, jax.lax.stop_gradient(teacher), mask)
    return jnp.where(mask, nats, 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _CrossEntropy:
    implementation: Name | Kernel

    def __call__(
        self, student: Hiddens, target: Int[Array, "*tokens"], weights: Float[Array, "*tokens"], /
    ) -> LinearLoss:
        return linear_cross_entropy(student, target, weights=weights, implementation=self.implementation)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Divergence:
    divergence: Divergence
    implementation: Name | Kernel

    def __call__(self, student: Hiddens, target: Hiddens, weights: Float[Array, "*tokens"], /) -> LinearLoss:
        return linear_divergence(
            student, target, weights=weights, divergence=self.divergence, implementation=self.implementation
        )


_Loss = _CrossEntropy | _Divergence
"""A `LinearLoss` of one term, without its weights; hashable."""


def _evaluate(
    loss: _Loss, student: Hiddens, target: Any, mask: Bool[Array, "*tokens"]
) -> tuple[Float[Array, "*tokens"], Int[Array, "*tokens"]]:
    found = loss(student, target, mask.astype(jnp.float32))
    # One of the two terms is 0.
    return found.cross_entropy + found.divergence, found.argmax


def _forward(
    loss: _Loss, student: Hiddens, target: Any, mask: Bool[Array, "*tokens"]
) -> tuple[tuple[Float[Array, "*tokens"], Int[Array, "*tokens"]], Any]:
    return _evaluate(loss, student, target, mask), (student, target, mask)


def _backward(loss: _Loss, saved: Any, cotangents: tuple[Float[Array, "*tokens"], Any]) -> tuple[Hiddens, None, None]:
    student, target, mask = saved
    weights = jnp.where(mask, cotangents[0], 0.0)
    return jax.grad(lambda student: loss(student, target, weights).total)(student), None, None


_values = jax.custom_vjp(_evaluate, nondiff_argnums=(0,))
_values.defvjp(_forward, _backward)
