"""Degeneration of generated text, compared with a reference's answers to the same prompts."""

import dataclasses
import logging
from collections.abc import Sequence

from jaxkd.evals.language.generation_metric import Generation, GenerationMetric, baseline
from jaxkd.evals.language.text_statistics import ENDS, findings, findings_by_statistic, text_statistics
from jaxkd.metrics.emoji import emoji
from jaxkd.metrics.text_repetition import TAIL, is_loop, words
from jaxkd.training.evaluator import Measure
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

    def measures(self) -> tuple[Measure, ...]:
        """Return what degenerates: each answer by itself with an interval, all answers together without one."""
        return (
            Measure(metric="shared_end", name=f"answers with one end of {ENDS} words", better="lower"),
            Measure(metric="loops", name="answers that end in a loop", better="lower", numerator="loops"),
            Measure(metric="repeated", name="repetition within an answer", better="lower"),
            Measure(
                metric="distinct_in_tails_2", name=f"distinct word pairs in the last {TAIL} words", better="higher"
            ),
            Measure(metric="emoji", name="answers with an emoji", better=None, numerator="emoji"),
            Measure(metric="unended", name="unfinished answers", better="lower", numerator="unended"),
        )

    def findings(self, evaluation: Evaluation, start: Evaluation) -> dict[str, str]:
        """Return the `findings` against the start's answers, whichever model `against` names."""
        (texts, ended), (reference, reference_ended) = (
            ([sample.text for sample in side.samples], [bool(one) for one in side.per_example["ended"]])
            for side in (evaluation, start)
        )
        found = findings_by_statistic(texts, reference, ended=ended, reference_ended=reference_ended)
        return {"distinct_in_tails_2" if name == "distinct_in_tails" else name: line for name, line in found.items()}

    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        """Compute the statistics.

        Returns:
            The fields of `TextStatistics` as metrics, and `findings`, their number.  Those for sequences of 1, 2 and 4
            words are `distinct_1`, `distinct_in_tails_1` and so on.  Columns `loops`, `emoji` and `unended`, whose
            means the metrics are.
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
        columns = {
            "loops": [is_loop(words(text)) for text in texts],
            "emoji": [bool(emoji(text)) for text in texts],
            "unended": [not one for one in ended],
        }
        return Evaluation(
            metrics={"findings": float(len(found))} | by_size | statistics,
            keys=tuple(answer.example.key for answer in answers),
            per_example={name: tuple(map(float, column)) for name, column in columns.items()},
        )
