"""Tasks of a suite, read from its YAML and their files of rows."""

import dataclasses
import functools
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from jaxkd.data.text import json_rows
from jaxkd.evals.suites.reading import rows
from jaxkd.evals.suites.reading.fields import Fault, Fields
from jaxkd.evals.suites.suite import (
    METRICS,
    Continuations,
    Metric,
    Mode,
    Rotations,
    RougeTokens,
    Row,
    Sampled,
    Task,
    TaskType,
)
from jaxkd.metrics import NumberRule, Tokenization
from jaxkd.runtime.storage.lined_yaml import LinedMapping

SAMPLED = tuple(field.name for field in dataclasses.fields(Sampled))
"""Fields of a task, or of the defaults, that say how replies are generated."""
_TASK = ("id", "name", "level", "file", "type", "mode", "continuations", "rotations", "words", "prompt", "separator")


_MODES: tuple[Mode, ...] = get_args(Mode)
_CONTINUATIONS: tuple[Continuations, ...] = get_args(Continuations)
_ROTATIONS: tuple[Rotations, ...] = get_args(Rotations)
_TOKENS: tuple[RougeTokens, ...] = ("auto", *get_args(Tokenization))
_RULES: tuple[NumberRule, ...] = get_args(NumberRule)


def read_task(fields: Fields, defaults: Fields | None) -> Task | None:
    """Read one task; None if it has a fault.

    Args:
        fields: the task in `suite.yaml`.
        defaults: settings that hold where the task has none of its own.
    """
    fields.known((*_TASK, "metrics", *SAMPLED))
    before = len(fields.faults)
    task_type = _type(fields)
    if task_type is None:
        return None
    generated = task_type not in ("choice", "truefalse")
    words = fields.texts("words", ("true", "false"))
    if len(words) != 2 or words[0] == words[1]:
        fields.fault("words", f"words must be two different texts, for true and for false, got {', '.join(words)}.")
    mode: Mode = fields.one_of("mode", _MODES, "generate")
    if generated and mode != "generate":
        fields.fault("mode", f"mode must be generate for type {task_type}, got {mode}. There are no options to score.")
    metrics = tuple(_metrics(fields, task_type))
    if mode == "generate" and any(metric.name == "accuracy_per_character" for metric in metrics):
        fields.fault("metrics", "accuracy_per_character must come with mode loglik, whose log-likelihoods it divides.")
    sampled = _sampled(fields, defaults)
    largest = max((metric.k for metric in metrics), default=1)
    if largest > sampled.replies:
        fields.fault("metrics", f"k must be at most the number of replies, got {largest} and {sampled.replies}.")
    found = _rows(fields, task_type)
    task = Task(
        id=_task_id(fields),
        name=fields.text("name", default=""),
        level=fields.text("level", default=""),
        type=task_type,
        mode=mode,
        continuations=fields.one_of("continuations", _CONTINUATIONS, "letters"),
        rotations=fields.one_of("rotations", _ROTATIONS, "none"),
        words=(words[0], words[-1]),
        prompt=_prompt(fields, task_type),
        separator=fields.text("separator", default=" "),
        sampled=sampled,
        metrics=metrics,
        rows=found,
    )
    return task if len(fields.faults) == before else None


def _type(fields: Fields) -> TaskType | None:
    before = len(fields.faults)
    found = fields.one_of("type", tuple(METRICS))
    return found if len(fields.faults) == before else None


def _task_id(fields: Fields) -> str:
    found = fields.text("id")
    if not re.fullmatch(r"[\w-]+", found):
        fields.fault("id", f"id must consist of letters, digits, _ and -, got {found!r}: aggregates name it.")
    return found


def _prompt(fields: Fields, task_type: TaskType) -> str:
    allowed = ("question", "options") if task_type == "choice" else ("question",)
    prompt = fields.text("prompt", default="\n".join(f"{{{name}}}" for name in allowed))
    try:
        used = [
            (name, spec, conversion)
            for _, name, spec, conversion in string.Formatter().parse(prompt)
            if name is not None
        ]
    except ValueError as error:
        fields.fault("prompt", f"prompt must be a template, got {error}. Write {{{{ for a brace.")
        return prompt
    if not any(name == "question" for name, _, _ in used) or any(
        name not in allowed or spec or conversion for name, spec, conversion in used
    ):
        names = " and ".join(f"{{{name}}}" for name in allowed)
        fields.fault("prompt", f"prompt must use {{question}}, and of fields only {names}, got {prompt!r}.")
    return prompt


def _sampled(fields: Fields, defaults: Fields | None) -> Sampled:
    whole = {"max_input_tokens": 1, "max_new_tokens": 1, "replies": 1, "no_repeat_ngram": 1}
    found: dict[str, Any] = {}
    for name in SAMPLED:
        source = fields if name in fields.found or defaults is None else defaults
        default = getattr(Sampled(), name)
        if name == "stop":
            found[name] = source.texts(name, default)
        elif source.found.get(name, default) is None:
            found[name] = None
        else:
            found[name] = source.number(name, default, least=whole.get(name, 0), whole=name in whole)
    if found["replies"] > 1 and found["temperature"] == 0:
        fields.fault(
            "temperature", f"temperature must be above 0 for {found['replies']} replies, got 0. All would be the same."
        )
    return Sampled(**found)


def _metrics(fields: Fields, task_type: TaskType) -> Iterator[Metric]:
    value = fields.found.get("metrics", [METRICS[task_type][0]])
    titles: set[str] = set()
    for one in value if isinstance(value, list) and value else [value]:
        entry = one if isinstance(one, LinedMapping) else LinedMapping(fields.found.line_of("metrics"))
        if entry is not one:
            entry["name"] = one
        inner = Fields(entry, fields.path, fields.faults)
        name = inner.one_of("name", METRICS[task_type])
        options = {"rouge_l": ("tokens",), "pass": ("k",)}.get(name, ("number",) if task_type == "math" else ())
        inner.known(("name", *options))
        metric = Metric(
            name=name,
            tokens=inner.one_of("tokens", _TOKENS, "auto"),
            number=inner.one_of("number", _RULES, "auto"),
            k=int(inner.number("k", 1, least=1, whole=True)),
        )
        if metric.title in titles:
            inner.fault("name", f"metrics must differ, got {metric.title} twice.")
        titles.add(metric.title)
        yield metric


def _rows(fields: Fields, task_type: TaskType) -> tuple[Row, ...]:
    name = fields.text("file")
    path = fields.path.parent / name
    if not path.resolve().is_relative_to(fields.path.parent.resolve()) or not path.is_file():
        fields.fault("file", f"file must be a file in the folder of {fields.path.name}, got {name}.")
        return ()
    try:
        found, faults = json_rows.checked(path, functools.partial(_numbered, task_type=task_type, folder=path.parent))
    except ValueError as error:
        fields.faults.append(Fault(path=path, line=1, text=str(error)))
        return ()
    fields.faults.extend(Fault(path=path, line=line, text=text) for line, text in faults)
    first: dict[str, int] = {}
    for line, row in found:
        if first.setdefault(row.id, line) != line:
            text = f'"id" must be unique, got {row.id!r}, which line {first[row.id]} has too.'
            fields.faults.append(Fault(path=path, line=line, text=text))
    if not found and not faults:
        fields.faults.append(Fault(path=path, line=1, text="the file must hold at least one row, got an empty file."))
    return tuple(row for _, row in found)


def _numbered(row: json_rows.JsonRow, key: str, *, task_type: TaskType, folder: Path) -> tuple[int, Row]:
    return int(key.rpartition(":")[2]), rows.parse(row, task_type=task_type, folder=folder)
