"""What a model writes by itself, and what a teacher thinks of it."""

import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp

from jaxkd import forward, frozen_teacher, mesh
from jaxkd.data import vocabulary
from jaxkd.data.examples import Split
from jaxkd.data.pairs import PairedText
from jaxkd.data.text import PackedText
from jaxkd.evals.evaluator import Evaluation, Evaluator
from jaxkd.kernels import linear_divergence
from jaxkd.losses import ReverseKL
from jaxkd.losses.reduce import reported
from jaxkd.models.config import DecoderConfig
from jaxkd.models.language_model import LanguageModel
from jaxkd.models.pretrained import Pretrained
from jaxkd.progress import progress
from jaxkd.records import Mean, PairedBatch, TokenBatch
from jaxkd.rollouts import AS_LEARNT, Rollouts
from jaxkd.sampling import Sampling
from jaxkd.typing import Params

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnAnswers(Evaluator):
    """The answers that a model draws to some prompts, as a teacher sees them: what on-policy distillation minimises.

    A figure on the answers of the data says nothing of the beginnings that a model makes up itself.

    Raises:
        ValueError: a count that is no multiple of the rows of a batch.

    Source: inferred; the KL is that of Agarwal et al., GKD (arXiv 2306.13649), section 3, and of Gu et al., MiniLLM
    (arXiv 2306.08543), per token.  Deviation: none.
    """

    student: Pretrained
    """The checkpoint whose tokenizer the measured model has."""
    teacher: Pretrained
    """Loaded beside the model that is measured."""
    data: PackedText | PairedText
    """Prompts; as many are answered at a time as a batch has rows."""
    count: int
    """Prompts, a multiple of those rows."""
    split: Split = "test"
    max_new_tokens: int = 256
    sampling: Sampling = AS_LEARNT
    seed: int = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        rows = self.data.of_student.rows
        if self.count < 1 or self.count % rows:
            raise ValueError(f"count must be a multiple of the {rows} rows of a batch, got {self.count}.")

    @property
    def name(self) -> str:
        return "own_answers"

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Draw the answers and measure.

        Returns:
            Metrics `teacher_nats`, the teacher's cross entropy of the answers per token of its own; within one
            vocabulary `reverse_kl`, KL(model || teacher) in nats per token; and `length` in tokens, `ended` and
            `repeated`, as `generation_health.health` has them.

        Raises:
            ValueError: a count above the number of prompts.
        """
        rollouts = self._rollouts()
        rollouts.validate()
        rows = self.data.of_student.rows
        known = list(self.data.by_index(self.split, self.student, self.teacher).values())
        if self.count > len(known):
            raise ValueError(
                f"count must be at most the {len(known)} prompts of the {self.split} split, got {self.count}."
            )
        shared = vocabulary.compared_size(self.student, self.teacher) if isinstance(self.data, PackedText) else None
        params = frozen_teacher.load(self.teacher, cached=False)[frozen_teacher.TEACHER]
        ambient = jax.sharding.get_mesh()
        totals: dict[str, Mean] = {}
        health: dict[str, float] = {}
        with progress(self.count, "own answers") as bar:
            for start in range(0, self.count, rows):
                rollout = rollouts.rollout(model, known[start : start + rows], jax.random.key(self.seed))
                batch = rollout.batch.written if ambient.empty else mesh.global_batch(rollout.batch.written, ambient)
                found = _means(model.config, model.params, self.teacher.config(), params, batch, shared)
                for name, mean in jax.device_get(found).items():
                    totals[name] = totals[name] + mean if name in totals else mean
                for name in ("length", "ended", "repeated"):
                    health[name] = health.get(name, 0.0) + rollout.metrics[f"rollout/{name}"] * rows / self.count
                bar.update(start + rows)
        metrics = {name: float(mean.value()) for name, mean in totals.items()}
        _log.info("own answers: %.3g nats per token of %s", metrics["teacher_nats"], self.teacher.provenance())
        return Evaluation(metrics=metrics | health)

    def _rollouts(self) -> Rollouts:
        return Rollouts(
            text=self.data,
            student=self.student,
            teacher=self.teacher,
            max_new_tokens=self.max_new_tokens,
            sampling=self.sampling,
            learn_given=False,
        )


@functools.partial(jax.jit, static_argnums=(0, 2, 5))
def _means(
    config: DecoderConfig,
    params: Params,
    teacher_config: DecoderConfig,
    teacher: Params,
    batch: TokenBatch | PairedBatch,
    shared: int | None,
) -> dict[str, Mean]:
    """With the number of tokens that both heads have, where they are compared."""
    read = batch.teacher if isinstance(batch, PairedBatch) else batch
    nats = {"teacher_nats": reported(forward.token_nats(teacher_config, teacher, read), read.loss_mask)}
    if isinstance(batch, PairedBatch) or shared is None:
        return nats
    ours, theirs = forward.hiddens(config, params, batch), forward.teacher(teacher_config, teacher, batch)
    found = linear_divergence(
        forward.leading_tokens(ours, shared),
        forward.leading_tokens(theirs, shared),
        weights=batch.loss_mask.astype(jnp.float32),
        divergence=ReverseKL(),
    )
    return nats | {"reverse_kl": reported(found.divergence, batch.loss_mask)}
