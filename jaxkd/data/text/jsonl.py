"""Instruction data from JSON Lines files."""

import dataclasses
from typing import Any, Literal

from jaxkd.data.examples import Example, Source
from jaxkd.data.text import alpaca, json_rows
from jaxkd.data.text.split_files import SplitFiles
from jaxkd.typing import Split

_CONVERSATIONS = ("messages", "conversations")
_RESPONSES = (("response", "output"), ("completion", "answer"))
"""Names of the response; those of the second group count in rows without one of the first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jsonl(SplitFiles, Source):
    r"""Instruction data, one file per split, each line in one of these forms.

    ```
    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
    {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
    {"instruction": "...", "input": "...", "output": "..."}
    {"prompt": "...", "response": "..."}
    {"question": "...", "answer": "..."}
    ```

    A row may have a `key`, a text that no other row of the file has, as the rows of a `Generate` stage do: the name by
    which the row is known however the file is ordered or extended.  Without one it is FILE:LINE.

    The last message of a conversation is the response and must be the assistant's.  Roles are system, user (human),
    assistant (gpt) and tool.  `prompt` and `question` become the user's message.

    `context` is another name for `input`, which may come with a question too; `output`, `completion` and `answer` are
    other names for `response`, and the first of a list of references is learnt.  Other fields are ignored, which is
    logged once per file, and so are empty lines.  Rows that two splits share are logged as well.

    An instruction, with its input if it has one, becomes the user's message under a chat template.  The
    plain template uses `Example.rendered`: the row's own `prompt`, or `alpaca.prompt` without one.
    """

    responses: Literal["required", "optional"] = "required"
    """Whether rows must have a response.  "optional" also reads prompts alone, whose conversations end with the user's
    message: a `Generate` stage answers them, and training drops them, counted."""

    def examples(self, split: Split) -> list[Example]:
        """Return the rows of a split's file, in order.

        Raises:
            ValueError: no file for the split, malformed rows (all are counted, the first is shown), no rows, two rows
                of one key, or an unknown choice.
            FileNotFoundError: the file does not exist.
        """
        parse = {"required": _example, "optional": _perhaps_prompt}.get(self.responses)
        if parse is None:
            raise ValueError(f'responses must be "required" or "optional", got {self.responses!r}.')
        found = self.rows(split, parse)
        self.require_own_keys(split, [one.key for one in found])
        return found


def _example(row: json_rows.JsonRow, key: str) -> Example:
    """Convert a row.

    Raises:
        ValueError: the row is malformed; the message says how.
    """
    return _converted(row, key, required=True)


def _perhaps_prompt(row: json_rows.JsonRow, key: str) -> Example:
    """Convert a row that may be a prompt alone, as `_example`."""
    return _converted(row, key, required=False)


def _converted(row: json_rows.JsonRow, key: str, *, required: bool) -> Example:
    rendered = None
    conversation = next((name for name in _CONVERSATIONS if name in row), None)
    if conversation is not None:
        messages, response = _from_conversation(row[conversation], conversation, required=required)
    elif "instruction" in row:
        messages, rendered = _from_instruction(row)
        response = _from_response(row, "instruction", required=required)
    elif "prompt" in row:
        messages = (("user", json_rows.text(row["prompt"], '"prompt"')),)
        response = _from_response(row, "prompt", required=required)
    elif "question" in row:
        messages = (("user", _with_input(json_rows.text(row["question"], '"question"'), _input(row))),)
        response = _from_response(row, "question", required=required)
    else:
        raise ValueError(
            'a row must have "messages" or "conversations", or "instruction" with "output", or "prompt" with '
            f'"response", or "question" with "answer", got the fields {sorted(row)}.'
        )
    key = json_rows.text(row.get("key", key), '"key"')
    return Example(key=key, group=key, messages=messages, response=response, rendered=rendered)


def _from_conversation(messages: Any, name: str, *, required: bool) -> tuple[tuple[tuple[str, str], ...], str]:
    if not required and (turns := json_rows.turns(messages, name, at_least=1))[-1][0] == "user":
        return turns, ""
    *prompt, (role, response) = json_rows.turns(messages, name, at_least=2)
    if role != "assistant":
        raise ValueError(f'the last of "{name}" must be the assistant\'s, got {role!r}.')
    return tuple(prompt), response


def _from_instruction(row: json_rows.JsonRow) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return the messages, and the prompt as the row or Alpaca renders it."""
    instruction = json_rows.text(row["instruction"], '"instruction"')
    given = _input(row)
    rendered = json_rows.text(row["prompt"], '"prompt"') if "prompt" in row else alpaca.prompt(instruction, given)
    return (("user", _with_input(instruction, given)),), rendered


def _input(row: json_rows.JsonRow) -> str:
    """Return the text that an instruction or a question applies to; empty if there is none."""
    name = "input" if "input" in row else "context"
    return json_rows.text(row.get(name, ""), f'"{name}"')


def _with_input(task: str, given: str) -> str:
    return f"{task}\n\n{given}" if given else task


def _from_response(row: json_rows.JsonRow, prompt_field: str, *, required: bool) -> str:
    names = next((found for group in _RESPONSES if (found := [name for name in group if name in row])), [])
    if not names and not required:
        return ""
    if len(names) != 1:
        known = '"response", "output", "completion" and "answer"'
        raise ValueError(f'"{prompt_field}" must come with one of {known}, got {names or "none"}.')
    (name,) = names
    value = row[name]
    if isinstance(value, list):
        if not value:
            raise ValueError(f'"{name}" must hold at least one reference, got an empty list.')
        value = value[0]
    return json_rows.text(value, f'"{name}"')
