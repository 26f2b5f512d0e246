"""Instruction data from JSON Lines files."""

import dataclasses
from typing import Any

from jaxkd.data.examples import Example, Source
from jaxkd.data.text import alpaca, json_rows
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jsonl(json_rows.SplitFiles, Source):
    r"""Instruction data, one file per split, each line in one of three forms.

    ```
    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
    {"instruction": "...", "input": "...", "output": "..."}
    {"prompt": "...", "response": "..."}
    ```

    The last of `messages` is the response and must be the assistant's.  `prompt` becomes the user's
    message.  `output` is another name for `response`; the first of a list of references is learnt.
    Other fields and empty lines are ignored.

    An instruction, with its input if it has one, becomes the user's message under a chat template.  The
    plain template uses `Example.rendered`: the row's own `prompt`, or `alpaca.prompt` without one.
    """

    def examples(self, split: Split) -> list[Example]:
        """Return the rows of a split's file, in order.

        Raises:
            ValueError: no file for the split, malformed rows (all are counted, the first is shown), no rows.
            FileNotFoundError: the file does not exist.
        """
        return json_rows.read(self.file(split), _example)


def _example(row: dict[str, Any], key: str) -> Example:
    """Convert a row.

    Raises:
        ValueError: the row is malformed; the message says how.
    """
    rendered = None
    if "messages" in row:
        messages, response = _from_messages(row["messages"])
    elif "instruction" in row:
        messages, rendered = _from_instruction(row)
        response = _from_response(row, "instruction")
    elif "prompt" in row:
        messages = (("user", json_rows.text(row["prompt"], '"prompt"')),)
        response = _from_response(row, "prompt")
    else:
        raise ValueError(
            'a row must have "messages", or "instruction" with "output", or "prompt" with "response", got the fields '
            f"{sorted(row)}."
        )
    return Example(key=key, group=key, messages=messages, response=response, rendered=rendered)


def _from_messages(messages: Any) -> tuple[tuple[tuple[str, str], ...], str]:
    *prompt, (role, response) = json_rows.turns(messages, "messages", at_least=2)
    if role != "assistant":
        raise ValueError(f'the last of "messages" must be the assistant\'s, got {role!r}.')
    return tuple(prompt), response


def _from_instruction(row: dict[str, Any]) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return the messages, and the prompt as the row or Alpaca renders it."""
    instruction = json_rows.text(row["instruction"], '"instruction"')
    given = json_rows.text(row.get("input", ""), '"input"')
    rendered = json_rows.text(row["prompt"], '"prompt"') if "prompt" in row else alpaca.prompt(instruction, given)
    return (("user", f"{instruction}\n\n{given}" if given else instruction),), rendered


def _from_response(row: dict[str, Any], prompt_field: str) -> str:
    names = [name for name in ("response", "output") if name in row]
    if len(names) != 1:
        raise ValueError(f'"{prompt_field}" must come with one of "response" and "output", got {names or "neither"}.')
    (name,) = names
    value = row[name]
    if isinstance(value, list):
        if not value:
            raise ValueError(f'"{name}" must hold at least one reference, got an empty list.')
        value = value[0]
    return json_rows.text(value, f'"{name}"')
