"""Rows of a suite's JSONL files, checked by the type of their task."""

import string
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxkd.data.text.json_rows import JsonRow, kind, text
from jaxkd.evals.suites.suite import Row, TaskType
from jaxkd.metrics.numbers import final_number

_FIELDS: dict[TaskType, frozenset[str]] = {
    "choice": frozenset({"options", "answer"}),
    "truefalse": frozenset({"answer"}),
    "exact": frozenset({"reference"}),
    "math": frozenset({"reference"}),
    "generate": frozenset({"reference"}),
    "code": frozenset({"test", "prefix"}),
}
_SHARED = frozenset({"id", "question", "images", "meta"})
_MOST_OPTIONS = len(string.ascii_uppercase)


def parse(row: JsonRow, *, task_type: TaskType, folder: Path) -> Row:
    """Return a row whose fields are those of its type.

    Raises:
        ValueError: a field that is missing, unknown or of another kind, two equal options, an answer that is none of
            the options, or an image that does not exist.
    """
    allowed = _SHARED | _FIELDS[task_type]
    unknown = sorted(row.keys() - allowed)
    if unknown:
        raise ValueError(
            f"a row of type {task_type} must have fields among {', '.join(sorted(allowed))}, got {', '.join(unknown)}. "
            "Put remarks into meta."
        )
    options = _options(row.get("options")) if task_type == "choice" else ()
    return Row(
        id=_id(row.get("id")),
        question=text(row.get("question"), '"question"'),
        options=options,
        answer=_answer(row.get("answer"), task_type, len(options)),
        references=_references(row.get("reference"), task_type) if "reference" in allowed else (),
        images=_images(row.get("images"), folder),
        test=_test(row.get("test")) if task_type == "code" else "",
        prefix=text(row.get("prefix", ""), '"prefix"'),
    )


def _id(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = text(value, '"id"')
    if not found.strip():
        raise ValueError('"id" must name the row, got an empty string.')
    return found


def _options(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        letters = list(string.ascii_uppercase[: len(value)])
        if list(value) != letters:
            raise ValueError(f'"options" must have the keys {", ".join(letters)} in order, got {", ".join(value)}.')
        value = list(value.values())
    if not isinstance(value, list) or not 2 <= len(value) <= _MOST_OPTIONS:
        found = f"{len(value)}" if isinstance(value, list) else kind(value)
        raise ValueError(f'"options" must be a list of 2 to {_MOST_OPTIONS} strings, got {found}.')
    options = tuple(text(option, f'"options"[{place}]') for place, option in enumerate(value))
    first: dict[str, int] = {}
    for place, option in enumerate(options):
        same = first.setdefault(unicodedata.normalize("NFKC", option).strip(), place)
        if same != place:
            raise ValueError(
                f'"options" must differ, got {option!r} as {string.ascii_uppercase[same]} and '
                f"{string.ascii_uppercase[place]}. Of two equal options only one would count as right."
            )
    return options


def _answer(value: Any, task_type: TaskType, count: int) -> int | None:
    if task_type == "truefalse":
        if not isinstance(value, bool):
            raise ValueError(f'"answer" must be true or false, got {_shown(value)}.')
        return 0 if value else 1
    if task_type != "choice":
        return None
    letters = string.ascii_uppercase[:count]
    index = letters.find(value) if isinstance(value, str) and len(value) == 1 else value
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        raise ValueError(
            f'"answer" must be one of the letters {", ".join(letters)} or an index from 0 to {count - 1}, '
            f"got {_shown(value)}."
        )
    return index


def _references(value: Any, task_type: TaskType) -> tuple[str, ...]:
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    if task_type == "math":
        values = [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in values]
    found = tuple(text(one, '"reference"') for one in values)
    if not found or not all(one.strip() for one in found):
        raise ValueError('"reference" must be a text or a list of texts, got an empty one.')
    for one in found if task_type == "math" else ():
        if final_number(one) is None:
            raise ValueError(f'"reference" must end in a number in a math task, got {one!r}.')
    return found


def _images(value: Any, folder: Path) -> tuple[Path, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f'"images" must be a list of paths, got {kind(value)}.')
    found = tuple(text(one, f'"images"[{place}]') for place, one in enumerate(value))
    for image in found:
        path = folder / image
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f'"images" must lie in the folder of the suite, got {image!r}.')
        if not path.is_file():
            raise ValueError(f'"images" must be files of the suite, got {image!r}, which does not exist.')
    return tuple(folder / image for image in found)


def _test(value: Any) -> str:
    source = text(value, '"test"')
    try:
        compile(source, "test", "exec")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f'"test" must be Python, got {error}.') from error
    return source


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int) else kind(value)
