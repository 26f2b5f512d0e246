"""Reading of a suite's folder: everything is checked before anything runs, and every fault has its file and line."""

import dataclasses
import difflib
import functools
import hashlib
import re
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from jaxkd.data.text import json_rows
from jaxkd.evals.suites import aggregates, rows
from jaxkd.evals.suites.aggregates import Aggregate
from jaxkd.evals.suites.suite import METRICS, Metric, Row, Sampled, Suite, Task, TaskType
from jaxkd.metrics.numbers import NumberRule
from jaxkd.metrics.rouge import Tokenization
from jaxkd.runtime.storage import lined_yaml
from jaxkd.runtime.storage.lined_yaml import LinedError, LinedMapping

FILE = "suite.yaml"

_SUITE = ("name", "version", "description", "defaults", "tasks", "aggregates")
_SAMPLED = tuple(field.name for field in dataclasses.fields(Sampled))
_TASK = ("id", "name", "level", "file", "type", "mode", "continuations", "rotations", "words", "prompt", "separator")
_SHOWN = 20
"""Number of faults that are listed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Fault:
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.text}"


def read(folder: Path) -> Suite:
    """Read a suite.

    Args:
        folder: folder with `suite.yaml`, the files that it names, and their images.

    Raises:
        FileNotFoundError: no folder, or one without `suite.yaml`.
        ValueError: faults, listed with file and line; nothing of the suite may run.
    """
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"suite must be a folder with {FILE}, got {folder}.")
    faults: list[_Fault] = []
    suite = _suite(path, faults)
    if faults or suite is None:
        more = "" if len(faults) <= _SHOWN else f"\n... and {len(faults) - _SHOWN} more"
        faults.sort(key=lambda fault: (fault.path != path, fault.path, fault.line))
        listed = "\n".join(map(str, faults[:_SHOWN]))
        raise ValueError(f"{folder} must be a suite without faults, got {len(faults)}:\n{listed}{more}")
    return suite


def _suite(path: Path, faults: list[_Fault]) -> Suite | None:
    try:
        found = lined_yaml.load(path)
    except LinedError as error:
        faults.append(_Fault(path=path, line=error.line, text=str(error)))
        return None
    fields = _Fields(found, path, faults)
    fields.known(_SUITE)
    defaults = fields.mapping("defaults", required=False)
    if defaults is not None:
        defaults.known(_SAMPLED)
    tasks, ids = [], set[str]()
    for one in fields.mappings("tasks"):
        task = _task(one, defaults)
        if task is not None and task.id in ids:
            one.fault("id", f"the ids of tasks must differ, got {task.id} twice.")
        elif task is not None:
            ids.add(task.id)
            tasks.append(task)
    values = {f"{task.id}.{metric.title}" for task in tasks for metric in task.metrics}
    parsed = _aggregates(fields, values)
    if faults:
        return None
    return Suite(
        name=fields.text("name"),
        version=fields.text("version"),
        description=fields.text("description", default=""),
        folder=path.parent,
        tasks=tuple(tasks),
        aggregates=parsed,
        fingerprint=_fingerprint(path, found, tasks),
    )


class _Fields:
    """Fields of a mapping in a suite's file; a fault is noted with its line, and a default takes its place."""

    def __init__(self, found: LinedMapping, path: Path, faults: list[_Fault]) -> None:
        self.found, self.path, self.faults = found, path, faults

    def fault(self, key: str, text: str) -> None:
        self.faults.append(_Fault(path=self.path, line=self.found.line_of(key), text=text))

    def known(self, names: Sequence[str]) -> None:
        for key in self.found:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                self.fault(key, f"{key} must be one of {', '.join(names)}.{hint}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.found.get(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and key in ("version", "id"):
            value = str(value)  # YAML reads 1 and 1.0 as numbers
        if not isinstance(value, str) or (default is None and not value.strip()):
            self.fault(key, f"{key} must be a text, got {_shown(value)}.")
            return default or "?"
        return value

    def one_of(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self.found.get(key, default)
        if value not in choices:
            self.fault(key, f"{key} must be one of {', '.join(choices)}, got {_shown(value)}.")
            return choices[0]
        return value

    def texts(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        value = self.found.get(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
            self.fault(key, f"{key} must be a list of texts that are not empty, got {_shown(value)}. Quote them.")
            return tuple(default)
        return tuple(value)

    def number(self, key: str, default: float, *, least: float, whole: bool) -> float:
        value = self.found.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else int | float)
            or not least <= value < float("inf")
        ):
            name = "a whole number" if whole else "a number"
            self.fault(key, f"{key} must be {name} of at least {least}, got {_shown(value)}.")
            return default
        return value

    def mapping(self, key: str, *, required: bool = True) -> "_Fields | None":
        value = self.found.get(key)
        if isinstance(value, LinedMapping):
            return _Fields(value, self.path, self.faults)
        if required or value is not None:
            self.fault(key, f"{key} must be a mapping, got {_shown(value)}.")
        return None

    def mappings(self, key: str) -> Iterator["_Fields"]:
        value = self.found.get(key)
        if not isinstance(value, list) or not value:
            self.fault(key, f"{key} must be a list of at least one mapping, got {_shown(value)}.")
            return
        for one in value:
            if isinstance(one, LinedMapping):
                yield _Fields(one, self.path, self.faults)
            else:
                self.fault(key, f"{key} must be a list of mappings, got {_shown(one)} in it.")


def _task(fields: _Fields, defaults: _Fields | None) -> Task | None:
    fields.known((*_TASK, "metrics", *_SAMPLED))
    before = len(fields.faults)
    task_type = _type(fields)
    if task_type is None:
        return None
    generated = task_type not in ("choice", "truefalse")
    words = fields.texts("words", ("true", "false"))
    if len(words) != 2 or words[0] == words[1]:
        fields.fault("words", f"words must be two different texts, for true and for false, got {', '.join(words)}.")
    mode = fields.one_of("mode", ("generate", "loglik"), "generate")
    if generated and mode != "generate":
        fields.fault("mode", f"mode must be generate for type {task_type}, got {mode}. There are no options to score.")
    metrics = tuple(_metrics(fields, task_type))
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
        mode="loglik" if mode == "loglik" else "generate",
        continuations="texts"
        if fields.one_of("continuations", ("letters", "texts"), "letters") == "texts"
        else "letters",
        rotations="all" if fields.one_of("rotations", ("none", "all"), "none") == "all" else "none",
        words=(words[0], words[-1]),
        prompt=_prompt(fields, task_type),
        separator=fields.text("separator", default=" "),
        sampled=sampled,
        metrics=metrics,
        rows=found,
    )
    return task if len(fields.faults) == before else None


def _type(fields: _Fields) -> TaskType | None:
    before = len(fields.faults)
    found = fields.one_of("type", get_args(TaskType))
    return next(one for one in METRICS if one == found) if len(fields.faults) == before else None


def _task_id(fields: _Fields) -> str:
    found = fields.text("id")
    if not re.fullmatch(r"[\w-]+", found):
        fields.fault("id", f"id must consist of letters, digits, _ and -, got {found!r}: aggregates name it.")
    return found


def _prompt(fields: _Fields, task_type: TaskType) -> str:
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


def _sampled(fields: _Fields, defaults: _Fields | None) -> Sampled:
    whole = {"max_input_tokens": 1, "max_new_tokens": 1, "replies": 1, "no_repeat_ngram": 1}
    found: dict[str, Any] = {}
    for name in _SAMPLED:
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


def _metrics(fields: _Fields, task_type: TaskType) -> Iterator[Metric]:
    value = fields.found.get("metrics", [METRICS[task_type][0]])
    titles: set[str] = set()
    for one in value if isinstance(value, list) and value else [value]:
        entry = one if isinstance(one, LinedMapping) else LinedMapping(fields.found.line_of("metrics"))
        if entry is not one:
            entry["name"] = one
        inner = _Fields(entry, fields.path, fields.faults)
        name = inner.one_of("name", METRICS[task_type])
        options = {"rouge_l": ("tokens",), "pass": ("k",)}.get(name, ("number",) if task_type == "math" else ())
        inner.known(("name", *options))
        tokens, rules = ("auto", *get_args(Tokenization)), get_args(NumberRule)
        metric = Metric(
            name=name,
            tokens=tokens[tokens.index(inner.one_of("tokens", tokens, "auto"))],
            number=rules[rules.index(inner.one_of("number", rules, "auto"))],
            k=int(inner.number("k", 1, least=1, whole=True)),
        )
        if metric.title in titles:
            inner.fault("name", f"metrics must differ, got {metric.title} twice.")
        titles.add(metric.title)
        yield metric


def _rows(fields: _Fields, task_type: TaskType) -> tuple[Row, ...]:
    name = fields.text("file")
    path = fields.path.parent / name
    if not path.resolve().is_relative_to(fields.path.parent.resolve()) or not path.is_file():
        fields.fault("file", f"file must be a file in the folder of {FILE}, got {name}.")
        return ()
    try:
        found, faults = json_rows.checked(path, functools.partial(_numbered, task_type=task_type, folder=path.parent))
    except ValueError as error:
        fields.faults.append(_Fault(path=path, line=1, text=str(error)))
        return ()
    fields.faults.extend(_Fault(path=path, line=line, text=text) for line, text in faults)
    first: dict[str, int] = {}
    for line, row in found:
        if first.setdefault(row.id, line) != line:
            text = f'"id" must be unique, got {row.id!r}, which line {first[row.id]} has too.'
            fields.faults.append(_Fault(path=path, line=line, text=text))
    if not found and not faults:
        fields.faults.append(_Fault(path=path, line=1, text="the file must hold at least one row, got an empty file."))
    return tuple(row for _, row in found)


def _numbered(row: json_rows.JsonRow, key: str, *, task_type: TaskType, folder: Path) -> tuple[int, Row]:
    return int(key.rpartition(":")[2]), rows.parse(row, task_type=task_type, folder=folder)


def _aggregates(fields: _Fields, values: set[str]) -> tuple[Aggregate, ...]:
    named = fields.mapping("aggregates", required=False)
    found = []
    for name, text in ({} if named is None else named.found).items():
        try:
            aggregate = Aggregate(name=name, expression=aggregates.parse(str(text)))
        except ValueError as error:
            named.fault(name, str(error))
            continue
        unknown = [term for term in aggregate.terms if term not in values]
        if unknown and not fields.faults:  # of a task with a fault the metrics are not known
            known = ", ".join(sorted(values)) or "none"
            named.fault(name, f"{name} must name metrics of the tasks, got {', '.join(unknown)}; there are {known}.")
        found.append(aggregate)
    return tuple(found)


def _fingerprint(path: Path, found: LinedMapping, tasks: Sequence[Task]) -> str:
    """Hash all files of a suite under their names."""
    names = {
        FILE,
        *(one["file"] for one in found["tasks"]),
        *(image for task in tasks for row in task.rows for image in row.images),
    }
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0{hashlib.sha256((path.parent / name).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value!r}"
