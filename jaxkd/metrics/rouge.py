"""Rouge-L: the longest common subsequence of a hypothesis and a reference, relative to their lengths in tokens."""

import functools
import importlib
import itertools
import logging
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float
from rapidfuzz.distance import LCSseq

Tokenization: TypeAlias = Literal["word", "stem", "char", "jieba"]
"""Rule that splits a text into tokens."""

CJK_SHARE = 0.3
"""Share of Chinese and Japanese characters above which "auto" compares characters."""

# Han with its extensions and the iteration and zero marks, kana.  Not Hangul: Korean is written with spaces.
CJK = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Ranges of Chinese and Japanese characters, as they stand between the brackets of a pattern."""

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_CJK = re.compile(f"[{CJK}]")
_SURROGATES = range(0xD800, 0xE000)


def rouge_l(
    hypothesis: str, references: str | Sequence[str], *, tokens: Tokenization | Literal["auto"] = "auto"
) -> float:
    """Return the Rouge-L F1 of a text, 2pr / (p + r) with p = LCS / len(hypothesis) and r = LCS / len(reference).

    LCS is the length of the longest common subsequence of the two whole token sequences.

    Args:
        hypothesis: text to score.
        references: text that it should be like, or several, of which the best match counts.
        tokens: what is compared.  "word": words in lower case; "stem": stems of ASCII words, by the package
            rouge_score, as most papers on distillation do; "char": all characters but spaces, as they are; "jieba": the
            words of Chinese text, by the package jieba; "auto": as `resolve_tokens` chooses for the references.

    Returns:
        A value in [0, 1]; 0 if either side has no tokens.

    Raises:
        ValueError: no references, or an unknown `tokens`.
        ModuleNotFoundError: "stem" where rouge_score is not installed, or "jieba" where jieba is not.

    Source: Lin 2004, ROUGE: a package for automatic evaluation of summaries, section 3.  Deviations: F1 over the whole
    text, as rougeL of rouge_score 0.1.2 and rouge-l of rouge_chinese 1.0.3 (which adds 1e-8 to p + r); words are those
    of rouge_score without stemming where a text is ASCII, and otherwise hold letters, digits and combining marks of all
    alphabets, which rouge_score drops: "café" is one word and not "caf", and Russian text has words at all.

    Example:
        >>> rouge_l("The cat sat.", "the cat lay down")
        0.5714285714285714
        >>> round(rouge_l("前方有事故，请减速慢行。", "前方发生事故，请绕行。"), 6)
        0.695652
    """
    texts = _listed(references)
    split = _splitter(resolve_tokens(texts, tokens=tokens))
    return _best(split(hypothesis), [split(text) for text in texts])


def rouge_l_values(
    hypotheses: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    tokens: Tokenization | Literal["auto"] = "auto",
) -> Float[np.ndarray, " n"]:
    """Return the Rouge-L F1 of each text of a corpus.

    "auto" is resolved once, from all references, so that all values are of one kind; their mean is the corpus's score.

    Args:
        hypotheses: texts to score.
        references: for each hypothesis a reference, or several.
        tokens: as in `rouge_l`.

    Returns:
        Values in [0, 1], float64.

    Raises:
        ValueError: numbers of hypotheses and references that differ, a hypothesis without references, or an unknown
            `tokens`.
        ModuleNotFoundError: "stem" where rouge_score is not installed, or "jieba" where jieba is not.

    Source: as `rouge_l`.  Deviation: as `rouge_l`.

    Example:
        >>> rouge_l_values(["stop", "go on"], ["stop", ["stop", "go"]]).round(3).tolist()
        [1.0, 0.667]
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            f"references must have an entry for each of the {len(hypotheses)} hypotheses, got {len(references)}."
        )
    texts = [_listed(entry) for entry in references]
    split = _splitter(resolve_tokens(list(itertools.chain.from_iterable(texts)), tokens=tokens))
    pairs = zip(hypotheses, texts, strict=True)
    return np.array([_best(split(one), [split(text) for text in several]) for one, several in pairs], np.float64)


def resolve_tokens(references: str | Sequence[str], *, tokens: Tokenization | Literal["auto"] = "auto") -> Tokenization:
    """Return the tokenization that `tokens` stands for, by which a result is named: `rouge_l[char]`.

    Args:
        references: a reference, or all those of a corpus.
        tokens: "auto" compares characters where more than 0.3 of the references' characters, spaces left out, are
            Chinese or Japanese ones, and words otherwise.  Any other choice stands for itself.

    Returns:
        "word", "stem", "char" or "jieba".

    Raises:
        ValueError: an unknown `tokens`.

    Source: inferred.  Deviation: none.

    Example:
        >>> f"rouge_l[{resolve_tokens('前方有 ETC 车道')}]"
        'rouge_l[char]'
        >>> resolve_tokens(["Keep to the left.", "靠左行驶"])
        'word'
    """
    if tokens not in (choices := ("auto", *get_args(Tokenization))):
        raise ValueError(f"tokens must be one of {', '.join(choices)}, got {tokens!r}.")
    if tokens != "auto":
        return tokens
    text = _characters(" ".join([references] if isinstance(references, str) else references))
    return "char" if len(_CJK.findall(text)) > CJK_SHARE * len(text) else "word"


def _listed(references: str | Sequence[str]) -> Sequence[str]:
    texts = [references] if isinstance(references, str) else references
    if not texts:
        raise ValueError("references must hold at least one text for each hypothesis, got none.")
    return texts


def _best(hypothesis: Sequence[str], references: Iterable[Sequence[str]]) -> float:
    return max(_f1(hypothesis, reference) for reference in references)


def _f1(hypothesis: Sequence[str], reference: Sequence[str]) -> float:
    """Return 2pr / (p + r), which is 2 LCS / (n + m): exactly 1 for equal sequences."""
    total = len(hypothesis) + len(reference)
    return 2 * LCSseq.similarity(*_coded(hypothesis, reference)) / total if total else 0.0


def _coded(first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
    """Write both sequences with one code point a token, which RapidFuzz compares 64 at a time."""
    if isinstance(first, str) and isinstance(second, str):
        return first, second
    codes = {token: chr(_code(number)) for number, token in enumerate(dict.fromkeys((*first, *second)))}
    return "".join(codes[token] for token in first), "".join(codes[token] for token in second)


def _code(number: int) -> int:
    """Number the code points without surrogates."""
    return number if number < _SURROGATES.start else number + len(_SURROGATES)


def _splitter(tokens: Tokenization) -> Callable[[str], Sequence[str]]:
    return {"word": _words, "stem": _stems, "char": _characters, "jieba": _segmented}[tokens]


def _words(text: str) -> list[str]:
    lowered = text.lower()
    if lowered.isascii():
        return _ASCII_WORD.findall(lowered)
    return ["".join(run) for inside, run in itertools.groupby(lowered, _is_of_word) if inside]


def _is_of_word(character: str) -> bool:
    # Vowel signs, as in Hindi, and accents that are characters of their own are marks.
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _characters(text: str) -> str:
    return "".join(text.split())


def _stems(text: str) -> list[str]:
    return _stemming()(text)


@functools.cache
def _stemming() -> Callable[[str], list[str]]:
    """Return rouge_score's function from a text to the stems of its words."""
    _require("rouge_score", tokens="stem", extra="rouge", instead="whole words: tokens='word'")
    return importlib.import_module("rouge_score.tokenizers").DefaultTokenizer(use_stemmer=True).tokenize


def _segmented(text: str) -> list[str]:
    return [token for token in _jieba()(text) if not token.isspace()]


@functools.cache
def _jieba() -> Callable[[str], list[str]]:
    """Return jieba's function with its own dictionary, whatever words a caller has added to the shared one."""
    _require("jieba", tokens="jieba", extra="jieba", instead="characters: tokens='char'")
    with warnings.catch_warnings():
        # Its escapes in strings, and the module of setuptools by which it finds its dictionary, are deprecated.
        warnings.simplefilter("ignore")
        jieba = importlib.import_module("jieba")
    jieba.setLogLevel(logging.WARNING)
    return jieba.Tokenizer().lcut


def _require(package: str, *, tokens: Tokenization, extra: str, instead: str) -> None:
    """Refuse a choice of tokens whose package is not installed."""
    if find_spec(package) is None:
        raise ModuleNotFoundError(
            f"tokens={tokens!r} needs {package}. Install the extra: pip install 'jaxkd-distill[{extra}]'. "
            f"Or compare {instead}.",
            name=package,
        )
