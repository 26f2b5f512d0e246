"""Protocols of the divergences that kernels accept."""

from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Array, Float

GradientTo = Literal["student", "both"]
"""Logits that a divergence's gradient reaches; the teacher's are stopped unless "both"."""


@runtime_checkable
class Divergence(Protocol):
    """A distance between two distributions over one vocabulary, one value per position, in nats.

    Implementations are frozen dataclasses (`jaxkd.losses.ForwardKL`), so that they are hashable
    and a jitted function may close over them.
    """

    @property
    def temperature(self) -> float:
        """Temperature that divides both logits."""
        ...

    @property
    def gradient_to(self) -> GradientTo:
        """Logits that the gradient reaches."""
        ...

    def __call__(
        self, student_logits: Float[Array, "*tokens v"], teacher_logits: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens"]: ...


@runtime_checkable
class SeparableDivergence(Divergence, Protocol):
    """A divergence that is a sum over the vocabulary of a function of one token's two log-probabilities.

    Such a sum can be computed one tile of the vocabulary at a time, or on devices that each hold a part of it.
    """

    @property
    def kl_shares(self) -> tuple[float, float] | None:
        """Return (a, b) if the divergence is a KL(p || q) + b KL(q || p), which saves a sweep; else None."""
        ...

    def summands(
        self, log_q: Float[Array, "*tokens v"], log_p: Float[Array, "*tokens v"], /
    ) -> Float[Array, "*tokens v"]:
        """Return each token's summand; log q is the student's log-probability, log p the teacher's.

        It is differentiable in both; 0 with gradient 0 where both are -inf.
        """
        ...
