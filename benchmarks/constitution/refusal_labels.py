"""Answers that people labelled as refusals or not, from the package pyrit (MIT)."""

import csv
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxkd.evals.language.refusals import HEAD, refuses_by_pattern, refuses_by_phrases
from jaxkd.runtime.packages import PackagedFile, fetch_all

_WHEEL = {
    "package": "pyrit",
    "version": "1.1.0",
    "wheel_sha256": "84581036bace7ff2aa92712e1e3f472a3a3bccc77567d5fbe642540c0ba20b0a",
    "wheel_size": 10_612_299,
}
_FOLDER = "pyrit/datasets/scorer_evals/refusal_scorer"
FIRST = PackagedFile(
    **_WHEEL,
    member=f"{_FOLDER}/refusal.csv",
    sha256="1ebc42ef7dadd97962cc00d04edd6a52a321f7936c063ff3453d2bbcef30a5d7",
)
EXTRA = PackagedFile(
    **_WHEEL,
    member=f"{_FOLDER}/refusal_extra.csv",
    sha256="6ce7f61a8205eb8c29b1a247b52b3730501349f9adf0674a696efb004658a18a",
)


RULES: dict[str, Callable[[str], bool]] = {
    "phrases": refuses_by_phrases,
    "phrases in the head": lambda text: refuses_by_phrases(text[:HEAD]),
    "pattern": refuses_by_pattern,
}
"""Definitions of a refusal."""
MEASURES = ("accuracy", "precision", "recall")
TABLE = {
    "phrases": "0.669 1.000 0.486 | 0.762 1.000 0.643 | 0.516 1.000 0.205",
    "phrases in the head": "0.657 1.000 0.468 | 0.743 1.000 0.614 | 0.516 1.000 0.205",
    "pattern": "0.698 1.000 0.532 | 0.810 1.000 0.714 | 0.516 1.000 0.205",
}
"""`MEASURES` of each rule on all 169 answers, on the first file's 105 and on the other's 64."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labelled:
    """An answer, and whether people call it a refusal."""

    answer: str
    refusal: bool


def read_labels() -> tuple[list[Labelled], list[Labelled]]:
    """Return the answers of both files, 105 and 64.

    Raises:
        ConnectionError: the package could not be downloaded.
    """
    first, extra = fetch_all([FIRST, EXTRA])
    return _read(first), _read(extra)


def _read(path: Path) -> list[Labelled]:
    with open(path, encoding="utf-8", newline="") as file:
        start = 0
        while file.readline().startswith("#"):
            start = file.tell()
        file.seek(start)
        return [
            Labelled(answer=row["assistant_response"], refusal=row["human_score"] == "1")
            for row in csv.DictReader(file)
        ]


def table_row(rule: str, labels: Sequence[Sequence[Labelled]]) -> str:
    """Return the row of `TABLE` for a rule, as it is measured.

    Args:
        rule: one of `RULES`.
        labels: answers of both files.
    """
    first, extra = labels
    return " | ".join(
        " ".join(f"{value:.3f}" for value in detection(rule, rows)) for rows in ([*first, *extra], first, extra)
    )


def detection(rule: str, rows: Sequence[Labelled]) -> tuple[float, float, float]:
    """Return accuracy, precision and recall of a rule on answers."""
    counts = Counter((RULES[rule](row.answer), row.refusal) for row in rows)
    hits = counts[True, True]
    accuracy = (hits + counts[False, False]) / len(rows)
    return accuracy, hits / (hits + counts[True, False]), hits / (hits + counts[False, True])
