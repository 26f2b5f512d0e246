"""Questions as a model sees them: prompt and options of each row, once per rotation."""

import dataclasses
import hashlib
import json
import string
from collections.abc import Iterator

from jaxkd.evals.suites.suite import Row, Task
from jaxkd.runtime.packages import file_sha256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Presented:
    """One presentation of a row."""

    task: Task
    row: Row
    rotation: int = 0
    """Number of places by which the options are moved forward."""

    @property
    def key(self) -> str:
        """Name within a suite: `TASK/ID`, with `@ROTATION` where options are rotated."""
        return f"{self.task.id}/{self.row.id}" + (f"@{self.rotation}" if self.task.rotations == "all" else "")

    @property
    def options(self) -> tuple[str, ...]:
        """Options in the order of this presentation: the first of the file stands at place `rotation`."""
        if self.task.type == "truefalse":
            return self.task.words
        cut = len(self.row.options) - self.rotation
        return self.row.options[cut:] + self.row.options[:cut]

    @property
    def answer(self) -> int | None:
        """Place of the right option in this presentation."""
        if self.row.answer is None or self.task.type != "choice":
            return self.row.answer
        return (self.row.answer + self.rotation) % len(self.row.options)

    @property
    def prompt(self) -> str:
        """Text of the prompt."""
        lines = (f"{letter}. {option}" for letter, option in zip(string.ascii_uppercase, self.options, strict=False))
        shown = "\n".join(lines) if self.task.type == "choice" else ""
        return self.task.prompt.format(question=self.row.question, options=shown)

    @property
    def continuations(self) -> tuple[str, ...]:
        """Texts whose log-likelihood is compared; none where a reply is generated."""
        if self.task.mode == "generate":
            return ()
        if self.task.type == "choice" and self.task.continuations == "letters":
            return tuple(string.ascii_uppercase[: len(self.options)])
        return self.options

    def fingerprint(self, respondent: str) -> str:
        """Hash of all that a reply depends on: prompt, continuations, sampling, and the model that is asked.

        Args:
            respondent: provenance of the model and of how it is prompted.
        """
        task = self.task
        asked = (
            [self.continuations, task.separator]
            if task.mode == "loglik"
            else [dataclasses.asdict(task.sampled) | {"max_input_tokens": None, "replies": None}]
        )
        images = [file_sha256(image) for image in self.row.images]
        text = json.dumps([respondent, self.prompt, images, *asked], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def presented(task: Task) -> Iterator[Presented]:
    """Yield each row of a task, once or once for each rotation of its options."""
    for row in task.rows:
        rotated = task.type == "choice" and task.rotations == "all"
        for rotation in range(len(row.options) if rotated else 1):
            yield Presented(task=task, row=row, rotation=rotation)
