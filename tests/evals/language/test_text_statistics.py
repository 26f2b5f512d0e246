"""Figures of a set of answers, and what is wrong with them."""

import collections
import math
import random
import re
import zlib

import pytest

from jaxkd.evals.language.text_statistics import findings, findings_by_statistic, text_statistics
from tests.real_texts import contaminated, docstrings

PLANETS = [f"The planet number {n} is made of rock, and its year has {30 * n + 7} days." for n in range(20)]


def test_hand_values():
    health = text_statistics(["one two one two", "one two three"], ended=[True, False])
    assert (health.answers, health.length, health.unended) == (2, 3.5, 0.5)
    assert health.distinct == {1: 3 / 7, 2: 3 / 5, 4: 1.0}
    assert health.entropy == pytest.approx(-(3 / 7 * math.log2(3 / 7) * 2 + 1 / 7 * math.log2(1 / 7)))
    assert text_statistics(["same words here. same words here. other words."]).repeated_sentences == pytest.approx(
        1 / 3
    )
    assert text_statistics(["a"]).unended is None
    assert text_statistics(["word " * 60]).repeated == pytest.approx(1 - 1 / 57)
    assert text_statistics(["short short short short"]).repeated == 0.0
    assert text_statistics([""]).compression == 1.0
    assert text_statistics(["Fine :)", "Fine: yes", "☀", "no"]).emoji == 0.5


def test_a_run_of_symbols_at_the_end_is_no_loop():
    assert text_statistics(["I wonder .....", "-----", "so so so", "a star"]).loops == 0.25


def test_tails_are_of_32_words_and_shorter_answers_have_none():
    long = [" ".join(f"{n}_{place}" for place in range(40)) + " and on" * 16 for n in range(4)]
    health = text_statistics([*long, "short", "short"])
    assert health.distinct_in_tails == {1: 2 / 128, 2: 2 / 124, 4: 2 / 116}
    assert text_statistics(["short", "short"]).distinct_in_tails == {1: 1, 2: 1, 4: 1}


def by_definition(texts):
    """The figures in loops: words by a regular expression, copies of a unit counted at the end."""
    split = [re.findall(r"\w+|[^\w\s]", text.lower()) for text in texts]

    def grams(words, size):
        return ["\0".join(words[start : start + size]) for start in range(len(words)) if start + size <= len(words)]

    def loops(words):
        for size in range(1, 41):
            copies, end = 1, len(words)
            while end - 2 * size >= 0 and words[end - 2 * size : end - size] == words[-size:]:
                copies, end = copies + 1, end - size
            if copies >= 3 and re.search(r"\w", "".join(words[-size:])):
                return True
        return False

    def repeats(values):
        return 1 - len(set(values)) / len(values) if values else 0

    def again(text):
        sentences = [one.strip().lower() for one in re.split(r"[.!?\n]+", text)]
        return repeats([one for one in sentences if len(one) >= 8])

    def mean(values):
        return sum(values) / len(values)

    def varied(parts, size):
        return 1 - repeats([gram for words in parts for gram in grams(words, size)])

    ends = [tuple(words[-8:]) for words in split if len(words) >= 8]
    data = "\n".join(texts).encode()
    counts = collections.Counter(word for words in split for word in words)
    return {
        "length": mean(list(map(len, split))),
        "repeated": mean([repeats(grams(words, 4)) for words in split if len(words) >= 50]),
        "loops": mean(list(map(loops, split))),
        "repeated_sentences": mean(list(map(again, texts))),
        "shared_end": max(ends.count(end) for end in set(ends)) / len(texts),
        "emoji": mean([bool(re.search("[\U0001f300-\U0001faff\u2600-\u27bf]|[:;]-?[)(DP]", one)) for one in texts]),
        "compression": len(data) / len(zlib.compress(data, 9)),
        "entropy": -sum(n / counts.total() * math.log2(n / counts.total()) for n in counts.values()),
        "distinct": {size: pytest.approx(varied(split, size)) for size in (1, 2, 4)},
        "distinct_in_tails": {
            size: pytest.approx(varied([words[-32:] for words in split if len(words) >= 32], size))
            for size in (1, 2, 4)
        },
    }


REAL = random.Random(0).sample(docstrings(), 300)


@pytest.mark.parametrize("texts", [REAL, contaminated(REAL), [f"{text[:80]}{' I am glad.' * 20}" for text in REAL]])
def test_figures_of_real_texts_are_those_of_the_definition(texts):
    health = text_statistics(texts)
    for name, value in by_definition(texts).items():
        assert getattr(health, name) == (value if isinstance(value, dict) else pytest.approx(value)), name


def test_a_collapse_is_far_from_real_texts():
    """Prose that ends in a polite closer, once, thrice or five times, passes each threshold by a wide margin."""
    clean, collapsed = text_statistics(REAL), text_statistics(contaminated(REAL))
    assert clean.shared_end < 0.05 / 3 < 1.0 == collapsed.shared_end
    assert clean.loops < 0.01 < 0.6 < collapsed.loops < 0.75
    assert clean.emoji < 0.02 < 1.0 == collapsed.emoji
    assert 2 * clean.repeated < 0.1 < 0.3 / 2 < collapsed.repeated
    # The heads hide what the tails show.
    assert collapsed.distinct_in_tails[2] < 0.3 * clean.distinct_in_tails[2]


def test_the_tails_show_a_loop_that_the_whole_hides():
    before = [" ".join(f"{n}_{place}" for place in range(200)) for n in range(10)]
    looping = [f"{' '.join(text.split()[:160])} {'on and ' * 20}" for text in before]
    assert text_statistics(looping).distinct[2] > 0.6 * text_statistics(before).distinct[2]
    assert "0.6% of the pairs of words at the ends are distinct, 100.0% of as many" in findings(looping, before)[-1]


def test_shared_ends_are_of_eight_words():
    answers = [*(f"{n} and then some words that all have at the end" for n in range(3)), "short"]
    health = text_statistics(answers)
    assert (health.shared_end, health.shared_beginning) == (0.75, 0.25)


def test_healthy_answers_have_no_findings():
    assert findings(PLANETS, PLANETS) == []
    assert findings(PLANETS, PLANETS[::-1], ended=[True] * 20, reference_ended=[True] * 20) == []


CASES = [
    ([answer + " I hope this helps you, my dear friend!" for answer in PLANETS], "have one end, 5.0%"),
    (["round and " * 40 for _ in PLANETS], "of an answer repeats, 0.0% of the reference's: '... "),
    ([*PLANETS[:-1], "it goes on and on and on and on"], "5.0% of the answers end in a loop, 0.0%"),
    (["It is made of rock, it is made of rock, yes."] * 20, "of the pairs of words at the ends are distinct"),
]


@pytest.mark.parametrize(("answers", "finding"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_went_wrong_is_said(answers, finding):
    assert any(finding in line for line in findings(answers, PLANETS))


@pytest.mark.parametrize(
    ("case", "statistic"), [(0, "shared_end"), (1, "repeated"), (2, "loops"), (3, "distinct_in_tails")]
)
def test_a_finding_is_about_a_statistic(case, statistic):
    answers, finding = CASES[case]
    found = findings_by_statistic(answers, PLANETS)
    assert finding in found[statistic]
    assert list(found.values()) == findings(answers, PLANETS)
    assert found.keys() <= vars(text_statistics(answers)).keys()


def test_answers_that_were_cut_are_counted():
    lines = findings(PLANETS, PLANETS, ended=[False] * 2 + [True] * 18, reference_ended=[True] * 20)
    assert lines == ["10.0% of the answers were cut, 0.0% of the reference's"]


LOOP, END = "and so on and on and on and on", "and I hope that this helps you, my friend!"


@pytest.mark.parametrize(
    ("count", "of", "change", "metric"),
    [(1, 50, LOOP, "loops"), (2, 40, END, "shared_end"), (1, 20, None, "unended")],
)
def test_a_threshold_is_a_finding_only_when_it_is_passed(count, of, change, metric):
    """Two points more of loops, 5 % of one end, and 5 points more of cut answers are none."""
    before = [f"The planet number {n} is made of rock, and the days of its year are {30 * n + 7}." for n in range(of)]
    for number, expected in ((count, set()), (count + 1, {metric})):
        answers = [f"{text} {change}" if change and n < number else text for n, text in enumerate(before)]
        ended = [change is not None or n >= number for n in range(of)]
        found = findings_by_statistic(answers, before, ended=ended, reference_ended=[True] * of)
        assert found.keys() == expected


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="answers must hold at least one, got none"):
        text_statistics([])
    with pytest.raises(ValueError, match="ended must have a value for each of the 2 answers, got 1"):
        text_statistics(["a", "b"], ended=[True])
    with pytest.raises(ValueError, match="reference must answer the same 2 prompts, got 1 answers"):
        findings(["a", "b"], ["a"])
