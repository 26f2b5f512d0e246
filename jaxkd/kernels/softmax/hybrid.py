"""Two distributions over two vocabularies, compared by token for shared tokens and by rank for the others."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxkd.kernels.divergence import SeparableDivergence
from jaxkd.kernels.softmax.ranks import rank_distance, truncated_rank_distance


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SharedTokens:
    """The tokens that two vocabularies have in common.

    It is a constant of a compiled loss and hashed by identity: make it once.
    """

    student_ids: Int[np.ndarray, " m"]
    """Ids in the student's vocabulary, each once."""
    teacher_ids: Int[np.ndarray, " m"]
    """Ids of the same tokens in the teacher's vocabulary."""

    def partners(self, rows: int) -> Int[np.ndarray, " v"]:
        """Return the teacher's id for each row of the student's head; -1 if it is not shared."""
        ids = np.full(rows, -1, np.int32)
        ids[self.student_ids] = self.teacher_ids
        return ids

    def of_teacher(self, rows: int) -> Bool[np.ndarray, " v"]:
        """Return whether each row of the teacher's head is a shared token."""
        shared = np.zeros(rows, bool)
        shared[self.teacher_ids] = True
        return shared


Parts = tuple[Float[Array, " n"], Float[Array, " n"], Float[Array, " n"]]
"""Distance of the shared tokens, distance of the others, and a bound on the error of the latter."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hybrid:
    """Comparison of two measures, each a distribution times a number."""

    shared: SharedTokens
    divergence: SeparableDivergence
    """Divergence whose summands compare the shared tokens."""
    matched_weight: float
    unmatched_weight: float
    top: int | None
    gradient_to: Literal["student"] = "student"
    temperature: Literal[1] = 1
    """Temperature, always 1: a log scale holds for one temperature only, so the caller applies it."""

    def __call__(
        self,
        logits: dict[str, Float[Array, "n _"]],
        student_log_scale: Float[Array, " n"],
        teacher_log_scale: Float[Array, " n"],
    ) -> tuple[Float[Array, " n"], Parts]:
        """Return the distance and its parts; the gradient reaches the student."""
        log_q = jax.nn.log_softmax(logits["student"], axis=-1) + student_log_scale[:, None]
        log_p = jax.lax.stop_gradient(jax.nn.log_softmax(logits["teacher"], axis=-1) + teacher_log_scale[:, None])
        partners = jnp.asarray(self.shared.partners(log_q.shape[1]))
        matched = self._matched(log_q, log_p, partners)
        ours = jnp.where((partners >= 0)[None], 0.0, jnp.exp(log_q))
        theirs = jnp.where(self.shared.of_teacher(log_p.shape[1])[None], 0.0, jnp.exp(log_p))
        unmatched, tail_bound = self._unmatched(ours, theirs)
        distance = self.matched_weight * matched + self.unmatched_weight * unmatched
        return distance, jax.lax.stop_gradient((matched, unmatched, tail_bound))

    def _matched(
        self, log_q: Float[Array, "n vs"], log_p: Float[Array, "n vt"], partners: Int[Array, " vs"]
    ) -> Float[Array, " n"]:
        # Gather the teacher's columns at the student's, not both into a list: the gradient of a gather would be a
        # scatter.
        shared = (partners >= 0)[None]
        theirs = log_p[:, jnp.maximum(partners, 0)]
        summands = self.divergence.summands(jnp.where(shared, log_q, 0.0), jnp.where(shared, theirs, 0.0))
        return jnp.sum(jnp.where(shared, summands, 0.0), axis=-1)

    def _unmatched(
        self, ours: Float[Array, "n vs"], theirs: Float[Array, "n vt"]
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Compare by rank; shared tokens have probability 0 here, which is equivalent to omitting them."""
        if self.top is None or self.top >= max(ours.shape[1], theirs.shape[1]):
            distance = rank_distance(ours, theirs)
            return distance, jnp.zeros_like(distance)
        return truncated_rank_distance(ours, theirs, self.top)
