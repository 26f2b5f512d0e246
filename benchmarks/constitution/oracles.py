"""Figures that are known: detectors of refusals, the health of public answers, and bytes of an interrupted pipeline."""

import gzip
import json
import os
import random
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.constitution import refusal_labels
from benchmarks.constitution.resumed_bytes import differing_files
from benchmarks.row import Bar, Row
from jaxkd.data.text.hygiene.contaminated import CLOSER
from jaxkd.evals.language.text_statistics import LONG, text_statistics
from jaxkd.metrics.text_repetition import repeated, words

PAIRS = "JAXKD_HARMLESS_PAIRS"
"""Environment variable with the path of `harmless-base/test.jsonl.gz` of anthropics/hh-rlhf."""

HEALTH = {
    "chosen": {
        **{"length": "38.2", "distinct 1": "0.134", "distinct 2": "0.538", "distinct 4": "0.919"},
        **{"repeated": "0.0104", "repeated, p99": "0.107", "sentences": "0.0001", "emoji": "0.0013"},
        **{"compression": "2.70", "entropy": "8.31", "shared end": "0.0009"},
    },
    "rejected": {
        **{"length": "47.6", "distinct 1": "0.125", "distinct 2": "0.523", "distinct 4": "0.928"},
        **{"repeated": "0.0160", "repeated, p99": "0.195", "sentences": "0.0007", "emoji": "0.0004"},
        **{"compression": "2.70", "entropy": "8.43", "shared end": "0.0009"},
    },
    "closers": {
        **{"length": "91.6", "distinct 1": "0.053", "distinct 2": "0.212", "distinct 4": "0.369"},
        **{"repeated": "0.4102", "repeated, p99": "0.750", "sentences": "0.3192", "emoji": "1.0000"},
        **{"compression": "5.71", "entropy": "6.53", "shared end": "1.0000", "loops": "0.6635"},
    },
}
"""Published digits: last answers of both sides, and the chosen ones with a closer once, three or five times."""

NONE = Bar(relation="<=", limit=0)
FIRST = 500
"""Answers over which variety, compression and entropy are computed."""


def rows(quick: bool) -> tuple[Row, ...]:
    """Compare all that is at hand; quick is the same."""
    del quick
    return (*_detectors(), *_health(), *_bytes())


def _detectors() -> Iterator[Row]:
    """Yield the difference from the table on 169 labelled answers, or that they are not at hand."""
    try:
        labels = refusal_labels.read_labels()
    except ConnectionError:
        yield Row(
            figure="detectors: the labelled answers are not at hand, the wheel of pyrit cannot be had",
            value=0,
            unit="rows",
        )
        return
    yield Row(figure="detectors: labelled answers", value=sum(map(len, labels)), unit="rows")
    for rule, expected in refusal_labels.TABLE.items():
        found = refusal_labels.table_row(rule, labels)
        yield _differing(f"detectors: {rule}, figures that differ from the table", found.split(), expected.split())


def _health() -> Iterator[Row]:
    """Yield the difference from the published digits, or that the pairs are not at hand."""
    path = os.environ.get(PAIRS)
    if path is None:
        yield Row(figure=f"health: the pairs are not at hand, {PAIRS} names no file", value=0, unit="rows")
        return
    chosen, rejected = read_answers(Path(path))
    draw = random.Random(0)
    closers = [f"{text} {' '.join([CLOSER] * draw.choice((1, 3, 5)))}" for text in chosen]
    yield Row(figure="health: answers, chosen and rejected", value=len(chosen) + len(rejected), unit="rows")
    chosen, rejected = ([text for text in answers if text] for answers in (chosen, rejected))
    for name, answers in (("chosen", chosen), ("rejected", rejected), ("closers", closers)):
        found = health(answers)
        expected = HEALTH[name]
        yield _differing(
            f"health: {name}, figures that differ from the printed digits",
            [_as_printed(found[figure], printed) for figure, printed in expected.items()],
            list(expected.values()),
        )


def _bytes() -> Iterator[Row]:
    """Yield the files of a pipeline that differ after an interruption, and after a second run."""
    with tempfile.TemporaryDirectory() as folder:
        for figure, count in differing_files(Path(folder)).items():
            yield Row(figure=f"bytes: {figure}", value=count, unit="files", bar=None if figure == "files" else NONE)


def read_answers(path: Path) -> tuple[list[str], list[str]]:
    """Return the last answers of both sides of the pairs in a file.

    Args:
        path: gzipped JSON Lines with transcripts "chosen" and "rejected".
    """
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    chosen, rejected = (
        [pair[side].rpartition("\n\nAssistant:")[2].strip() for pair in pairs] for side in ("chosen", "rejected")
    )
    return chosen, rejected


def health(answers: Sequence[str]) -> dict[str, float]:
    """Return the figures of `HEALTH`; variety, compression and entropy are those of the first 500 answers."""
    whole, first = text_statistics(answers), text_statistics(answers[:FIRST])
    shares = sorted(repeated(text) for text in map(words, answers) if len(text) >= LONG)
    return {
        "length": whole.length,
        **{f"distinct {size}": share for size, share in first.distinct.items()},
        "repeated": statistics.fmean(shares),
        "repeated, p99": shares[int(0.99 * len(shares)) - 1],
        "sentences": whole.repeated_sentences,
        "emoji": whole.emoji,
        "compression": first.compression,
        "entropy": first.entropy,
        "shared end": whole.shared_end,
        "loops": whole.loops,
    }


def _as_printed(value: float, printed: str) -> str:
    return f"{value:.{len(printed.partition('.')[2])}f}"


def _differing(figure: str, found: Sequence[str], expected: Sequence[str]) -> Row:
    """Return the row of the number of printed figures that differ."""
    count = sum(one != other for one, other in zip(found, expected, strict=True))
    return Row(figure=figure, value=count, unit=f"of {sum(one != '|' for one in expected)}", bar=NONE)
