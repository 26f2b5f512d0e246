"""Drop and repair the rows of a split that hygiene finds fault with, and report them: the `Clean` stage."""

import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxkd.data.examples import Example, Source
from jaxkd.data.text.hygiene import Cleaned, Hygiene, clean
from jaxkd.data.text.hygiene.cleaned import Initial
from jaxkd.runtime.storage.files import write_json, write_text
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.sampling import Finish
from jaxkd.study.generate_stage import ANSWERS
from jaxkd.training import stage_folder
from jaxkd.training.stage import Stage, resolve
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

DROPPED = "dropped.jsonl"
"""File of the rows that are dropped, as they were, each with its reasons."""

REPORT = "hygiene.json"
"""File of the counts by reason, and of the closers that were taken away."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clean(Stage):
    """Write the rows of a split that a model may learn: `SFT` on `Jsonl(train="stage:NAME")` learns them.

    The folder holds them in SPLIT.jsonl, without the closing sentences that many of them share; `dropped.jsonl` has the
    others with their reasons, and `hygiene.json` counts both.

    Source: inferred from Zhang, Constitution or Collapse?, arXiv 2504.04918, whose model repeats the smileys of its own
    revisions and which leaves cleaning them to future work.
    """

    source: Source
    """Rows to clean: those of a `Generate` stage are `Jsonl(train="stage:NAME")`."""
    split: Split = "train"
    """Split of the rows."""
    hygiene: Hygiene = dataclasses.field(default_factory=Hygiene)
    """Reasons to drop a row, and their thresholds."""
    initial: Initial = "first"
    """The assistant's turn of a prompt that the response revises: the "first", the "previous" one, or "none" where each
    response answers another question.  Prompts without such a turn revise nothing."""
    generated: str | None = None
    """Folder of the `Generate` stage that wrote the responses, "stage:NAME", which knows the unfinished ones; None: no
    response counts as unfinished."""

    def validate(self) -> None:
        if jax.process_count() > 1:
            raise ValueError("a Clean stage must run in one process. Clean the rows first, then start the others.")

    def provenance(self) -> str:
        return f"rows: {type(self.source).__name__}, cleaned"

    def run(self, folder: Path, *, seed: int, stages: Mapping[str, Path]) -> None:
        """Write the rows, the dropped ones and the report; the rows last.

        Raises:
            ValueError: every row is dropped, or `generated` holds no answers.
        """
        del seed
        with stage_folder.claimed(folder, self, work=(f"{self.split}.jsonl",)):
            self._run(folder, stages)

    def _run(self, folder: Path, stages: Mapping[str, Path]) -> None:
        learnt = folder / f"{self.split}.jsonl"
        if learnt.exists():
            _log.info("%s is finished: nothing to do", folder)
            return
        resolved = resolve(self, stages)
        examples = resolved.source.examples(self.split)
        ended = None if resolved.generated is None else _ended(examples, Path(resolved.generated))
        found = clean(examples, self.hygiene, initial=self.initial, ended=ended)
        write_text(
            folder / DROPPED,
            _lines(_row(row.example, row.example.response) | {"reasons": row.reasons} for row in found.dropped),
        )
        write_json(folder / REPORT, _report(found))
        for reason, count in found.counts().items():
            if reason in self.hygiene.reasons:
                _log.info("%s: %s: %d of %d rows", folder, reason, count, len(found.rows))
        _log.info("%s: %d of %d rows are kept", folder, len(found.kept), len(found.rows))
        if not found.kept:
            counts = ", ".join(f"{reason} {count}" for reason, count in found.counts().items() if count)
            raise ValueError(
                f"one row at least must pass hygiene, got none of {len(found.rows)}: {counts}. {folder / DROPPED} has "
                "each with its reasons. Change the thresholds, or leave reasons out of hygiene.reasons."
            )
        write_text(learnt, _lines(_row(row.example, row.response) for row in found.kept))


def _ended(examples: Iterable[Example], folder: Path) -> dict[str, bool]:
    """Return whether each response ended by itself, by key, from the answers of a `Generate` stage.

    Raises:
        ValueError: a folder without answers, or with none of these examples.
    """
    answers = list(whole_rows(folder / ANSWERS))
    if not answers:
        raise ValueError(
            f"generated must be the folder of a Generate stage with its answers, got {str(folder)!r}, which has no "
            f"{ANSWERS} or an empty one. Name the stage that wrote the responses, or None."
        )
    if {row["key"] for row in answers}.isdisjoint(example.key for example in examples):
        raise ValueError(
            f"generated must be the folder of the stage that wrote the responses, got {str(folder)!r}, which has no "
            "key of the source. Name that stage, or None."
        )
    return {row["key"]: row["finish"] != Finish.LENGTH.name for row in answers if row["finish"]}


def _report(found: Cleaned) -> dict[str, Any]:
    return {
        "rows": len(found.rows),
        "kept": len(found.kept),
        "dropped": len(found.dropped),
        "repaired": sum(row.repaired for row in found.rows),
        "reasons": found.counts(),
        "closers": [{"text": closer, "share": share} for closer, share in found.closers.items()],
    }


def _row(example: Example, response: str) -> dict[str, Any]:
    messages = [*example.messages, ("assistant", response)]
    return {"key": example.key, "messages": [{"role": role, "content": content} for role, content in messages]}


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
