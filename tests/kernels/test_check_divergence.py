"""The check of one's own divergences: it passes all of the library's, and names what is wrong with others."""

import dataclasses

import jax.numpy as jnp
import pytest

from jaxkd import losses
from jaxkd.kernels import check_divergence
from jaxkd.losses.divergence.base import AnyDivergence, Separable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bare(Separable):
    """The forward KL without care for -inf."""

    def summands(self, log_q, log_p, /):
        return jnp.exp(log_p) * (log_p - log_q)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossEntropy(Separable):
    """It is not 0 for equal distributions."""

    def summands(self, log_q, log_p, /):
        return -jnp.exp(log_p) * jnp.maximum(log_q, -1e4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undivided(losses.ForwardKL):
    """Its value ignores the temperature."""

    def __call__(self, student_logits, teacher_logits, /):
        return losses.forward_kl(student_logits, teacher_logits)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Swapped(losses.ForwardKL):
    """Its shares are those of the reverse KL."""

    @property
    def kl_shares(self):
        return 0.0, 1.0


@dataclasses.dataclass(kw_only=True)
class Changeable:
    """It is no frozen dataclass."""

    temperature: float = 1.0
    gradient_to: str = "student"

    def __call__(self, student_logits, teacher_logits, /):
        return losses.forward_kl(student_logits, teacher_logits)


LIBRARY = [kind for kind in vars(losses).values() if isinstance(kind, type) and issubclass(kind, AnyDivergence)]


@pytest.mark.parametrize("kind", [kind for kind in LIBRARY if kind is not AnyDivergence])
def test_the_library_s_own_pass(kind):
    check_divergence(kind(temperature=1.5, gradient_to="both"))


@pytest.mark.parametrize(
    ("divergence", "error", "message"),
    [
        (losses.forward_kl, TypeError, r"divergence must be an instance of a divergence, .* got function"),
        (losses.ForwardKL, TypeError, r"divergence must be an instance of a divergence, .* got ForwardKL"),
        (Changeable(), TypeError, r"Changeable must be hashable, .* Make it a frozen dataclass"),
        (Bare(), ValueError, r"Bare must be finite, .* where both log-probabilities are -inf, .*got \[nan nan\]"),
        (CrossEntropy(), ValueError, r"CrossEntropy must be 0 for equal distributions, got \["),
        (Undivided(temperature=2.0), ValueError, r"the summands of Undivided must add up to its value"),
        (Swapped(), ValueError, r"the kl_shares of Swapped must be None, or .* got \(0\.0, 1\.0\)"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_what_kernels_cannot_compute_is_named(divergence, error, message):
    with pytest.raises(error, match=message):
        check_divergence(divergence)
