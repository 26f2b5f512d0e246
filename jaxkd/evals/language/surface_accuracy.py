"""Accuracy of preferences predicted from surface features, which preference training has to beat."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import optimize, sparse, special

from jaxkd.data.preferences.rows import TokenizedPair
from jaxkd.data.preferences.text import PreferenceText
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.typing import Split

_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Candidate penalties on the squared weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SurfaceAccuracy(Evaluator):
    """Accuracy of two classifiers of pairs that read no text: one sees the lengths, one the token counts.

    They are fitted on the training pairs, and use only the tokenizer of the model.  If one of them comes near the
    accuracy of a model that was trained on the pairs, the pairs are too easy to show anything.
    """

    data: PreferenceText
    split: Split = "test"
    tuned_on: Split = "validation"
    """Split on which the penalty is chosen."""

    @property
    def name(self) -> str:
        return "surface_accuracy"

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Fit both classifiers and compute the metrics.

        Returns:
            Metrics `length_accuracy` and `bag_of_tokens_accuracy`, where a pair that a classifier cannot decide counts
            a half, `penalty` and `pairs`; columns of the two, one value per pair.
        """
        learnt, tuned, measured = (
            self.data.tokenized(split, model.tokenizer) for split in ("train", self.tuned_on, self.split)
        )
        by_length = _points(_length_scores(_lengths(learnt), _lengths(measured)))
        tokens = _differing(learnt)
        features, held_back = _counts(learnt, tokens), _counts(tuned, tokens)
        weights = {penalty: fitted(features, penalty) for penalty in _PENALTIES}
        accuracy = {penalty: float(_points(held_back @ found).mean()) for penalty, found in weights.items()}
        penalty = max(accuracy, key=lambda one: accuracy[one])
        by_tokens = _points(_counts(measured, tokens) @ weights[penalty])
        return Evaluation(
            metrics={
                "length_accuracy": float(by_length.mean()),
                "bag_of_tokens_accuracy": float(by_tokens.mean()),
                "penalty": penalty,
                "pairs": float(len(measured)),
            },
            keys=tuple(pair.key for pair in measured),
            per_example={"length": tuple(by_length.tolist()), "bag_of_tokens": tuple(by_tokens.tolist())},
        )


def fitted(features: sparse.csr_array, penalty: float) -> Float[np.ndarray, " f"]:
    """Weights w of a logistic regression whose rows are all of one class: min sum log(1 + exp(-x w)) + c / 2 w.w.

    Args:
        features: x, [n f]: those of the chosen answer minus those of the rejected one.
        penalty: c, > 0.

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 4.4.  Deviation: none.

    Example:
        >>> fitted(sparse.csr_array([[1.0], [1.0], [-1.0]]), 1e-6).round(3)  # two of three: log 2
        array([0.693])
    """

    def value_and_gradient(weights: Float[np.ndarray, " f"]) -> tuple[float, Float[np.ndarray, " f"]]:
        scores = features @ weights
        value = np.logaddexp(0, -scores).sum() + penalty / 2 * weights @ weights
        return float(value), penalty * weights - features.T @ special.expit(-scores)

    start = np.zeros_like(features.sum(axis=0))
    return optimize.minimize(value_and_gradient, start, jac=True, method="L-BFGS-B").x


def _lengths(pairs: Sequence[TokenizedPair]) -> list[int]:
    return [len(pair.chosen.tokens) - len(pair.rejected.tokens) for pair in pairs]


def _length_scores(learnt: Sequence[int], measured: Sequence[int]) -> Float[np.ndarray, " n"]:
    """Score whether the longer answer was more often chosen among pairs with the same length difference."""
    votes: Counter[int] = Counter()
    for difference in learnt:
        votes[abs(difference)] += int(np.sign(difference))
    return np.array([votes[abs(difference)] * np.sign(difference) for difference in measured], float)


def _differing(pairs: Sequence[TokenizedPair]) -> dict[int, int]:
    """Column of each token whose counts differ within a pair."""
    tokens = {token for pair in pairs for token, count in _difference(pair).items() if count}
    return {token: column for column, token in enumerate(sorted(tokens))}


def _counts(pairs: Sequence[TokenizedPair], columns: dict[int, int]) -> sparse.csr_array:
    """Token counts of the chosen answer minus those of the rejected one, [n f]."""
    entries = [
        (count, row, columns[token])
        for row, pair in enumerate(pairs)
        for token, count in _difference(pair).items()
        if count and token in columns
    ]
    counts, rows, indices = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csr_array((np.array(counts, float), (rows, indices)), shape=(len(pairs), len(columns)))


def _difference(pair: TokenizedPair) -> Counter[int]:
    difference: Counter[int] = Counter(pair.chosen.tokens[pair.chosen.prompt_length :].tolist())
    difference.subtract(pair.rejected.tokens[pair.rejected.prompt_length :].tolist())
    return difference


def _points(scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (np.sign(scores) + 1) / 2
