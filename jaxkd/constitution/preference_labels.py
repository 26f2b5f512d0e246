"""Labels of pairs of answers by a judge that reads each pair in both orders, by a principle drawn for each prompt."""

import dataclasses
from collections.abc import Sequence

from jaxkd.constitution.principles import PreferencePrinciple
from jaxkd.constitution.reading import read_constitution
from jaxkd.constitution.turns import sample_principle
from jaxkd.evals.judges.pairwise import Question


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairLabel:
    """Probabilities of a judge that read a pair of answers, a first and a second one, in both orders.

    Raises:
        ValueError: a probability outside [0, 1].

    Source: Bai et al., Constitutional AI, arXiv 2212.08073, section 4.1, for probabilities as labels; both orders and
    their mean are ours, as in `jaxkd.evals.language.win_rate`.

    Example:
        >>> biased = PairLabel(first_shown_first=0.9, second_shown_first=0.7)
        >>> round(biased.probability, 6), round(biased.order_disagreement, 6), round(biased.swapped.probability, 6)
        (0.6, 0.6, 0.4)
    """

    first_shown_first: float
    """Probability that the first answer is better, where it is shown first, in [0, 1]."""
    second_shown_first: float
    """Probability that the second answer is better, where that one is shown first, in [0, 1]."""

    def __post_init__(self) -> None:
        for name in ("first_shown_first", "second_shown_first"):
            if not 0 <= (probability := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must be a probability, in [0, 1], got {probability}. Correct the judge.")

    @property
    def probability(self) -> float:
        """Probability that the first answer is better, the mean of both orders: 0.5 for equal answers."""
        return (self.first_shown_first + (1 - self.second_shown_first)) / 2

    @property
    def position_bias(self) -> float:
        """Probability of the answer shown first minus that of the one shown second, mean of both orders, in [-1, 1]."""
        return self.first_shown_first + self.second_shown_first - 1

    @property
    def order_disagreement(self) -> float:
        """Distance between both orders' probabilities that the first answer is better, in [0, 1]."""
        return abs(self.position_bias)

    @property
    def consistent(self) -> bool:
        """Whether both orders prefer the same answer, or neither prefers one."""
        preferred = _side(self.first_shown_first), _side(self.second_shown_first)
        return preferred[0] == -preferred[1]

    @property
    def swapped(self) -> "PairLabel":
        """Label of the same answers in exchanged roles."""
        return PairLabel(first_shown_first=self.second_shown_first, second_shown_first=self.first_shown_first)

    def decided(self, margin: float = 0.0) -> bool:
        """Whether one of the answers is better by the margin: abs(p - 0.5) >= margin, and p is not 0.5."""
        distance = abs(self.probability - 0.5)
        return distance > 0 and distance >= margin


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelStatistics:
    """Reliability of a judge over pairs of answers, each read in both orders."""

    pairs: int
    """Number of pairs."""
    verdicts: int
    """Number of readings with a verdict, of two a pair."""
    no_verdict_share: float
    """Share of the readings without one, as replies that name no letter."""
    first_share: float
    """Mean probability of the answer shown first over these: 0.5 is fair, 1 is a judge that always says (A)."""
    both_orders: int
    """Number of pairs with a verdict in both orders; what follows is over them."""
    position_bias: float
    """Mean probability of the answer shown first minus that of the other, in [-1, 1]; 0 is fair."""
    order_disagreement: float
    """Mean distance between both orders, in [0, 1]."""
    consistent: float
    """Share of the pairs on which both orders prefer the same answer."""


def comparison_principle(constitution: str, *, seed: int, key: str) -> PreferencePrinciple:
    """Sample the principle by which two answers to a prompt are compared, by a hash of seed and key.

    Args:
        constitution: path of a constitution, or its name, as `read_constitution` takes it.
        seed: seed of the draws, which are independent of those for critiques.
        key: key of the prompt.

    Returns:
        The principle.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a constitution that cannot be read, or has no principles for comparisons.

    Source: Bai et al., Constitutional AI, arXiv 2212.08073, section 4.1: one principle a comparison.  Deviation: a
    hash of the key in place of a random number, as in `sample_principle`.

    Example:
        >>> comparison_principle("eight-principles", seed=0, key="jokes.jsonl:3").id
        'the-answer-alone'
    """
    found = read_constitution(constitution).preferences
    if not found:
        raise ValueError(
            f"constitution must have principles for comparisons, got those for critiques alone in {constitution!r}. "
            'Add some as "preferences", or draw from another one.'
        )
    return sample_principle(found, seed=seed, key=key, purpose="preference")


def both_orders(prompt: str, first: str, second: str, *, principle: str) -> tuple[Question, Question]:
    """Return the questions to a judge about a pair of answers: the first shown first, and the second shown first.

    Example:
        >>> question, swapped = both_orders("Name a planet.", "Mars.", "The Sun.", principle="Which answer is truer?")
        >>> (question.first, question.second) == (swapped.second, swapped.first) == ("Mars.", "The Sun.")
        True
    """
    return (
        Question(prompt=prompt, first=first, second=second, principle=principle),
        Question(prompt=prompt, first=second, second=first, principle=principle),
    )


def label(readings: tuple[float | None, float | None]) -> PairLabel | None:
    """Return the label of a pair from a judge's probabilities of the answer shown first in both orders.

    Args:
        readings: probabilities in the order of `both_orders`, None without a verdict.

    Returns:
        The label; None if an order has no verdict, whose bias the other alone would leave in.

    Raises:
        ValueError: a probability outside [0, 1].

    Source: inferred.  Deviation: none.

    Example:
        >>> label((0.75, 0.25)).probability, label((1.0, None))
        (0.75, None)
    """
    first, second = readings
    return None if first is None or second is None else PairLabel(first_shown_first=first, second_shown_first=second)


def clamped(probability: float, clamp: float | None) -> float:
    """Return min(max(p, clamp), 1 - clamp): a label that is at most so sure.

    The mean of both orders is clamped, not each of them: with a bias beyond the clamp both would be clipped to the same
    side, and every mean would be 0.5.

    Args:
        probability: probability p in [0, 1].
        clamp: smallest probability, in [0, 0.5); None clips nothing.

    Returns:
        The probability, in [clamp, 1 - clamp].

    Source: Bai et al., Constitutional AI, arXiv 2212.08073, section 4.1, with a clamp of 0.4 for labels after a chain
    of thought, which are overconfident.  Deviation: none.

    Example:
        >>> clamped(0.95, 0.4), clamped(0.55, 0.4), clamped(0.95, None)
        (0.6, 0.55, 0.95)
    """
    return probability if clamp is None else min(max(probability, clamp), 1 - clamp)


def label_statistics(readings: Sequence[tuple[float | None, float | None]]) -> LabelStatistics:
    """Summarise a judge's probabilities of the answers shown first, two a pair, in the order of `both_orders`.

    Args:
        readings: both probabilities of each pair, None without a verdict.

    Returns:
        The statistics; means over nothing are nan.

    Raises:
        ValueError: no pair, or a probability outside [0, 1].

    Source: Zheng et al., arXiv 2306.05685, section 3.4, for both orders and the consistency between them.  Deviation:
    probabilities in place of verdicts.

    Example:
        >>> found = label_statistics([(1.0, 0.0), (1.0, 1.0), (None, 1.0)])
        >>> found.first_share, found.position_bias, found.consistent, round(found.no_verdict_share, 3)
        (0.8, 0.5, 0.5, 0.167)
    """
    if not readings:
        raise ValueError("readings must hold the probabilities of at least one pair, got none.")
    known = [probability for pair in readings for probability in pair if probability is not None]
    labels = [found for pair in readings if (found := label(pair)) is not None]
    return LabelStatistics(
        pairs=len(readings),
        verdicts=len(known),
        no_verdict_share=1 - len(known) / (2 * len(readings)),
        first_share=_mean(known),
        both_orders=len(labels),
        position_bias=_mean([one.position_bias for one in labels]),
        order_disagreement=_mean([one.order_disagreement for one in labels]),
        consistent=_mean([float(one.consistent) for one in labels]),
    )


def _side(probability: float) -> int:
    """Return 1 above 0.5, -1 below, and 0 at it."""
    return int(probability > 0.5) - int(probability < 0.5)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
