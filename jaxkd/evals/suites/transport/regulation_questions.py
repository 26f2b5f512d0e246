"""Questions on statutes: missing quantities, altered quantities, the law of an article, and the rest of an article."""

import dataclasses
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Sequence

from rapidfuzz import fuzz, process

from jaxkd.evals.suites.transport.choices import OPTIONS, JsonLine, choice, half, numbered
from jaxkd.evals.suites.transport.quantities import Quantity, near, quantities
from jaxkd.evals.suites.transport.sources import Article

BLANK = "____"
LONGEST_PASSAGE = 300
"""Characters of a statute in a question."""
SHORTEST_PASSAGE = 12

_SUBJECTS = {
    "道路交通安全法": "道路",
    "铁路法": "铁路",
    "公路法": "公路",
    "海上交通安全法": "海上",
    "港口法": "港口",
    "航道法": "航道",
    "国防交通法": "国防",
}
"""Word of each law that tells it from the others."""
_MOST_ALIKE = 50.0
"""Percent of an article that may stand in another law too; closing articles are the same in many."""
_ENUMERATED = re.compile(r"（[一二三四五六七八九十]+）")
_PAUSE = re.compile("[，；。：]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Gap:
    """A quantity in a passage of an article that says it once."""

    article: Article
    passage: str
    quantity: Quantity
    """Positions are those in the passage."""
    others: tuple[Quantity, ...]
    """Wrong quantities."""

    def filled(self, text: str) -> str:
        return self.passage[: self.quantity.start] + text + self.passage[self.quantity.end :]


def cloze_choices(articles: Sequence[Article], *, most: int, rng: random.Random) -> list[JsonLine]:
    """Return passages with a blank and four quantities to fill it, at most `most` from one article."""
    rows = [
        choice(
            f"根据{gap.article.title}，下列条文的空白处应当填入什么？\n{gap.filled(BLANK)}",
            str(gap.quantity),
            [str(other) for other in gap.others],
            meta={"law": gap.article.law, "article": gap.article.number},
        )
        for gap in _gaps(articles, most, rng)
    ]
    return numbered("T2", rows, rng)


def regulation_statements(articles: Sequence[Article], *, rng: random.Random) -> list[JsonLine]:
    """Return a statement from each article with a quantity; in half of them the quantity is another one."""
    gaps = _gaps(articles, 1, rng)
    rows = [
        {
            "question": f"根据{gap.article.title}，{gap.passage if true else gap.filled(str(gap.others[0]))}",
            "answer": true,
            "meta": {"law": gap.article.law, "article": gap.article.number},
        }
        for gap, true in zip(gaps, half(len(gaps), rng), strict=True)
    ]
    return numbered("T2-tf", rows, rng)


def law_choices(articles: Sequence[Article], *, most: int, rng: random.Random) -> list[JsonLine]:
    """Return articles that do not name their law or its subject, with the titles of four laws; at most `most` of each.

    An article that stands almost the same in another law is left out.
    """
    laws = list(dict.fromkeys(article.law for article in articles))
    untold = [
        article
        for article in articles
        if _SUBJECTS[article.law] not in article.text
        and not any(law in article.text for law in laws)
        and not _stands_elsewhere(article, articles)
    ]
    rows = []
    for article in _some_of_each_law(untold, most, rng):
        others = rng.sample([law for law in laws if law != article.law], OPTIONS - 1)
        titles = [f"《中华人民共和国{law}》" for law in (article.law, *others)]
        question = f"下列条文出自哪一部法律？\n{article.text}"
        rows.append(choice(question, titles[0], titles[1:], meta={"law": article.law, "article": article.number}))
    return numbered("T2-law", rows, rng)


def _stands_elsewhere(article: Article, articles: Sequence[Article]) -> bool:
    others = (other.text for other in articles if other.law != article.law)
    return process.extractOne(article.text, others, scorer=fuzz.ratio, score_cutoff=_MOST_ALIKE) is not None


def recitations(articles: Sequence[Article], *, most: int, rng: random.Random) -> list[JsonLine]:
    """Return the first parts of articles, with the rest as the reference; at most `most` of each law."""
    rows = []
    for article in _some_of_each_law(articles, most, rng):
        first, rest = _split(article.text)
        rows.append(
            {
                "question": f"{article.title}：{first}",
                "reference": rest,
                "meta": {"law": article.law, "article": article.number},
            }
        )
    return numbered("T2-recite", rows, rng)


def _some_of_each_law(articles: Sequence[Article], most: int, rng: random.Random) -> list[Article]:
    of_law: dict[str, list[Article]] = defaultdict(list)
    for article in articles:
        if 2 * SHORTEST_PASSAGE <= len(article.text) <= LONGEST_PASSAGE and _split(article.text)[1]:
            of_law[article.law].append(article)
    return [article for found in of_law.values() for article in rng.sample(found, min(most, len(found)))]


def _split(text: str) -> tuple[str, str]:
    """Split at the pause that is nearest to a third; the second part is empty where a text has no pause inside."""
    ends = [match.end() for match in _PAUSE.finditer(text) if match.end() < len(text)]
    cut = min(ends, key=lambda end: abs(end - len(text) / 3), default=len(text))
    return text[:cut], text[cut:].strip()


def _gaps(articles: Sequence[Article], most: int, rng: random.Random) -> list[_Gap]:
    known = [quantity for article in articles for quantity in quantities(article.text)]
    found = []
    for article in articles:
        gaps = [gap for passage in passages(article.text) for gap in _gaps_of(article, passage, known, rng)]
        rng.shuffle(gaps)
        different = {str(gap.quantity): gap for gap in gaps}
        found.extend(itertools.islice(different.values(), most))
    return found


def _gaps_of(article: Article, passage: str, known: Sequence[Quantity], rng: random.Random) -> list[_Gap]:
    gaps = []
    for quantity in quantities(passage):
        # What stands elsewhere in the passage is no likely answer, or gives the answer away.
        others = [other for other in near(quantity, known) if str(other) not in passage]
        if len(others) >= OPTIONS - 1 and passage.count(str(quantity)) == 1:
            chosen = tuple(rng.sample(others, OPTIONS - 1))
            gaps.append(_Gap(article=article, passage=passage, quantity=quantity, others=chosen))
    return gaps


def passages(text: str) -> list[str]:
    """Split an article into sentences; one that ends in a colon keeps the list after it, as far as there is room."""
    found: list[str] = []
    lines = text.split("\n")
    for place, line in enumerate(lines):
        sentences = [sentence for sentence in re.split("(?<=。)", line) if sentence]
        if sentences and sentences[-1].endswith("："):
            listed = itertools.takewhile(_ENUMERATED.match, lines[place + 1 :])
            for item in listed:
                if len(sentences[-1]) + len(item) <= LONGEST_PASSAGE:
                    sentences[-1] += item
        found += sentences
    whole = [sentence for sentence in found if not _ENUMERATED.match(sentence)]
    return [sentence for sentence in whole if SHORTEST_PASSAGE <= len(sentence) <= LONGEST_PASSAGE]
