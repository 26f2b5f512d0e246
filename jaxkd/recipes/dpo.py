"""Direct preference optimisation, forward and reverse, with any pairwise loss."""

import dataclasses
from typing import TYPE_CHECKING, Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxkd.data.preferences.text import PreferenceText
from jaxkd.distillation import answer_log_probs
from jaxkd.distillation.frozen_model import FrozenModel
from jaxkd.distillation.parts import Part
from jaxkd.distillation.student_recipe import StudentRecipe
from jaxkd.kernels import linear_log_probs
from jaxkd.losses.preference import DPOLoss, PreferenceLoss
from jaxkd.losses.reduce import masked_sum, mean_weights, reported
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.records import LossOutput, PreferenceBatch, TokenBatch, Variables
from jaxkd.runtime.trained_params import STUDENT
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import vocabulary
from jaxkd.typing import Key, Split

if TYPE_CHECKING:
    import grain


REFERENCE = "reference"

Side = Literal["chosen", "rejected"]
SFTReduction = Literal["tokens", "answers"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DPO(StudentRecipe):
    """loss = mean over pairs of L(better, other) + sft_weight * mean over the better answers' tokens of -log pi(token).

    L compares log pi(y | x) - log pi_ref(y | x) of two answers y to one prompt x, by DPO's loss or another; SimPO and
    ORPO use no reference.  Reverse DPO, `prefer="rejected"`, treats the rejected answer as the better one, with the
    same probability, initial student and reference.

    Source: Rafailov et al. (arXiv 2305.18290), section 4; reverse DPO as in AlignDistil (arXiv 2503.02832), checked
    against songmzhang/AlignDistil@f80ca4e.  Deviation: the cross entropy is a mean over tokens, so that a long answer
    weighs more than a short one, where that code takes the mean of the answers' means (`sft_reduction="answers"`).
    """

    data: PreferenceText
    """Pairs of answers to learn from."""
    objective: PreferenceLoss = DPOLoss()
    """Loss L of a pair, by default that of DPO."""
    prefer: Side = "chosen"
    """Answer of each pair to learn."""
    reference: Pretrained | None = None
    """Reference pi_ref; None is the initial student, or with adapters their base checkpoint, without a second copy."""
    reference_cache: str | None = None
    """Folder written by a `Cache` stage for the reference on this data, "stage:NAME" in a study; None runs the
    reference live."""
    sft_weight: float = 0.0
    """Weight of the better answers' cross entropy, at least 0; it keeps their probability from falling."""
    sft_reduction: SFTReduction = "tokens"
    """Mean over all tokens of the better answers, or with "answers" the mean of the means over each answer's tokens."""

    def loss(self, variables: Variables, batch: PreferenceBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        answers, present = batch.answers, batch.weights > 0
        hiddens = self.student_hiddens(variables, answers, key)
        nats = -linear_log_probs(hiddens, answers.labels, mask=answers.loss_mask).values
        log_probs = answer_log_probs.per_pair(-nats, batch)
        scores = self._normalized(log_probs - self._reference_log_probs(variables, batch), batch)
        better, other = (scores[..., side] for side in self._sides)
        preference = self.objective(better, other, batch.probability)
        weights = batch.weights * mean_weights(present, counts["pairs"])
        learnt = self._learnt(answers)
        if self.sft_reduction == "tokens":
            label_term = masked_sum(nats * mean_weights(learnt, counts["learnt"]), learnt).total
        else:
            answer_nats = _per_token(-log_probs, batch)[..., self._sides[0]]
            label_term = masked_sum(answer_nats * mean_weights(present, counts["answers"]), present).total
        total = masked_sum(preference * weights, present).total + self.sft_weight * label_term
        rewards = self.objective.beta * scores
        metrics = {
            "preference": reported(preference, present),
            "accuracy": reported((better > other).astype(jnp.float32), present),
            "margin": reported(self.objective.beta * (better - other), present),
            "cross_entropy": reported(nats, learnt),
        }
        for side, name in enumerate(get_args(Side)):
            metrics[f"reward_{name}"] = reported(rewards[..., side], present)
            metrics[f"log_prob_{name}"] = reported(log_probs[..., side], present)
        return LossOutput(loss=total, state=variables.state, metrics=metrics)

    def counts(self, batch: PreferenceBatch) -> dict[str, Array]:
        return {
            "pairs": jnp.sum(batch.weights),
            "targets": jnp.sum(batch.answers.loss_mask),
            "learnt": jnp.sum(self._learnt(batch.answers)),
            "answers": jnp.sum(batch.weights > 0),
        }

    def validate(self) -> None:
        self.data.check_fits(self.student.config())
        if self.prefer not in get_args(Side):
            raise ValueError(f"prefer must be one of {', '.join(get_args(Side))}, got {self.prefer!r}.")
        if not self.sft_weight >= 0:
            raise ValueError(f"sft_weight must be 0 or more, got {self.sft_weight}.")
        if self.sft_reduction not in get_args(SFTReduction):
            choices = ", ".join(get_args(SFTReduction))
            raise ValueError(f"sft_reduction must be one of {choices}, got {self.sft_reduction!r}.")
        if not self.objective.reads_reference and (self.reference or self.reference_cache):
            raise ValueError(
                f"reference and reference_cache must be None with {type(self.objective).__name__}, which compares with "
                f"no reference, got {self.reference} and {self.reference_cache!r}."
            )
        if self.reference is not None:
            self.data.check_fits(self.reference.config())
            if vocabulary.common_prefix_size(self.student, self.reference) == 0:
                raise ValueError(
                    f"student and reference must share one vocabulary, got {self.student.path} and "
                    f"{self.reference.path}: log-probabilities of the same tokens are compared."
                )

    def parts(self) -> dict[str, Part]:
        reference = {REFERENCE: FrozenModel(checkpoint=self._pi_ref)} if self._holds_reference else {}
        return super().parts() | reference

    def abstract_batch(self) -> PreferenceBatch:
        return self.data.abstract_batch(reference=self.reference_cache is not None)

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        tokenizer, cache = self.student.tokenizer(), self.reference_cache
        return self.data.training_stream(
            split,
            tokenizer,
            seed,
            reference=None if cache is None else self.data.log_probs(cache, split, self._pi_ref, tokenizer),
            share=share,
        )

    def origins(self) -> dict[str, str]:
        return {REFERENCE: self._pi_ref.fingerprint()} if self.objective.reads_reference else {}

    def provenance(self) -> str:
        reference = f"reference: {self._pi_ref.provenance()}" if self.objective.reads_reference else "no reference"
        return f"student: {self.student.provenance()}; {reference}; learns the {self.prefer} answers"

    def _reference_log_probs(self, variables: Variables, batch: PreferenceBatch) -> Float[Array, "b p 2"] | float:
        if not self.objective.reads_reference:
            return 0.0
        if batch.reference is not None:
            return batch.reference
        params = variables.frozen[REFERENCE if self._holds_reference else STUDENT]
        return answer_log_probs.per_pair(
            answer_log_probs.of_frozen(self._pi_ref.config(), params, batch.answers), batch
        )

    def _normalized(self, sums: Float[Array, "b p 2"], batch: PreferenceBatch) -> Float[Array, "b p 2"]:
        return sums if self.objective.normalization == "sum" else _per_token(sums, batch)

    def _learnt(self, answers: TokenBatch) -> Bool[Array, "b k"]:
        """Mask the targets of the better answers."""
        return answers.loss_mask & (answers.example_ids % 2 == self._sides[0])

    @property
    def _sides(self) -> tuple[int, int]:
        """Indices of the better and of the other answer of a pair."""
        return (0, 1) if self.prefer == "chosen" else (1, 0)

    @property
    def _pi_ref(self) -> Pretrained:
        return self.student if self.reference is None else self.reference

    @property
    def _holds_reference(self) -> bool:
        """Whether the reference is a separate frozen model."""
        live = self.objective.reads_reference and self.reference_cache is None
        return live and not (self.lora is not None and self.reference is None)


def _per_token(sums: Float[Array, "b p 2"], batch: PreferenceBatch) -> Float[Array, "b p 2"]:
    """Divide sums over answers by the answers' lengths."""
    lengths = answer_log_probs.per_pair(jnp.ones(batch.answers.labels.shape), batch)
    return sums / jnp.maximum(lengths, 1)
