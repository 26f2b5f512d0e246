"""What a divergence must be for the kernels to take it."""

from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Array, Float

GradientTo = Literal["student", "both"]
"""Whose logits a divergence's gradient reaches; the teacher's are stopped unless asked."""


@runtime_checkable
class Divergence(Protocol):
    """A distance between two distributions over one vocabulary, a value per position, in nats.

    Implementations are frozen dataclasses (`jaxkd.losses.ForwardKL`), so that they are hashable
    and a jitted function may close over them.
    """

    @property
    def temperature(self) -> float:
        """Divides both logits."""
        ...

    @property
    def gradient_to(self) -> GradientTo:
        """Whose logits the gradient reaches."""
        ...

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]: ...


@runtime_checkable
class SeparableDivergence(Divergence, Protocol):
    """A divergence that is a sum over the vocabulary of a function of one token's two log-probabilities.

    Such a sum can be taken a tile of the vocabulary at a time, or on the devices that each hold a
    part of it.
    """

    @property
    def kl_shares(self) -> tuple[float, float] | None:
        """(a, b) where the divergence is a KL(p || q) + b KL(q || p), which saves a sweep; else None."""
        ...

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        """What each token adds: log q is the student's log-probability, log p the teacher's.

        Differentiable in both; 0 with gradient 0 where both are -inf.
        """
        ...
