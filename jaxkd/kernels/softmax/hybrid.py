"""Two distributions over two vocabularies: token by token where both have it, rank by rank where one has not."""

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

    It is a constant of a compiled loss, known by its identity: make it once.
    """

    student_ids: Int[np.ndarray, " m"]
    """Each once."""
    teacher_ids: Int[np.ndarray, " m"]
    """Of the same tokens in the teacher's vocabulary."""

    def partners(self, rows: int) -> Int[np.ndarray, " v"]:
        """The teacher's id of each row of the student's head, -1 where it is not shared."""
        ids = np.full(rows, -1, np.int32)
        ids[self.student_ids] = self.teacher_ids
        return ids

    def of_teacher(self, rows: int) -> Bool[np.ndarray, " v"]:
        """Whether each row of the teacher's head is a shared token."""
        shared = np.zeros(rows, bool)
        shared[self.teacher_ids] = True
        return shared


Parts = tuple[Float[Array, " n"], Float[Array, " n"], Float[Array, " n"]]
"""What the shared tokens add, what the others add, and how much more these may."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hybrid:
    """How two measures, distributions that are each multiplied by a number, are compared."""

    shared: SharedTokens
    divergence: SeparableDivergence
    """Its summands compare the shared tokens."""
    matched_weight: float
    unmatched_weight: float
    top: int | None
    gradient_to: Literal["student"] = "student"
    temperature: Literal[1] = 1
    """A scale is that of one temperature, so that it is the caller's."""

    def __call__(
        self,
        logits: dict[str, Float[Array, "n _"]],
        student_log_scale: Float[Array, " n"],
        teacher_log_scale: Float[Array, " n"],
    ) -> tuple[Float[Array, " n"], Parts]:
        """The distance and its parts; the gradient reaches the student."""
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
        # The teacher's columns go to the student's, not both to a list: the gradient of a gather would be a scatter.
        shared = (partners >= 0)[None]
        theirs = log_p[:, jnp.maximum(partners, 0)]
        summands = self.divergence.summands(jnp.where(shared, log_q, 0.0), jnp.where(shared, theirs, 0.0))
        return jnp.sum(jnp.where(shared, summands, 0.0), axis=-1)

    def _unmatched(
        self, ours: Float[Array, "n vs"], theirs: Float[Array, "n vt"]
    ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """By rank: shared tokens have probability 0 here, which is the same as leaving them out."""
        if self.top is None or self.top >= max(ours.shape[1], theirs.shape[1]):
            distance = rank_distance(ours, theirs)
            return distance, jnp.zeros_like(distance)
        return truncated_rank_distance(ours, theirs, self.top)
