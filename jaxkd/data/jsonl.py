"""Your own instruction data: one JSON object a line."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from jaxkd.data import alpaca
from jaxkd.data.examples import Example, Source, Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jsonl(Source):
    r"""One file a split, each line in one of three forms.

    ```
    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
    {"instruction": "...", "input": "...", "output": "..."}
    {"prompt": "...", "response": "..."}
    ```

    Of `messages` the last is learnt and must be the assistant's.  `prompt` becomes the user's message;
    `output` is another name for `response`, and of a list of references the first is learnt.  Other
    fields are ignored, and so are empty lines.

    An instruction, with its input if it has one, becomes the user's message under a chat template.  The
    plain template takes its `Example.rendered`: the row's own `prompt`, and `alpaca.prompt` without one.
    """

    train: str | None = None
    """Path of the file, or of a folder that an `Answer` stage wrote; None where the split is not used."""
    validation: str | None = None
    test: str | None = None

    def examples(self, split: Split) -> list[Example]:
        """The rows of a split's file, in its order.

        Raises:
            ValueError: no file for the split, malformed rows (all are counted, the first is shown), no rows.
            FileNotFoundError: the file does not exist.
        """
        name = {"train": self.train, "validation": self.validation, "test": self.test}[split]
        if name is None:
            raise ValueError(f"Jsonl.{split} must name a file, got None. Give {split}=PATH.")
        path = Path(name).expanduser()
        if path.is_dir():
            path /= f"{split}.jsonl"
        if not path.is_file():
            raise FileNotFoundError(f"Jsonl.{split} must name an existing file, got {name!r} ({path.absolute()}).")
        return _read(path)


def _read(path: Path) -> list[Example]:
    examples, faults = [], []
    # Lines are decoded one by one, so that a wrong byte is reported with its line.
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            examples.append(_example(line, f"{path.name}:{number}"))
        except ValueError as error:
            faults.append((number, str(error)))
    if faults:
        number, fault = faults[0]
        others = ", ".join(str(other) for other, _ in faults[1:6]) + (", ..." if len(faults) > 6 else "")
        raise ValueError(
            f"{path}, line {number}: {fault} {len(examples)} rows were fine, {len(faults)} were not"
            + (f"; the others: lines {others}." if others else ".")
        )
    if not examples:
        raise ValueError(f"{path} must hold at least one row, got an empty file.")
    return examples


def _example(line: bytes, key: str) -> Example:
    """A row.

    Raises:
        ValueError: the row is malformed; the message says how.
    """
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"a row must be UTF-8, got {error.reason} at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"a row must be JSON, got {error.msg} at column {error.colno}.") from error
    if not isinstance(row, dict):
        raise ValueError(f"a row must be a JSON object, got {_kind(row)}.")
    rendered = None
    if "messages" in row:
        messages, response = _from_messages(row["messages"])
    elif "instruction" in row:
        messages, rendered = _from_instruction(row)
        response = _from_response(row, "instruction")
    elif "prompt" in row:
        messages, response = (("user", _text(row["prompt"], '"prompt"')),), _from_response(row, "prompt")
    else:
        raise ValueError(
            'a row must have "messages", or "instruction" with "output", or "prompt" with "response", got the fields '
            f"{sorted(row)}."
        )
    return Example(key=key, group=key, messages=messages, response=response, rendered=rendered)


def _from_messages(messages: Any) -> tuple[tuple[tuple[str, str], ...], str]:
    if not isinstance(messages, list) or len(messages) < 2:
        count = len(messages) if isinstance(messages, list) else _kind(messages)
        raise ValueError(f'"messages" must be a list of at least a prompt and its response, got {count}.')
    turns = []
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise ValueError(f'"messages"[{place}] must be an object with "role" and "content", got {_kind(message)}.')
        role, text = (_text(message[field], f'"messages"[{place}]["{field}"]') for field in ("role", "content"))
        turns.append((role, text))
    *prompt, (role, response) = turns
    if role != "assistant":
        raise ValueError(f'the last of "messages" must be the assistant\'s, got {role!r}.')
    return tuple(prompt), response


def _from_instruction(row: dict[str, Any]) -> tuple[tuple[tuple[str, str], ...], str]:
    """The messages, and the prompt as the row or Alpaca writes it out."""
    instruction, given = _text(row["instruction"], '"instruction"'), _text(row.get("input", ""), '"input"')
    rendered = _text(row["prompt"], '"prompt"') if "prompt" in row else alpaca.prompt(instruction, given)
    return (("user", f"{instruction}\n\n{given}" if given else instruction),), rendered


def _from_response(row: dict[str, Any], asked: str) -> str:
    names = [name for name in ("response", "output") if name in row]
    if len(names) != 1:
        raise ValueError(f'"{asked}" must come with one of "response" and "output", got {names or "neither"}.')
    (name,) = names
    value = row[name]
    if isinstance(value, list):
        if not value:
            raise ValueError(f'"{name}" must hold at least one reference, got an empty list.')
        value = value[0]
    return _text(value, f'"{name}"')


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if isinstance(value, dict):
        return f"an object with the fields {sorted(value)}"
    names = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
