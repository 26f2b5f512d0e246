"""How Rouge-L is compared with its peers.  Nothing is timed here, and neither peer runs."""

import itertools
import random

import pytest

from benchmarks.environment import Environment
from benchmarks.side_by_side import Sides
from benchmarks.suites import rouge, rouge_worker
from benchmarks.suites.rouge import Pairs
from jaxkd.data import StandardLibrary
from jaxkd.data.examples import Example
from jaxkd.data.text.standard_library import INSTRUCTION

HERE = Environment(device="1 x cpu", machine="none", python="3", versions={})
PAIRS = Pairs(label="two pairs", tokens="char", hypotheses=("前方", "绕行"), references=("前方", "减速"))


def sides(scores, others):
    """Two sides of which the other takes twenty times as long."""
    seconds = itertools.count(1)

    def side(slower, found):
        return lambda **request: {"seconds": slower * next(seconds), "scores": found}

    return Sides(ours=side(1, scores), theirs=side(20, others), environment=HERE)


def test_the_largest_difference_and_the_ratio_within_a_round():
    bar = rouge.FASTER
    difference, ours, theirs, ratio = rouge._beside("peer", sides([1.0, 0.5], [1.0, 0.4]), PAIRS, faster=bar)
    assert difference.figure == "two pairs: largest difference from peer"
    assert difference.value == pytest.approx(0.1)
    assert difference.holds is False
    assert (ours.figure, theirs.figure) == ("two pairs: jaxkd", "two pairs: peer")
    assert ratio.samples == tuple(other / own for own, other in zip(ours.samples, theirs.samples, strict=True))
    assert (len(ratio.samples), str(ratio.bar), ratio.holds) == (5, ">= 10", True)


def test_the_published_pair_must_be_right_in_six_decimals():
    ours, theirs = rouge._published(sides([0.69565217], [0.6957]))
    assert (ours.holds, theirs.holds) == (True, False)
    assert ours.figure == "12 and 11 characters: jaxkd less 0.695652"


def test_our_side_answers():
    hypothesis, reference, value = rouge.PUBLISHED
    found = rouge_worker.answer({"hypotheses": [hypothesis], "references": [reference], "tokens": "char"})
    assert found["scores"] == [pytest.approx(value, abs=5e-7)]
    assert found["seconds"] > 0
    assert rouge_worker.answer({"environment": True})["python"]


def test_edits_drop_swap_and_replace_some_tokens_and_are_the_same_each_time():
    tokens = [str(number) for number in range(10_000)]
    changed = rouge.edited(tokens, ["new"], random.Random(0))
    assert changed == rouge.edited(tokens, ["new"], random.Random(0))
    assert changed[0] == "0"
    # A swap takes two tokens, so 10,000 / 1.1 choices are made, a tenth for each kind of edit; three deviations.
    kept = [int(token) for token in changed if token != "new"]
    swapped = sum(later < earlier for earlier, later in itertools.pairwise(kept))
    for count in (changed.count("new"), len(tokens) - len(changed), swapped):
        assert count == pytest.approx(909, abs=90)
    assert rouge.edited(["only"], ["new"], random.Random(0)) == ["only"]


def test_sentences_are_those_of_documentation_in_ascii(monkeypatch):
    texts = {
        "first": "Return the mean of all values. It is\n    a number! Short one. Return the mean of all values.",
        "second": "Draw Bézier curves through all points.  Lines are drawn where there are two.",
    }
    examples = [
        Example(
            key=name, group=name, messages=(("user", f'{INSTRUCTION}def {name}():\n    """{text}"""'),), response=""
        )
        for name, text in texts.items()
    ]
    monkeypatch.setattr(StandardLibrary, "all_examples", lambda self: tuple(examples))
    assert rouge.sentences() == ["Return the mean of all values.", "Lines are drawn where there are two."]
    pairs = rouge.sentence_pairs(2)
    assert sorted(pairs.references) == sorted(rouge.sentences())
    assert pairs.hypotheses != pairs.references
    assert pairs == rouge.sentence_pairs(2)
