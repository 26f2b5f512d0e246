"""MiniLLM: the reverse KL of whole answers, by policy gradient on samples of a student-teacher mixture."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation import forward
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels import linear_divergence, linear_log_probs
from jaxkd.losses import ReverseKL
from jaxkd.losses.divergence.log_space import log_mixture
from jaxkd.losses.reduce import mean_weights, reported
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.on_policy.rollouts import Rollouts
from jaxkd.records import LossOutput, OnPolicyBatch, Rollout, Variables
from jaxkd.sampling import Mixture
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import vocabulary
from jaxkd.typing import Key, Split

if TYPE_CHECKING:
    import grain


@dataclasses.dataclass(frozen=True, kw_only=True)
class MiniLLM(Distillation):
    """loss = (1 - kd_rate) * CE(label, q) on the answers of the data + kd_rate * L on answers y sampled from a mixture.

    Each token is sampled from alpha * p + (1 - alpha) * q, of teacher p and the current student q.  The gradient of L
    is the mean over the sampled tokens y_t of w_t * (grad KL(q || p) - R_t * grad log q(y_t)).  The weight w_t = q(y_t)
    / (alpha * p(y_t) + (1 - alpha) * q(y_t)) corrects for the mixture.  KL(q || p) is over the whole vocabulary at one
    position, and R_t is the mean of log p(y) - log q(y) over the tokens after it, 0 for the last.  L is a surrogate
    whose value is meaningless; read the metrics instead.

    Source: Gu et al. (arXiv 2306.08543), sections 2.2 and 2.3: single-step decomposition, teacher-mixed sampling,
    length normalisation, clipping; checked against microsoft/LMOps@4f2a9de.  Deviation: R is divided by the number of
    tokens after a position, from which the paper subtracts one more; both parts are means over tokens, where it has
    sums over an answer; the corpus of its language-modelling term is the data.  That code also discounts by 0.95,
    counts a token's own log p - log q in R, whitens R over the batch, scales and clips rewards, does not weight the KL,
    adds a forward KL on its corpus, and makes four passes over the samples, where this recipe makes one.
    """

    data: PackedText
    alpha: float = 0.2
    """Share of the teacher in the sampling mixture, in [0, 1); 0 samples from the student alone."""
    clip: float | None = 0.2
    """Clip range: R_t counts as 0 if w_t is further than this from 1 and R_t would move it away; None clips nothing."""
    max_new_tokens: int = 256
    """Largest number of tokens of an answer; one that reaches it has no end to learn."""
    stop_repeated: float | None = None
    """Mean share of repeated 4-grams in a batch's answers above which the run stops: the student has collapsed."""

    def loss(self, variables: Variables, batch: OnPolicyBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        written, mask = batch.on_policy, batch.on_policy.loss_mask
        # No dropout: the weights compare with samples drawn without it.
        student, teacher = self.hiddens(variables, written, None)
        log_q = linear_log_probs(jax.lax.stop_gradient(student), written.labels, mask=mask).values
        log_p = linear_log_probs(teacher, written.labels, mask=mask).values
        importance, rewards = jnp.exp(log_q - log_mixture(log_p, log_q, self.alpha)), log_p - log_q
        advantages = _mean_behind(rewards, mask)
        clipped = self._clipped(importance, advantages)
        weights = self.kd_rate * importance * mean_weights(mask, counts["targets"])
        nats = linear_divergence(
            student,
            teacher,
            weights=weights,
            divergence=ReverseKL(),
            # -log q(y_t), whose negated gradient is the policy's.
            labels=written.labels,
            label_weights=weights * jnp.where(clipped, 0.0, advantages),
        )
        metrics = {
            "divergence": reported(nats.divergence, mask),
            "reward": reported(rewards, mask),
            "importance": reported(importance, mask),
            "clipped": reported(clipped.astype(jnp.float32), mask),
        }
        if batch.off_policy is None:
            return LossOutput(loss=nats.total, state=variables.state, metrics=metrics)
        given, model = batch.off_policy, self.model(variables)
        hiddens = forward.hiddens(model.config, model.params, given, key=key, remat=self.remat)
        label_term = label_loss(hiddens, given, rate=1 - self.kd_rate, count=counts["off_policy"])
        return LossOutput(
            loss=nats.total + label_term.total, state=variables.state, metrics=metrics | label_term.metrics
        )

    def rollout(self, variables: Variables, batch: tuple[Any, ...], key: Key) -> Rollout:
        """Sample the mixture's answers to a global batch of examples, and return this process's rows of it."""
        student = self.model(variables)
        # At alpha = 0 the teacher's forward passes would be wasted.
        mixture = Mixture(
            config=self._over_shared(self.teacher.config()), params=variables.frozen["teacher"], share=self.alpha
        )
        return self._rollouts().rollout(
            dataclasses.replace(student, config=self._over_shared(student.config)),
            batch,
            key,
            mixture=mixture if self.alpha > 0 else None,
        )

    def counts(self, batch: OnPolicyBatch) -> dict[str, Array]:
        given = {} if batch.off_policy is None else {"off_policy": jnp.sum(batch.off_policy.loss_mask)}
        return {**super().counts(batch.on_policy), **given}

    def validate(self) -> None:
        super().validate()
        self.require_live_teacher("A cache holds the teacher's hidden states on the answers of the data.")
        if not 0 <= self.alpha < 1:
            raise ValueError(
                f"alpha must be in [0, 1), got {self.alpha}. At 1 the teacher alone would write the answers: train "
                "SFT on a teacher's answers instead."
            )
        if self.clip is not None and not (math.isfinite(self.clip) and self.clip > 0):
            raise ValueError(f"clip must be above 0 and finite, got {self.clip}. None switches it off.")
        self._rollouts().validate()

    def abstract_batch(self) -> OnPolicyBatch:
        """Return the shapes of the longest possible batch."""
        rollouts = self._rollouts()
        written = rollouts.with_room(self.data).abstract_batch()
        return OnPolicyBatch(on_policy=written, off_policy=rollouts.abstract_off_policy())

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        """Stream examples, not arrays, of all processes' rows: every process takes part in every answer."""
        del share
        return self.data.example_stream(split, self.student, self.teacher, seed)

    def provenance(self) -> str:
        return f"{super().provenance()}; answers of both"

    def _clipped(self, importance: Float[Array, "b k"], advantages: Float[Array, "b k"]) -> Bool[Array, "b k"]:
        """Mask the tokens where PPO's minimum of w R and clip(w) R is the second, which is constant."""
        if self.clip is None:
            return jnp.zeros(importance.shape, bool)
        above, below = importance > 1 + self.clip, importance < 1 - self.clip
        return (above & (advantages > 0)) | (below & (advantages < 0))

    def _over_shared(self, config: DecoderConfig) -> DecoderConfig:
        """Restrict sampling to the tokens that both vocabularies have: the loss compares only these."""
        shared = vocabulary.common_prefix_size(self.student, self.teacher)
        return dataclasses.replace(config, tokens=min(shared, config.tokens or shared))

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            text=self.data,
            student=self.student,
            teacher=self.teacher,
            max_new_tokens=self.max_new_tokens,
            learn_off_policy=self.kd_rate < 1,
            stop_repeated=self.stop_repeated,
        )


def _mean_behind(values: Float[Array, "b k"], mask: Bool[Array, "b k"]) -> Float[Array, "b k"]:
    """Return the mean over the later positions in the mask, 0 if there are none."""

    def behind(summands: Float[Array, "b k"]) -> Float[Array, "b k"]:
        return jnp.pad(jax.lax.cumsum(summands, axis=1, reverse=True)[:, 1:], ((0, 0), (0, 1)))

    return behind(jnp.where(mask, values, 0.0)) / jnp.maximum(behind(mask.astype(values.dtype)), 1)
