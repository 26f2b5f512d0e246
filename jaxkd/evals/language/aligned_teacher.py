"""Distance of a model from a teacher with another vocabulary, at the exactly aligned tokens."""

import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.alignment.exact_token import align
from jaxkd.data.text.paired_text import PairedText
from jaxkd.distillation import forward
from jaxkd.distillation.frozen_model import FrozenModel
from jaxkd.evals.language.structure import structure_distances
from jaxkd.kernels import linear_argmax
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import Mean, PairedBatch
from jaxkd.sharding import mesh
from jaxkd.tokenizers import vocabulary
from jaxkd.training.evaluator import Column, Evaluator
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.typing import Params, Split

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignedTeacher(Evaluator):
    """Agreement with a teacher, and distance of the structures, at the exactly aligned tokens.

    Source: the analysis of DSKD (arXiv 2406.17328), section 4.  Deviation: that of
    `jaxkd.evals.language.structure.structure_distances`; that code compares models of one vocabulary.
    """

    teacher: Pretrained
    student: Pretrained
    """Checkpoint with the evaluated model's tokenizer."""
    data: PairedText
    split: Split = "validation"
    teacher_cache: str | None = None
    """Folder of a `Cache` stage for `teacher`, `data.teacher` and `split`, "stage:NAME" in a study; None runs
    the teacher."""

    @property
    def name(self) -> str:
        return "aligned_teacher"

    def columns(self) -> tuple[Column, ...]:
        return (Column(metric="coverage", name="aligned"), Column(metric="agreement", name="agreement there"))

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Compute the metrics.

        Returns:
            Metrics `coverage`, the share of the model's targets that are aligned; `agreement`, among these, the share
            with the same argmax, 0 where the model lacks the teacher's token; `cosine_distance` and
            `inner_product_distance`, means over answers; and `tokens`, the number of aligned targets.
        """
        config = self.teacher.config()
        teacher = FrozenModel(checkpoint=self.teacher, cached=self.teacher_cache is not None).load()
        ids = vocabulary.relation(self.student, self.teacher).student_of_teacher
        totals: dict[str, Mean] = {}
        for batch in self.data.each_once(self.split, self.student, self.teacher, teacher_cache=self.teacher_cache):
            sharded = mesh.on_ambient(batch)
            found = jax.device_get(_means(config, teacher, model.config, model.params, sharded, jnp.asarray(ids)))
            totals = {name: totals[name] + mean if name in totals else mean for name, mean in found.items()}
        metrics = {name: float(mean.value()) for name, mean in totals.items()}
        tokens = float(totals["agreement"].count)
        _log.info(
            "agreement with %s: %.1f %% of %d aligned tokens, which are %.1f %% of all",
            *(self.teacher.provenance(), 100 * metrics["agreement"], tokens, 100 * metrics["coverage"]),
        )
        return Evaluation(metrics={**metrics, "tokens": tokens})


@functools.partial(jax.jit, static_argnums=(0, 2))
def _means(
    teacher_config: DecoderConfig,
    teacher: Params,
    config: DecoderConfig,
    params: Params,
    batch: PairedBatch,
    in_student_vocabulary: Int[Array, " v"],
) -> dict[str, Mean]:
    pairs = align(batch.student_spans, batch.teacher_spans)
    ours = forward.gather_positions(forward.hiddens(config, params, batch.student), pairs.student)
    theirs = forward.gather_positions(forward.teacher(teacher_config, teacher, batch.teacher), pairs.teacher)
    same = in_student_vocabulary[linear_argmax(theirs, pairs.mask)] == linear_argmax(ours, pairs.mask)
    segments = jnp.take_along_axis(batch.student_spans.segment_ids, pairs.student, axis=1)
    together = (segments[:, :, None] == segments[:, None, :]) & pairs.mask[:, :, None] & pairs.mask[:, None, :]
    return {
        "coverage": Mean(total=_count(pairs.mask), count=_count(batch.student.loss_mask)),
        "agreement": Mean(total=_count(same & pairs.mask), count=_count(pairs.mask)),
        **structure_distances(ours.values, theirs.values, together),
    }


def _count(mask: Bool[Array, "..."]) -> Float[Array, ""]:
    return jnp.sum(mask, dtype=jnp.float32)
