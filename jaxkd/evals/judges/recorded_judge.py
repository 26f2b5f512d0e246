"""Verdicts from a file, which people fill in."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from jaxkd.data.text import json_rows
from jaxkd.evals.judges.pairwise import Judge, Question, Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedJudge(Judge):
    """Verdicts from a file, `{"prompt": "...", "first": "...", "second": "...", "verdict": "first"}` per line.

    A question with a principle has it as another field, `principle`.  Questions without a verdict are appended to the
    file with null in its place: fill them in, and run again.
    """

    path: str

    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Look the verdicts up.

        Raises:
            ValueError: malformed lines, or questions without a verdict.
        """
        path = Path(self.path).expanduser()
        known = dict(json_rows.read(path, _recorded)) if path.is_file() else {}
        unanswered = [question for question in dict.fromkeys(questions) if known.get(question) is None]
        if unanswered:
            added = [question for question in unanswered if question not in known]
            with path.open("a", encoding="utf-8") as file:
                for question in added:
                    file.write(json.dumps(_row(question), ensure_ascii=False) + "\n")
            raise ValueError(
                f"{path} must have a verdict for each of the {len(questions)} questions, got none for "
                f"{len(unanswered)}, of which {len(added)} were added now. Fill in "
                f"{', '.join(map(repr, get_args(Verdict)))} for null, and run the same command again."
            )
        return [verdict for question in questions if (verdict := known[question]) is not None]

    def provenance(self) -> str:
        return f"verdicts recorded in {self.path}"


def _row(question: Question) -> dict[str, str | None]:
    """Return the row of a question without a verdict."""
    fields = dataclasses.asdict(question) | {"verdict": None}
    return {name: value for name, value in fields.items() if name != "principle" or value}


def _recorded(row: dict[str, Any], key: str) -> tuple[Question, Verdict | None]:
    del key
    texts = {name: json_rows.text(row.get(name), f'"{name}"') for name in ("prompt", "first", "second")}
    principle = json_rows.text(row.get("principle", ""), '"principle"')
    verdict = row.get("verdict")
    if verdict is not None and verdict not in get_args(Verdict):
        choices = ", ".join(map(repr, get_args(Verdict)))
        raise ValueError(f'"verdict" must be one of {choices} or null, got {verdict!r}.')
    return Question(**texts, principle=principle), verdict
