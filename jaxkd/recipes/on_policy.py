"""On-policy distillation: another recipe's divergence, on the student's own generations."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxkd import sharding
from jaxkd.distillation import forward
from jaxkd.distillation.label_loss import label_loss
from jaxkd.distillation.recipe import Distillation
from jaxkd.distillation.student_recipe import NATS
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.on_policy.fresh import Fresh
from jaxkd.on_policy.mode import RolloutMode
from jaxkd.on_policy.replay import Replay
from jaxkd.on_policy.replayed import Replayed
from jaxkd.on_policy.reuse import Reuse
from jaxkd.on_policy.rollouts import AS_LEARNT, Rollouts
from jaxkd.on_policy.sampled_prompts import require_fraction
from jaxkd.on_policy.schedule import Ramp
from jaxkd.records import LossOutput, OnPolicyBatch, Rollout, Variables
from jaxkd.sampling import Sampling
from jaxkd.sharding import WHOLE, Share
from jaxkd.training.recipe import Count, Curve, Recipe
from jaxkd.typing import Key, Params, Split

if TYPE_CHECKING:
    import grain


CrossEntropy = Literal["data", "none"]

_ON_POLICY = {"cross_entropy": "on_policy_cross_entropy", "accuracy": "on_policy_accuracy"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPolicy(Recipe):
    """loss = (1 - kd_rate) * CE(label, q) on the answers of the data + kd_rate * D on those of the student.

    D is the term that `recipe` adds to its cross entropy.  Before each step the current student answers `data.rows`
    prompts, a teacher of another vocabulary reads the answers in its own tokens, and both see them once.  No gradient
    flows through the samples.  The cross entropy of a sampled answer has expected gradient 0, so it is left out.

    Source: Agarwal et al., GKD (arXiv 2306.13649), algorithm 1, whose lambda is `fraction`; the two terms are those of
    DSKDv2 (arXiv 2504.11426) on-policy, as songmzhang/DSKDv2@5025279 has them.  Deviation: `fraction` decides per
    prompt, where both decide once per batch.
    """

    recipe: Distillation
    """Distillation with a live teacher: `LogitKD`, `DSKDv2ETA` and so on."""
    max_new_tokens: int = 256
    """Largest number of tokens of an answer; one that reaches it has no end to learn."""
    sampling: Sampling = AS_LEARNT
    """Options of sampling the student's answers.  Default: from its own distribution, at temperature 1."""
    every: int = 1
    """Steps between rollouts: the student answers the prompts of that many batches at once, and learns from one batch
    per step.  An answer is at most `every - 1` steps old."""
    fraction: float | Ramp = 1.0
    """Share of the prompts that the student answers, in (0, 1], or its schedule over the run; the others keep the
    answers of the data in D too."""
    cross_entropy: CrossEntropy = "data"
    """Answers for the cross-entropy term; "none" leaves it out, and D has weight 1."""
    replay: Replay | None = None
    """DistiLLM's schedule of learning from answers of the data, new ones and replayed ones; None samples new ones."""
    stop_repeated: float | None = None
    """Mean share of repeated 4-grams in a batch's answers above which the run stops: the student has collapsed."""

    @property
    def student(self) -> Pretrained:
        """Student that generates the answers."""
        return self.recipe.student

    def loss(self, variables: Variables, batch: OnPolicyBatch, counts: dict[str, Array], key: Key) -> LossOutput:
        divergence = self._divergence_alone().loss(variables, batch.on_policy, counts, key)
        metrics = {_ON_POLICY.get(name, name): mean for name, mean in divergence.metrics.items()}
        if batch.off_policy is None:
            return dataclasses.replace(divergence, metrics=metrics)
        off_policy, rate = batch.off_policy, self.recipe.kd_rate
        model = self.recipe.model(variables)
        hiddens = forward.hiddens(
            model.config, model.params, off_policy, key=jax.random.fold_in(key, 1), remat=self.recipe.remat
        )
        label_term = label_loss(hiddens, off_policy, rate=1 - rate, count=counts["off_policy"])
        loss = label_term.total + rate * divergence.loss
        return LossOutput(loss=loss, state=divergence.state, metrics=metrics | label_term.metrics)

    def rollout(self, variables: Variables, batch: Any, key: Key) -> Rollout:
        """Sample the student's answers to a global batch of examples, and return this process's rows of it."""
        return self._mode().rollout(variables, lambda: self.model(variables), batch, key)

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        return self._mode().validated(rollout_state, metrics)

    def counts(self, batch: OnPolicyBatch) -> dict[str, Array]:
        off_policy = {} if batch.off_policy is None else {"off_policy": jnp.sum(batch.off_policy.loss_mask)}
        return {**self.recipe.counts(batch.on_policy), **off_policy}

    @property
    def counted(self) -> Count:
        return self.recipe.counted

    def curves(self) -> tuple[Curve, ...]:
        return (*self.recipe.curves(), Curve(metric=_ON_POLICY["cross_entropy"], unit=NATS))

    def prepare(self, variables: Variables) -> Params:
        return self.recipe.prepare(variables)

    def validate(self) -> None:
        if not isinstance(self.recipe, Distillation):
            raise ValueError(f"recipe must be a distillation, got {type(self.recipe).__name__}, which has no teacher.")
        if type(self.recipe).rollout is not Recipe.rollout:
            raise ValueError(
                f"recipe must learn from answers that it is given, got {type(self.recipe).__name__}, which samples "
                "its own. Train it directly."
            )
        if self.recipe.teacher_cache is not None:
            raise ValueError(
                f"recipe.teacher_cache must be None on-policy, got {self.recipe.teacher_cache!r}. A cache holds the "
                "teacher's hidden states on the answers of the data."
            )
        self.recipe.validate()
        require_fraction(self.fraction)
        if self.cross_entropy not in get_args(CrossEntropy):
            choices = ", ".join(get_args(CrossEntropy))
            raise ValueError(f"cross_entropy must be one of {choices}, got {self.cross_entropy!r}.")
        if self.every < 1:
            raise ValueError(f"every must be at least 1 step, got {self.every}.")
        self._rollouts().validate()
        if self.replay is not None:
            self.replay.validate(rows=self.recipe.text.student_text.rows)
            for name, value in (("fraction", self.fraction), ("every", self.every)):
                if value != 1:
                    raise ValueError(f"{name} must be 1 with replay, whose schedule decides, got {value}.")

    def abstract(self) -> Variables:
        return self.recipe.abstract().replace(rollout_state=sharding.with_shardings(self._mode().initial()))

    def init(self, key: Key) -> Variables:
        return self.recipe.init(key).replace(rollout_state=sharding.shard(self._mode().initial()))

    def load_frozen(self) -> Params:
        return self.recipe.load_frozen()

    def load_base(self) -> Params:
        return self.recipe.load_base()

    def abstract_batch(self) -> OnPolicyBatch:
        """Return the shapes of the longest possible batch."""
        own, rollouts = self.recipe, self._rollouts()
        longest = dataclasses.replace(own, data=own.data.reshaped(rollouts.with_room))
        return OnPolicyBatch(on_policy=longest.abstract_batch(), off_policy=rollouts.abstract_off_policy())

    def batches(self, split: Split, seed: int, *, share: Share = WHOLE) -> "grain.IterDataset":
        """Stream examples, not arrays, of all processes' rows: every process takes part in every answer."""
        del share
        batches = self.recipe.text.example_stream(split, self.recipe.student, self.recipe.teacher, seed)
        return self._mode().batches(batches)

    def model(self, variables: Variables) -> LanguageModel:
        return self.recipe.model(variables)

    def provenance(self) -> str:
        return f"{self.recipe.provenance()}; answers of the student"

    def _divergence_alone(self) -> Distillation:
        return dataclasses.replace(self.recipe, kd_rate=1.0)

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            text=self.recipe.text,
            student=self.recipe.student,
            teacher=self.recipe.teacher,
            max_new_tokens=self.max_new_tokens,
            sampling=self.sampling,
            learn_off_policy=self.cross_entropy == "data",
            stop_repeated=self.stop_repeated,
        )

    def _mode(self) -> RolloutMode:
        rollouts = self._rollouts()
        if self.replay is not None:
            return Replayed(rollouts=rollouts, schedule=self.replay)
        if self.every > 1:
            return Reuse(rollouts=rollouts, fraction=self.fraction, every=self.every)
        return Fresh(rollouts=rollouts, fraction=self.fraction)
