"""A suite: tasks of questions in a folder, and the metrics by which the answers are scored."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal, TypeAlias

from jaxkd.data.examples import subset
from jaxkd.evals.suites.aggregates import Aggregate
from jaxkd.metrics.numbers import NumberRule
from jaxkd.metrics.rouge import Tokenization
from jaxkd.runtime.packages import file_sha256

TaskType: TypeAlias = Literal["choice", "truefalse", "exact", "math", "generate", "code"]
Mode: TypeAlias = Literal["generate", "loglik"]
Continuations: TypeAlias = Literal["letters", "texts"]
Rotations: TypeAlias = Literal["none", "all"]
RougeTokens: TypeAlias = Tokenization | Literal["auto"]

METRICS: dict[TaskType, tuple[str, ...]] = {
    "choice": ("accuracy", "accuracy_per_character"),
    "truefalse": ("accuracy",),
    "exact": ("exact_match",),
    "math": ("exact_match",),
    "generate": ("rouge_l", "judge4"),
    "code": ("pass",),
}
"""Metrics of each type of task; the first is the default."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of a task, in percent."""

    name: str
    tokens: RougeTokens = "auto"
    """Unit of text that `rouge_l` compares; "auto" is resolved from all references of the task."""
    number: NumberRule = "auto"
    """Rule that finds the number of a `math` reply."""
    k: int = 1
    """Number of programs of which one has to pass, of `pass`."""

    @property
    def title(self) -> str:
        """Name in results and in aggregates: `pass@1`, or the name itself."""
        return f"pass@{self.k}" if self.name == "pass" else self.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One question."""

    id: str
    question: str
    options: tuple[str, ...] = ()
    """Options of a choice, in the order of the file."""
    answer: int | None = None
    """Index of the right option; of a true/false question 0 for true and 1 for false."""
    references: tuple[str, ...] = ()
    """Right answers, of which one has to be met."""
    images: tuple[Path, ...] = ()
    """Files of images that belong to the question."""
    test: str = ""
    """Source code that checks a program and runs after it."""
    prefix: str = ""
    """Source code in front of a reply."""

    @property
    def key(self) -> str:
        """Permanent name, by whose hash a part of the rows is chosen."""
        return self.id

    def fingerprint(self) -> str:
        """Hash of all fields and of the images' contents, wherever they lie."""
        images = [file_sha256(image) for image in self.images]
        text = repr((dataclasses.replace(self, images=()), images))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampled:
    """Generation of replies: length, temperature and number.

    Settings are part of a sample's identity: other settings ask again.
    """

    max_input_tokens: int = 2048
    """Tokens of a prompt; a row with a longer one is skipped, and counted."""
    max_new_tokens: int = 1024
    """Tokens of a reply."""
    temperature: float = 0.0
    """Temperature of the sampling; 0 takes the most probable token."""
    no_repeat_ngram: int | None = None
    """Length of the token sequences that must not appear twice; None: no such rule."""
    replies: int = 1
    """Number of replies to each question; every metric but `pass` is their mean."""
    stop: tuple[str, ...] = ()
    """Strings that end a reply."""

    def __str__(self) -> str:
        """One line for a result."""
        chosen = f"temperature {self.temperature:g}" if self.temperature else "the most probable tokens"
        ngram = "" if self.no_repeat_ngram is None else f", no sequence of {self.no_repeat_ngram} tokens twice"
        count = "a reply" if self.replies == 1 else f"{self.replies} replies"
        return f"{count} of at most {self.max_new_tokens:,} tokens, {chosen}{ngram}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """Questions of one type."""

    id: str
    """Name in aggregates and results."""
    name: str = ""
    """Title for readers."""
    level: str = ""
    """Group in reports, such as a level of Bloom's taxonomy."""
    type: TaskType
    mode: Mode = "generate"
    """Whether the reply is generated and read, or the options are compared by their log-likelihood."""
    continuations: Continuations = "letters"
    """Part of an option that is scored: its letter or its text."""
    rotations: Rotations = "none"
    """Whether a question is asked once, or once for each rotation of its options."""
    words: tuple[str, str] = ("true", "false")
    """Words for true and false."""
    prompt: str
    """Template of a prompt, with the fields `{question}` and `{options}`."""
    separator: str = " "
    """Text between a prompt and the continuation that is scored."""
    sampled: Sampled = dataclasses.field(default_factory=Sampled)
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]

    @property
    def references(self) -> tuple[str, ...]:
        """All references of its rows."""
        return tuple(reference for row in self.rows for reference in row.references)

    @property
    def chance(self) -> float | None:
        """Accuracy of a guess in percent; None where there is nothing to choose from."""
        if self.type == "truefalse":
            return 50.0
        if self.type == "choice":
            return 100.0 * sum(1 / len(row.options) for row in self.rows) / len(self.rows)
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """All tasks of a folder."""

    name: str
    version: str
    description: str = ""
    folder: Path
    tasks: tuple[Task, ...]
    aggregates: tuple[Aggregate, ...] = ()
    fingerprint: str
    """Hash of `suite.yaml` and of all files that it names."""

    def subset(self, rows: int | None) -> "Suite":
        """Return a suite with at most this many rows of each task, chosen by a hash of their ids; None keeps all."""
        tasks = [dataclasses.replace(task, rows=tuple(subset(task.rows, rows))) for task in self.tasks]
        return dataclasses.replace(self, tasks=tuple(tasks))

    def with_lengths(self, *, max_input_tokens: int | None, max_new_tokens: int | None) -> "Suite":
        """Return a suite with other limits on the tokens of prompts and replies; None keeps those of each task."""
        given = {"max_input_tokens": max_input_tokens, "max_new_tokens": max_new_tokens}
        changed = {name: value for name, value in given.items() if value is not None}
        tasks = [dataclasses.replace(task, sampled=dataclasses.replace(task.sampled, **changed)) for task in self.tasks]
        return dataclasses.replace(self, tasks=tuple(tasks))
