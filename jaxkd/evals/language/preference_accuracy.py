"""Accuracy of a model's preferences between two answers, by itself and against a reference."""

import dataclasses
import functools

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxkd.data.preferences.text import PreferenceText
from jaxkd.distillation import answer_log_probs
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import PreferenceBatch
from jaxkd.runtime.progress import progress
from jaxkd.sharding import constrain, mesh
from jaxkd.training.evaluator import Evaluator, Measure
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.typing import Params, Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceAccuracy(Evaluator):
    """Share of the pairs of a split in which the chosen answer has the higher score; equal scores count a half.

    The score is log pi(y | x), its mean over the tokens, and with a reference the reward that preference training
    implies, log pi(y | x) - log pi_ref(y | x).
    """

    data: PreferenceText
    split: Split = "test"
    reference: Pretrained | None = None
    """Reference pi_ref; None leaves the reward out."""

    @property
    def name(self) -> str:
        return "preference_accuracy"

    def measures(self) -> tuple[Measure, ...]:
        """Return the accuracy of the log-probabilities, which the start of a study has without a reference, too."""
        metric = "log_prob_accuracy"
        return (Measure(metric=metric, name="preferences, by log-probability", better="higher", numerator=metric),)

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Score the pairs.

        Returns:
            Metrics `log_prob_accuracy`, `mean_log_prob_accuracy` and `pairs`; with a reference `reward_accuracy`, and
            in nats per answer `reward_margin`, `log_ratio_chosen` and `log_ratio_rejected`, means of
            log pi(y | x) - log pi_ref(y | x); columns `log_prob_margin` and `reward_margin`, one value per
            pair, and 1, 0.5 or 0 under the name of each accuracy, which is their mean.
        """
        pairs = self.data.tokenized(self.split, model.tokenizer)
        lengths = np.array([[len(one.tokens) - one.prompt_length for one in pair.answers] for pair in pairs])
        log_probs = self._log_probs(model.config, model.params, model, len(pairs), "preferences")
        margins = log_probs[:, 0] - log_probs[:, 1]
        means = log_probs / lengths
        right = {"log_prob_accuracy": _points(margins), "mean_log_prob_accuracy": _points(means[:, 0] - means[:, 1])}
        metrics = {"pairs": float(len(pairs))}
        columns = {"log_prob_margin": margins}
        if self.reference is not None:
            params = self.reference.load_sharded()
            ratios = log_probs - self._log_probs(
                self.reference.config(), params, model, len(pairs), "preferences of the reference"
            )
            rewards = ratios[:, 0] - ratios[:, 1]
            right["reward_accuracy"] = _points(rewards)
            metrics |= {
                "reward_margin": float(rewards.mean()),
                "log_ratio_chosen": float(ratios[:, 0].mean()),
                "log_ratio_rejected": float(ratios[:, 1].mean()),
            }
            columns["reward_margin"] = rewards
        return Evaluation(
            metrics={name: float(points.mean()) for name, points in right.items()} | metrics,
            keys=tuple(pair.key for pair in pairs),
            per_example={name: tuple(column.tolist()) for name, column in (columns | right).items()},
        )

    def _log_probs(
        self, config: DecoderConfig, params: Params, model: LanguageModel, pairs: int, title: str
    ) -> Float[np.ndarray, "n 2"]:
        """Log-probabilities of both answers of each pair, in nats."""
        found = np.zeros((pairs, 2))
        with progress(pairs, f"{title}, {self.split}") as bar:
            done = 0
            for batch in self.data.each_once(self.split, model.tokenizer):
                answers = batch.answers
                values = np.asarray(jax.device_get(_scores(config, params, mesh.on_ambient(batch))), np.float64)
                present = np.asarray(answers.loss_mask)
                # The two answers of a pair have consecutive ids, the first even.
                np.add.at(found.reshape(-1), np.asarray(answers.example_ids)[present], values[present])
                done += int(np.count_nonzero(batch.weights))
                bar.update(done, count=int(np.count_nonzero(answers.segment_ids)))
        return found


@functools.partial(jax.jit, static_argnums=0)
def _scores(config: DecoderConfig, params: Params, batch: PreferenceBatch) -> Float[Array, "b k"]:
    """Log-probabilities of the labels, replicated on every process."""
    return constrain(answer_log_probs.of_frozen(config, params, batch.answers), None, None)


def _points(margins: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """1 where the margin is positive, 0 where it is negative, a half where it is 0."""
    return (np.sign(margins) + 1) / 2
