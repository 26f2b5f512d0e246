"""Judges of pairs whose truth a program knows: how often they are right, and that a constant bias cancels."""

from collections.abc import Iterator

import numpy as np

from benchmarks import units
from benchmarks.row import Bar, Row
from configs.collapse import KINDS
from configs.constitutional_ai import SOURCE, UNTRAINED
from jaxkd.constitution import CodeJudge, read_constitution
from jaxkd.constitution.preference_labels import PairLabel, both_orders, label, label_statistics
from jaxkd.data import FlawedCode, Preference
from jaxkd.data.examples import subset
from jaxkd.evals import Judge, ModelJudge, ScoringJudge
from jaxkd.evals.judges.local_model import LocalModel
from jaxkd.evals.judges.pairwise import Question
from jaxkd.evals.language.samples import readable

PAIRS = 80
"""Number of pairs of the test split."""
EXACT = 1e-6
"""Bar: distance from 0.5 of the label of two equal answers under a judge with a constant bias."""

_JUDGES: dict[str, Judge] = {
    "by letter": ModelJudge(chat=LocalModel(model=UNTRAINED)),
    "by log-probabilities": ScoringJudge(model=UNTRAINED),
    "program": CodeJudge(),
}


def rows(quick: bool) -> Iterator[Row]:
    """Yield the rows; quick: four pairs."""
    yield from _bias()
    for name in _JUDGES:
        readings = units.kept(_readings, name, 4 if quick else PAIRS)
        found = label_statistics(readings)
        labels = [one for one in map(label, readings) if one is not None]
        yield Row(figure=f"judge, {name}: pairs with a verdict in both orders", value=len(labels), unit="")
        if labels:
            right = [one.probability > 0.5 for one in labels if one.decided()]
            yield Row(figure=f"judge, {name}: pairs that it decides", value=len(right), unit="")
            if right:
                yield Row.share(f"judge, {name}: right where it decides", right)
            yield Row(figure=f"judge, {name}: both orders agree", value=found.consistent, unit="")
            yield Row(figure=f"judge, {name}: position bias", value=found.position_bias, unit="")


def _readings(name: str, count: int) -> list[tuple[float | None, float | None]]:
    """Return a judge's probabilities of the answer read first, with the better one first, then with the worse."""
    principles = {one.id: one.text for one in read_constitution("function-principles").preferences}
    pairs = subset(FlawedCode(source=SOURCE, kinds=KINDS).pairs("test"), count)
    questions = [question for pair in pairs for question in _questions(pair, principles[pair.key.split("!")[1]])]
    found = _JUDGES[name].probabilities(questions)
    return list(zip(found[::2], found[1::2], strict=True))


def _questions(pair: Preference, principle: str) -> tuple[Question, Question]:
    return both_orders(readable(pair.answered(pair.chosen)), pair.chosen, pair.rejected, principle=principle)


def _bias() -> Iterator[Row]:
    """Yield how far from 0.5 the labels of equal answers are under constant biases, and swaps from the identity."""
    biases = np.linspace(0, 1, 101)
    labels = [PairLabel(first_shown_first=float(bias), second_shown_first=float(bias)) for bias in biases]
    yield Row(
        figure="label of equal answers under a constant bias: greatest distance from 0.5",
        value=max(abs(one.probability - 0.5) for one in labels),
        unit="",
        bar=Bar(relation="<=", limit=EXACT),
    )
    pairs = [PairLabel(first_shown_first=float(one), second_shown_first=float(1 - one**2)) for one in biases]
    yield Row(
        figure="labels that two swaps change",
        value=sum(one.swapped.swapped != one for one in pairs),
        unit="",
        bar=Bar(relation="<=", limit=0),
    )
