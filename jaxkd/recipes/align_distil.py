"""AlignDistil: token-level alignment as distillation from a DPO model and its reverse."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation import forward
from jaxkd.distillation.frozen_model import FrozenModel
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.parts import Part
from jaxkd.distillation.recipe import Distillation
from jaxkd.kernels.softmax.contrast import Reward
from jaxkd.losses import linear_contrast
from jaxkd.losses.reduce import example_count, example_mean_weights, mean_weights, reported
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.records import Hiddens, LossOutput, TokenBatch, Variables
from jaxkd.runtime.hidden_cache import HiddenCache
from jaxkd.runtime.trained_params import origins
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import vocabulary
from jaxkd.typing import Key, Params, Split

if TYPE_CHECKING:
    import grain


REVERSE = "reverse"

MeanOver = Literal["answers", "tokens"]
Shift = Literal["paper", "reference"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignDistil(Distillation):
    """loss = kd_rate * mean over answers of mean over tokens of beta / a * KL(q || p*) + (1 - kd_rate) * CE(label, q).

    The teacher p* is built at each token: its logits are z + a (z - z_reverse), with z from the DPO model and z_reverse
    from the reverse model; the strength a = scale * TV(p, p_reverse) + floor grows with their distance.
    `reward="vanilla"` uses a z + (1 - a) z_reverse, where `reverse` is the reference of the preference training.  For a
    constant strength, set `scale=0` and `floor` = beta_0 / beta.  Wrapped in `OnPolicy`, the student learns from its
    own generations.

    Source: AlignDistil (arXiv 2503.02832), theorem 1, the contrastive reward and the token-adaptive extrapolation;
    checked against songmzhang/AlignDistil@f80ca4e.  Deviation: TV includes the paper's factor 1/2, so `scale` 20 is
    that code's 10 off-policy, and 30 its 15 on-policy; the first token of an answer is learnt and nothing past its end,
    which `shift="reference"` reverses.
    """

    data: PackedText
    reverse: Pretrained
    """Reverse DPO model, or the reference for the vanilla reward; must use the teacher's vocabulary.  Loading rejects
    two runs trained against different references."""
    kd_rate: float = 1.0
    """Share of the teacher's term in the loss, in (0, 1]; the rest is the cross entropy of the labels."""
    scale: float = 20.0
    """Factor on the distance of the two models, >= 0; r in the paper."""
    floor: float = 1e-3
    """Strength where the two models agree, > 0; epsilon in the paper."""
    beta: float = 0.1
    """Beta of the preference training, > 0."""
    reward: Reward = "contrastive"
    """Reward that the teacher maximises: "contrastive" weighs the DPO model against the reverse model, "vanilla"
    against the reference of the preference training."""
    mean: MeanOver = "answers"
    """Unit that the loss averages over: answers, each the mean of its tokens, or all tokens alike."""
    shift: Shift = "paper"
    """Position of each distribution.  "reference" takes it one token later, as the reference code does: it skips an
    answer's first token and learns one past its end."""
    reverse_cache: str | None = None
    """Like `teacher_cache`, for `reverse`; set both or neither."""

    def loss(self, variables: Variables, batch: TokenBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        compared = batch if self.shift == "paper" else _one_later(batch)
        (student, first), second = (
            self.hiddens(variables, self._of(compared, 0), key),
            self._second(variables, compared),
        )
        if self.mean == "answers":
            weights = example_mean_weights(batch.loss_mask, batch.example_ids, counts["examples"])
        else:
            weights = mean_weights(batch.loss_mask, counts["targets"])
        nats = linear_contrast(
            student,
            first,
            second,
            weights=self.kd_rate * weights,
            scale=self.scale,
            floor=self.floor,
            beta=self.beta,
            reward=self.reward,
        )
        metrics = {
            "divergence": reported(nats.divergence, batch.loss_mask),
            "distance": reported(nats.distance, batch.loss_mask),
            "strength": reported(nats.strength, batch.loss_mask),
            # If most tokens are at the floor, the strength was not adapted.
            "at_floor": reported((self.scale * nats.distance < self.floor).astype(jnp.float32), batch.loss_mask),
        }
        if self.shift == "reference":
            return LossOutput(loss=nats.total, state=variables.state, metrics=metrics)
        label_term = label_loss(student, batch, rate=1 - self.kd_rate, count=counts["targets"])
        return LossOutput(
            loss=nats.total + label_term.total, state=variables.state, metrics=metrics | label_term.metrics
        )

    def counts(self, batch: TokenBatch) -> dict[str, Array]:
        return {**super().counts(batch), "examples": example_count(batch.loss_mask, batch.example_ids)}

    def validate(self) -> None:
        super().validate()
        self.data.check_fits(self.reverse.config())
        vocabulary.require_shared(self.teacher, self.reverse, method=type(self).__name__)
        if (self.teacher_cache is None) != (self.reverse_cache is None):
            raise ValueError(
                f"teacher_cache and reverse_cache must be given together, got {self.teacher_cache!r} and "
                f"{self.reverse_cache!r}."
            )
        if not self.scale >= 0:
            raise ValueError(f"scale must be 0 or more, got {self.scale}.")
        for name in ("floor", "beta"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}.")
        for name, choices in (("reward", Reward), ("mean", MeanOver), ("shift", Shift)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {getattr(self, name)!r}.")
        if self.shift == "reference" and (self.kd_rate < 1 or self._cached):
            raise ValueError(
                f'kd_rate must be 1 and teachers live with shift="reference", got {self.kd_rate} and '
                f"{self.teacher_cache!r}: labels and caches are of the paper's positions."
            )

    def abstract_batch(self) -> TokenBatch:
        return self.data.abstract_batch(teacher_width=sum(self._widths) if self._cached else None)

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        if self.teacher_cache is None or self.reverse_cache is None:
            return super().batches(split, seed, share=share)
        tokenizer = self.student.tokenizer()
        opened = [
            self.data.opened(cache, split, model, tokenizer)
            for cache, model in ((self.teacher_cache, self.teacher), (self.reverse_cache, self.reverse))
        ]
        caches = tuple(cache for cache in opened if cache is not None)
        return self.data.training_stream(
            split,
            tokenizer,
            seed,
            cache=_SideBySide(caches),
            share=share,
        )

    def parts(self) -> dict[str, Part]:
        # With "vanilla", `reverse` is the reference itself.
        teacher = self.teacher if self.reward == "contrastive" else None
        return super().parts() | {REVERSE: _Reverse(checkpoint=self.reverse, cached=self._cached, teacher=teacher)}

    def provenance(self) -> str:
        return f"{super().provenance()}; reverse: {self.reverse.provenance()}"

    def _second(self, variables: Variables, batch: TokenBatch) -> Hiddens:
        hiddens = forward.teacher(self.reverse.config(), variables.frozen[REVERSE], self._of(batch, 1))
        return forward.truncate_vocabulary(hiddens, vocabulary.common_prefix_size(self.student, self.teacher))

    def _of(self, batch: TokenBatch, place: int) -> TokenBatch:
        """Select the cached hidden states of one of the two models, if the batch has any."""
        if batch.teacher is None:
            return batch
        start = 0 if place == 0 else self._widths[0]
        return dataclasses.replace(batch, teacher=batch.teacher[..., start : start + self._widths[place]])

    @property
    def _widths(self) -> tuple[int, int]:
        return self.teacher.config().width, self.reverse.config().width


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reverse(FrozenModel):
    """Reverse model; `load` rejects one trained against another reference than the teacher.

    The reference of a model is unknown unless a run here trained it.
    """

    teacher: Pretrained | None

    def load(self) -> Params:
        runs = [model.trained for model in (self.teacher, self.checkpoint) if model is not None]
        references = [origins(Path(run)).get("reference") for run in runs if run is not None]
        if len(references) == 2 and None not in references and references[0] != references[1]:
            raise ValueError(
                f"teacher and reverse must have been trained against one reference, got {runs[0]} with "
                f"{references[0]} and {runs[1]} with {references[1]}. Train both from one checkpoint, and "
                "AlignDistil's student from it too."
            )
        return super().load()


@dataclasses.dataclass(frozen=True)
class _SideBySide:
    """Hidden states of several models at the same targets, concatenated."""

    caches: tuple[HiddenCache, ...]

    def __call__(self, index: int) -> Float[np.ndarray, "k d"]:
        return np.concatenate([cache(index) for cache in self.caches], axis=-1)


def _one_later(batch: TokenBatch) -> TokenBatch:
    """Shift each distribution one token later: to the label's own position, not the one that predicts it."""
    moved = jnp.where(batch.loss_mask, batch.target_positions + 1, 0)
    return dataclasses.replace(batch, target_positions=moved)
