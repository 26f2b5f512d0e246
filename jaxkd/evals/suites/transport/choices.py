"""Rows of choices and of statements: right answers in every position equally often."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

OPTIONS = 4
"""Options of a choice."""

JsonLine = dict[str, Any]
"""A line of a task's file."""


def choice(question: str, gold: str, distractors: Sequence[str], *, meta: Mapping[str, Any], **fields: Any) -> JsonLine:
    """Return a choice whose first option is the right one; `numbered` moves it."""
    return {"question": question, "options": [gold, *distractors], "answer": 0, **fields, "meta": dict(meta)}


def numbered(prefix: str, rows: Iterable[JsonLine], rng: random.Random) -> list[JsonLine]:
    """Return the rows in a random order with ids; of choices, each position is right equally often, or once more."""
    rows = list(rows)
    rng.shuffle(rows)
    # Drawn position by position, one letter may be right far more often than the others.
    positions = [place % OPTIONS for place in range(len(rows))]
    rng.shuffle(positions)
    return [
        {"id": f"{prefix}-{place:03d}"} | (_moved(row, position, rng) if "options" in row else row)
        for place, (row, position) in enumerate(zip(rows, positions, strict=True), start=1)
    ]


def _moved(row: JsonLine, position: int, rng: random.Random) -> JsonLine:
    gold, *options = row["options"]
    rng.shuffle(options)
    options.insert(position, gold)
    return row | {"options": options, "answer": position}


def half(count: int, rng: random.Random) -> list[bool]:
    """Return as many true as false values, or one more true one, in a random order."""
    values = [place % 2 == 0 for place in range(count)]
    rng.shuffle(values)
    return values
