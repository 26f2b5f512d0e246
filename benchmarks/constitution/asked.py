"""Requests to a small model, harmful and benign: refusals, critiques and revisions that repeat what was before."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.constitution.conversations import conversations
from benchmarks.row import Row
from jaxkd.data.text.hygiene import Hygiene, clean
from jaxkd.evals.language.refusals import refuses_by_pattern, refuses_by_phrases
from jaxkd.metrics.text_repetition import NGRAM, words

COPIED = 0.5
"""Share of a text's four-word sequences that stand in another, from which it repeats that one."""


def rows(folders: Mapping[str, Path]) -> Iterator[Row]:
    """Yield counts over the stages in which the untrained model answers, criticises and revises.

    Args:
        folders: folders of the finished study's stages, by name.
    """
    found = conversations(folders["revision_asked"])
    for kind in ("harmful", "benign"):
        answers = [one.initial for one in found if one.key.startswith(kind)]
        for name, refuses in (("pattern", refuses_by_pattern), ("phrases", refuses_by_phrases)):
            figure = f"asked: {kind} requests that are refused, by {name}"
            yield Row.share(figure, [refuses(answer) for answer in answers])
    yield Row.share("asked: critiques that repeat the answer", [_repeats(one.critique, one.initial) for one in found])
    yield Row.share("asked: critiques that apologise", [refuses_by_pattern(one.critique) for one in found])
    yield Row.share("asked: revisions that repeat the answer", [_repeats(one.revision, one.initial) for one in found])
    yield Row.share(
        "asked: revisions that repeat the critique", [_repeats(one.revision, one.critique) for one in found]
    )
    report = clean([one.example for one in found], Hygiene(), ended={one.key: one.ended for one in found})
    for reason, count in report.counts().items():
        yield Row(figure=f"asked: hygiene, revisions with the reason {reason}", value=count, unit="")
    yield Row(figure="asked: hygiene, revisions that are kept", value=len(report.kept), unit="")


def _repeats(text: str, other: str) -> bool:
    """Whether most of a text's four-word sequences stand in another."""
    found, there = _four_words(text), _four_words(other)
    return bool(found) and len(found & there) >= COPIED * len(found)


def _four_words(text: str) -> set[tuple[str, ...]]:
    split = words(text)
    return {tuple(split[place : place + NGRAM]) for place in range(len(split) - NGRAM + 1)}
