"""Suite folders that tests write."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

YAML = """\
name: small
version: 1
description: A few questions of every type.
defaults: {max_input_tokens: 64, max_new_tokens: 8}
tasks:
  - id: capitals
    name: Capitals
    level: memorise
    file: capitals.jsonl
    type: choice
    mode: loglik
    rotations: all
    prompt: "{question}\\n{options}\\nAnswer:"
    metrics: [accuracy, accuracy_per_character]
  - id: facts
    level: memorise
    file: facts.jsonl
    type: truefalse
    words: ["yes", "no"]
    prompt: "{question} yes or no?"
  - id: spelling
    level: understand
    file: spelling.jsonl
    type: exact
  - id: sums
    level: understand
    file: sums.jsonl
    type: math
  - id: summaries
    level: apply
    file: summaries.jsonl
    type: generate
    metrics: [{name: rouge_l, tokens: word}, judge4]
  - id: programs
    level: apply
    file: programs.jsonl
    type: code
    replies: 3
    temperature: 1.0
    metrics: [{name: pass, k: 1}, {name: pass, k: 2}]
aggregates:
  SUM: "sum(capitals.accuracy, facts.accuracy, summaries.rouge_l, summaries.judge4)"
  MEAN: "mean(capitals.accuracy, programs.pass@1)"
"""

ROWS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "capitals.jsonl": (
        {"id": "fr", "question": "Capital of France?", "options": ["Paris", "Lyon", "Nice"], "answer": "A"},
        {
            "id": "it",
            "question": "Capital of Italy?",
            "options": {"A": "Milan", "B": "Rome", "C": "Turin"},
            "answer": 1,
        },
    ),
    "facts.jsonl": (
        {"id": 1, "question": "Water is wet.", "answer": True},
        {"id": 2, "question": "Fire is cold.", "answer": False, "meta": {"source": "common sense"}},
    ),
    "spelling.jsonl": ({"id": "a", "question": "Spell 'cat' backwards.", "reference": ["tac", "TAC"]},),
    "sums.jsonl": ({"id": "a", "question": "What is 1,000 + 234?", "reference": "1000 + 234 = 1234\n#### 1,234"},),
    "summaries.jsonl": ({"id": "a", "question": "Say hello to the world.", "reference": "Hello, world!"},),
    "programs.jsonl": (
        {
            "id": "double",
            "question": "Write double(x).",
            "test": "assert double(2) == 4",
        },
    ),
}


def write(
    folder: Path, *, yaml: str = YAML, rows: Mapping[str, Any] = ROWS, **files: Sequence[Any] | str | bytes
) -> Path:
    """Write a suite.

    Args:
        folder: folder of the suite, which is made.
        yaml: text of `suite.yaml`.
        rows: rows by file.
        **files: contents of other files, or of files of `rows` in place of these, without `.jsonl`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.yaml").write_text(yaml, encoding="utf-8")
    for name, contents in {**rows, **{f"{name}.jsonl": one for name, one in files.items()}}.items():
        if isinstance(contents, bytes):
            (folder / name).write_bytes(contents)
        elif isinstance(contents, str):
            (folder / name).write_text(contents, encoding="utf-8")
        else:
            (folder / name).write_text("".join(json.dumps(row) + "\n" for row in contents), encoding="utf-8")
    return folder
