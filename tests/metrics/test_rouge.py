"""Rouge-L: hand values, laws, a plain dynamic programme, jieba and rouge_score where they are installed."""

import importlib.util
import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxkd.data import StandardLibrary
from jaxkd.metrics import resolve_tokens, rouge, rouge_l, rouge_l_values

HYPOTHESIS, REFERENCE = "前方有事故，请减速慢行。", "前方发生事故，请绕行。"
TEXTS = st.text(st.sampled_from("ab c前方，\n"), max_size=12)


def lcs(first, second):
    """Length of the longest common subsequence, row by row."""
    row = np.zeros(len(second) + 1, int)
    for token in first:
        above = row.copy()
        for place, other in enumerate(second):
            row[place + 1] = above[place] + 1 if token == other else max(row[place], above[place + 1])
    return int(row[-1])


def f1(first, second):
    """2pr / (p + r) as it is defined."""
    common = lcs(first, second)
    if common == 0:
        return 0.0
    precision, recall = common / len(first), common / len(second)
    return 2 * precision * recall / (precision + recall)


def needs(package, extra):
    """Mark a test that runs where the extra is installed, which `dev` leaves out."""
    missing = importlib.util.find_spec(package) is None
    reason = f"{package} is not installed: pip install 'jaxkd-distill[{extra}]'"
    return lambda test: pytest.mark.slow(pytest.mark.skipif(missing, reason=reason)(test))


def test_hand_values():
    assert rouge_l("the cat sat", "the cat lay down") == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert rouge_l("police killed the gunman", "police kill the gunman") == 0.75
    # 8 common characters of 12 and 11.
    assert rouge_l(HYPOTHESIS, REFERENCE) == pytest.approx(2 * (8 / 12) * (8 / 11) / (8 / 12 + 8 / 11))
    assert round(rouge_l(HYPOTHESIS, REFERENCE), 6) == 0.695652


def test_order_counts_and_gaps_do_not():
    assert rouge_l("a b c", "c b a") == pytest.approx(1 / 3)
    assert rouge_l("a x b y c", "a b c") == pytest.approx(2 * (3 / 5) / (3 / 5 + 1))


@given(TEXTS, TEXTS, st.sampled_from(["word", "char"]))
def test_symmetric_between_0_and_1_and_1_between_equals(first, second, tokens):
    value = rouge_l(first, second, tokens=tokens)
    assert 0 <= value <= 1
    assert value == rouge_l(second, first, tokens=tokens)
    split = rouge._splitter(tokens)
    assert rouge_l(first, first, tokens=tokens) == (1 if split(first) else 0)
    assert value == pytest.approx(f1(split(first), split(second)))


def test_either_side_may_be_empty():
    for first, second in (("", "a"), ("a", ""), ("", ""), (" \n\u3000", "a")):
        assert rouge_l(first, second, tokens="word") == 0
        assert rouge_l(first, second, tokens="char") == 0
    assert rouge_l("...", "...", tokens="word") == 0


def test_words_of_english_are_those_of_rouge_score():
    text = "Don't drive at 80km/h -- it's “too fast”, isn’t it?  See <https://x.org/a_b>: U.S. rules!\tOK…"
    assert rouge._words(text) == re.sub("[^a-z0-9]+", " ", text.lower()).split()
    assert rouge._words("don't a_b") == ["don", "t", "a", "b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Осторожно: ДЕТИ!", ["осторожно", "дети"]),
        ("Le café naïf", ["le", "café", "naïf"]),
        ("cafe\u0301 Straße", ["cafe\u0301", "straße"]),
        ("धीरे चलें", ["धीरे", "चलें"]),
        ("서행 운전, 100m", ["서행", "운전", "100m"]),
    ],
)
def test_words_of_other_alphabets_are_not_dropped(text, words):
    assert rouge._words(text) == words
    assert rouge_l(text, text, tokens="word") == 1


def test_characters_are_all_but_spaces():
    assert rouge._characters(" 前方\u3000有 A\n事故。") == "前方有A事故。"
    assert rouge_l("前 方", "前方", tokens="char") == 1
    assert rouge_l("A", "a", tokens="char") == 0


def test_auto_compares_characters_where_references_are_chinese_or_japanese():
    assert resolve_tokens(REFERENCE) == "char"
    assert resolve_tokens("ゆっくり") == "char"
    assert resolve_tokens("서행 운전") == "word"
    assert resolve_tokens("") == "word"
    # The share of all characters but spaces must exceed 0.3.
    assert resolve_tokens("道路路 abc defg") == "word"
    assert resolve_tokens("道路路 abc def") == "char"
    assert resolve_tokens(REFERENCE, tokens="word") == "word"
    assert rouge_l("靠左", "keep left") == rouge_l("靠左", "keep left", tokens="word")


def test_auto_is_resolved_once_for_a_corpus():
    references = ["Keep to the left lane, please.", ["靠左行驶", "靠左"]]
    assert resolve_tokens(["Keep to the left lane, please.", "靠左行驶", "靠左"]) == "word"
    found = rouge_l_values(["Keep left.", "靠左走"], references)
    assert found.tolist() == [rouge_l("Keep left.", references[0]), 0]
    assert found.dtype == np.float64
    assert rouge_l_values(["Keep left.", "靠左走"], references, tokens="char")[1] == pytest.approx(0.8)
    assert rouge_l_values([], []).shape == (0,)


def test_the_best_of_several_references_counts():
    assert rouge_l("stop here", ["go on", "stop here now", "stop"]) == rouge_l("stop here", "stop here now")


def test_more_words_than_there_are_code_points_before_the_surrogates():
    words = [f"w{number}" for number in range(0xD800 + 100)]
    first, second = rouge._coded(words, words[::-1])
    assert len(set(first)) == len(words)
    assert second == first[::-1]
    assert first.encode()  # no surrogates


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"references must hold at least one text for each hypothesis, got none"):
        rouge_l("a", [])
    with pytest.raises(ValueError, match=r"references must have an entry for each of the 2 hypotheses, got 1\."):
        rouge_l_values(["a", "b"], ["a"])


@pytest.mark.usefixtures("unchecked_shapes")
def test_unknown_tokens_are_refused():
    with pytest.raises(ValueError, match=r"tokens must be one of auto, word, stem, char, jieba, got 'words'\."):
        rouge_l("a", "a", tokens="words")


def test_without_its_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(rouge, "find_spec", lambda name: None)
    rouge._jieba.cache_clear()
    rouge._stemming.cache_clear()
    with pytest.raises(
        ModuleNotFoundError,
        match=r"tokens='jieba' needs jieba\. Install the extra: pip install 'jaxkd-distill\[jieba\]'",
    ):
        rouge_l(HYPOTHESIS, REFERENCE, tokens="jieba")
    with pytest.raises(
        ModuleNotFoundError,
        match=r"tokens='stem' needs rouge_score\. Install the extra: pip install 'jaxkd-distill\[rouge\]'",
    ):
        rouge_l("a", "a", tokens="stem")


def test_jieba_is_not_loaded_unless_asked_for(monkeypatch):
    monkeypatch.setattr(rouge, "_jieba", None)
    assert round(rouge_l(HYPOTHESIS, REFERENCE), 6) == 0.695652


@needs("jieba", "jieba")
def test_words_of_chinese_text_by_jieba():
    assert rouge._segmented(f" {HYPOTHESIS}\n") == ["前方", "有", "事故", "，", "请", "减速慢行", "。"]
    # 5 common words of 7 and 7.
    assert rouge_l(HYPOTHESIS, REFERENCE, tokens="jieba") == pytest.approx(5 / 7)
    assert resolve_tokens(REFERENCE, tokens="jieba") == "jieba"


@needs("rouge_score", "rouge")
def test_stems_are_those_of_rouge_score():
    from rouge_score.rouge_scorer import RougeScorer

    # Two of two words by their stems, of which neither is the same word.
    assert rouge_l("killing gunmen", "killed gunmen", tokens="stem") == 1.0
    assert rouge_l("killing gunmen", "killed gunmen", tokens="word") == 0.5
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    bodies = [one.response for one in StandardLibrary(max_characters=400).examples("test")[:60]]
    for hypothesis, reference in itertools.pairwise(bodies):
        expected = scorer.score(reference, hypothesis)["rougeL"].fmeasure
        assert rouge_l(hypothesis, reference, tokens="stem") == pytest.approx(expected, abs=1e-12)
