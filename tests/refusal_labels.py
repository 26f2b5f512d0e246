"""Answers that people labelled as refusals or not, from the package pyrit (MIT)."""

import csv
import dataclasses

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labelled:
    answer: str
    refusal: bool


def read_labels() -> tuple[list[Labelled], list[Labelled]]:
    """Answers of both files, 105 and 64.

    Raises:
        ConnectionError: the package could not be downloaded.
    """
    first, extra = fetch_all([FIRST, EXTRA])
    return _read(first), _read(extra)


def _read(path) -> list[Labelled]:
    with open(path, encoding="utf-8", newline="") as file:
        start = 0
        while file.readline().startswith("#"):
            start = file.tell()
        file.seek(start)
        return [
            Labelled(answer=row["assistant_response"], refusal=row["human_score"] == "1")
            for row in csv.DictReader(file)
        ]
