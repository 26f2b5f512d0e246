"""Win rate of a model's answers over another's, by a judge, with measures of the judge's reliability."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from jaxkd.evals.bootstrap import Interval, mean_interval
from jaxkd.evals.judges.pairwise import SCORES, Judge, Question, Verdict
from jaxkd.evals.language.generation_metric import Generation, GenerationMetric, baseline
from jaxkd.evals.language.samples import readable
from jaxkd.training.evaluator import Measure
from jaxkd.training.results.evaluation import Evaluation

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WinRate:
    """Verdicts over pairs of answers, each pair judged in both orders."""

    scores: tuple[float, ...]
    """Score of each pair, the mean of both orders: 1 if ours was found better, 0.5 for a tie, 0 if the other was."""
    consistent: float
    """Share of the pairs on which both orders agree."""
    position_bias: float
    """Share of the verdicts for the answer read first minus that for the one read second, in [-1, 1]; 0 is fair."""
    interval: Interval
    """Win rate, the mean of the scores, with its interval."""

    def share(self, outcome: Verdict) -> float:
        """Share of the pairs that ours ("first") or the other ("second") wins over both orders, or that tie ("tie")."""
        scores = np.asarray(self.scores)
        held = {"first": scores > 0.5, "second": scores < 0.5, "tie": scores == 0.5}
        return float(held[outcome].mean())


def win_rate(
    ours_first: Sequence[Verdict],
    ours_second: Sequence[Verdict],
    *,
    samples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> WinRate:
    """Compute the win rate from a judge's verdicts in both orders.

    Args:
        ours_first: verdict on each pair with our answer read first.
        ours_second: verdict on the same pairs with our answer read second.
        samples: number of resamples of the pairs, for the interval.
        seed: random seed of the resampling.
        confidence: level of the interval, in (0, 1).

    Raises:
        ValueError: no pairs, or a different number in the other order.

    Source: both orders and the consistency between them, Zheng et al. (arXiv 2306.05685), section 3.4.  Deviation: a
    pair whose orders disagree scores the mean of both, as a tie does.

    Example:
        >>> found = win_rate(["first", "first", "tie"], ["second", "first", "tie"])
        >>> found.scores, found.consistent, found.position_bias
        ((1.0, 0.5, 0.5), 0.6666666666666666, 0.3333333333333333)
    """
    if not ours_first or len(ours_first) != len(ours_second):
        raise ValueError(
            f"both orders must have a verdict a pair, and at least one, got {len(ours_first)} and {len(ours_second)}."
        )
    first = np.array([SCORES[verdict] for verdict in ours_first])
    second = 1 - np.array([SCORES[verdict] for verdict in ours_second])
    scores = (first + second) / 2
    return WinRate(
        scores=tuple(scores.tolist()),
        consistent=float((first == second).mean()),
        # 1 if both verdicts are for the answer read first, -1 if both are for the one read second.
        position_bias=float((first - second).mean()),
        interval=mean_interval(scores, samples=samples, seed=seed, confidence=confidence),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged(GenerationMetric):
    """Win rate of a model's answers, each pair judged in both orders."""

    judge: Judge
    against: str | None = None
    """Folder of the stage that evaluated the other model, "stage:NAME" in a study; None: the answers of the data."""

    @property
    def name(self) -> str:
        return "judged"

    def measures(self) -> tuple[Measure, ...]:
        """Return the win rate, which of a model against itself is a half."""
        measure = Measure(metric="win_rate", name="win rate over the data", better="higher", numerator="score")
        if self.against is None:
            return (measure,)
        return (dataclasses.replace(measure, name="win rate over", reference=self.against, at_reference=0.5),)

    def __call__(self, answers: Sequence[Generation]) -> Evaluation:
        """Judge the answers.

        Returns:
            Metrics `win_rate`, its interval's `low` and `high`, the shares of `wins`, `ties` and `losses`,
            `consistent`, `position_bias` and `pairs`; column `score`.
        """
        others = baseline(answers, self.against)
        prompts = [readable(answer.example) for answer in answers]
        ours, theirs = ([answer.text for answer in side] for side in (answers, others))
        verdicts = self.judge(
            [
                Question(prompt=prompt, first=first, second=second)
                for sides in ((ours, theirs), (theirs, ours))
                for prompt, first, second in zip(prompts, *sides, strict=True)
            ]
        )
        found = win_rate(verdicts[: len(answers)], verdicts[len(answers) :])
        interval = found.interval
        _log.info(
            "win rate %.1f %% (%.1f to %.1f) over %d pairs; both orders agree on %.1f %%, position bias %+.2f",
            100 * interval.estimate,
            100 * interval.low,
            100 * interval.high,
            len(answers),
            100 * found.consistent,
            found.position_bias,
        )
        return Evaluation(
            metrics={
                "win_rate": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "wins": found.share("first"),
                "ties": found.share("tie"),
                "losses": found.share("second"),
                "consistent": found.consistent,
                "position_bias": found.position_bias,
                "pairs": float(len(answers)),
            },
            keys=tuple(answer.example.key for answer in answers),
            per_example={"score": found.scores},
        )
