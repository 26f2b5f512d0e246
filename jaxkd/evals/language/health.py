"""Degeneration of generated text, compared with a reference's answers to the same prompts."""

import dataclasses
import logging
from collections.abc import Sequence

from jaxkd.evals.language.generation_metric import Generation, GenerationMetric, baseline
from jaxkd.evals.language.text_statistics import findings, text_statistics
from jaxkd.training.results.evaluation import Evaluation

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health(GenerationMetric):
    """`text_statistics` of the answers; their `findings` against the reference's are logged, one per line."""

    against: str | None = None
    """Folder of the stage that measured the reference model, "stage:NAME" in a study; None: the answers of the data."""

    @property
    def name(self) -> str:
        return "health"

    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        """Compute the statistics.

        Returns:
            The fields of `TextStatistics` as metrics, and `findings`, their number.  Those for sequences of 1, 2 and 4
            words are `distinct_1`, `distinct_in_tails_1` and so on.
        """
        others = baseline(answers, self.against)
        (texts, ended), (reference, reference_ended) = (
            ([one.text for one in side], [one.ended for one in side]) for side in (answers, others)
        )
        found = findings(texts, reference, ended=ended, reference_ended=reference_ended)
        for line in found:
            _log.warning("generation health: %s", line)
        statistics = dataclasses.asdict(text_statistics(texts, ended))
        by_size = {
            f"{name}_{size}": share
            for name in ("distinct", "distinct_in_tails")
            for size, share in statistics.pop(name).items()
        }
        return Evaluation(metrics={"findings": float(len(found))} | by_size | statistics)
