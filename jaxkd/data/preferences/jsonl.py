"""Preferences from JSON Lines files, with the prompt beside the answers or within them."""

import dataclasses
import itertools
import logging
import re
from typing import Any, TypeAlias

from jaxkd.data.preferences.examples import Preference, PreferenceSource
from jaxkd.data.text import json_rows
from jaxkd.data.text.split_files import SplitFiles
from jaxkd.typing import Split

_log = logging.getLogger(__name__)

_HUMAN, _ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
_ANSWERS = ("chosen", "rejected")
_OF_LABELS = frozenset({"order_disagreement", "principle", "judge", "seed"})
"""Fields by which a `PreferenceLabels` stage tells how it came to a label."""
_ROLES = {_HUMAN: "user", _ASSISTANT: "assistant"}


_Parted: TypeAlias = tuple[tuple[tuple[str, str], ...], str | None, str, str]
"""Prompt, rendered prompt, and the two answers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceJsonl(SplitFiles, PreferenceSource):
    r"""Preferences, one file per split, each line in one of four forms.

    ```
    {"prompt": "...", "chosen": "...", "rejected": "..."}
    {"prompt": [MESSAGE, ...], "chosen": [MESSAGE], "rejected": [MESSAGE]}
    {"chosen": [MESSAGE, ...], "rejected": [MESSAGE, ...]}
    {"chosen": "\n\nHuman: ...\n\nAssistant: ...", "rejected": "\n\nHuman: ...\n\nAssistant: ..."}
    ```

    A MESSAGE is `{"role": "...", "content": "..."}`; an answer is one message of the assistant, or its text.  Without
    `prompt`, the prompt is what the two conversations have in common: their first messages, or the text up to the last
    turn of the assistant, which is also `Preference.rendered`.  Conversations that differ earlier are counted, logged
    and left out.

    `pref_prob`, the probability that `chosen` is the better one, and `weight` are numbers, 1 if missing.  A row may
    have a `key` as in `Jsonl`.  `order_disagreement`, `principle`, `judge` and `seed`, by which a `PreferenceLabels`
    stage reports how it came to a label, are for a reader.  Other fields are ignored, which is logged once per file,
    and so are empty lines.
    """

    def pairs(self, split: Split) -> list[Preference]:
        """Return the pairs of a split's file, in order.

        Raises:
            ValueError: no file for the split, malformed rows (all are counted, the first is shown), no pairs, or two
                of one key.
            FileNotFoundError: the file does not exist.
        """
        path = self.file(split)
        rows = self.rows(split, _pair)
        pairs = [pair for pair in rows if pair is not None]
        if len(pairs) < len(rows):
            _log.info("%s: left out %d of %d rows, whose prompts differ", split, len(rows) - len(pairs), len(rows))
        if not pairs:
            raise ValueError(f"{path} must hold at least one pair, got {len(rows)} rows whose prompts all differ.")
        self.require_own_keys(split, [one.key for one in pairs])
        return pairs


def _pair(row: json_rows.JsonRow, key: str) -> Preference | None:
    """Convert a row; None if the conversations differ before the last turn.

    Raises:
        ValueError: the row is malformed; the message says how.
    """
    if not row.keys() >= {*_ANSWERS}:
        raise ValueError(f'a row must have "chosen" and "rejected", got the fields {sorted(row)}.')
    if "prompt" in row:
        messages, rendered = _prompt(row["prompt"]), None
        chosen, rejected = (_answer(row[name], name) for name in _ANSWERS)
    else:
        of_messages = isinstance(row["chosen"], list)
        parted = (_parted_messages if of_messages else _parted_transcripts)(row)
        if parted is None:
            return None
        messages, rendered, chosen, rejected = parted
    key = json_rows.text(row.get("key", key), '"key"')
    row.read |= _OF_LABELS
    return Preference(
        key=key,
        group=key,
        messages=messages,
        chosen=chosen,
        rejected=rejected,
        rendered=rendered,
        probability=_number(row, "pref_prob"),
        weight=_number(row, "weight"),
    )


def _parted_messages(row: json_rows.JsonRow) -> _Parted | None:
    """Split two conversations that share all but their last message."""
    chosen, rejected = (json_rows.turns(row[name], name, at_least=2) for name in _ANSWERS)
    same = itertools.takewhile(lambda turns: turns[0] == turns[1], zip(chosen, rejected, strict=False))
    # Equal conversations have a prompt, too.
    shared = min(len(list(same)), len(chosen) - 1, len(rejected) - 1)
    if not len(chosen) == len(rejected) == shared + 1:
        return None
    return chosen[:shared], None, _of_assistant(chosen[-1], "chosen"), _of_assistant(rejected[-1], "rejected")


def _parted_transcripts(row: json_rows.JsonRow) -> _Parted | None:
    """Split two texts that are equal up to the assistant's last turn."""
    (prompt, chosen), (other, rejected) = (_parted(json_rows.text(row[name], f'"{name}"'), name) for name in _ANSWERS)
    if prompt != other:
        return None
    return _dialogue(prompt.removesuffix(_ASSISTANT)), prompt, chosen, rejected


def _number(row: json_rows.JsonRow, name: str) -> float:
    value = row.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'"{name}" must be a number, got {json_rows.kind(value)}.')
    return float(value)


def _prompt(prompt: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(prompt, list):
        return json_rows.turns(prompt, "prompt", at_least=1)
    return (("user", json_rows.text(prompt, '"prompt"')),)


def _answer(answer: Any, name: str) -> str:
    if isinstance(answer, list):
        turns = json_rows.turns(answer, name, at_least=1)
        if len(turns) != 1:
            raise ValueError(f'"{name}" must be one message beside a "prompt", got {len(turns)}.')
        return _of_assistant(turns[0], name)
    return json_rows.text(answer, f'"{name}"')


def _of_assistant(turn: tuple[str, str], name: str) -> str:
    role, text = turn
    if role != "assistant":
        raise ValueError(f'the last message of "{name}" must be the assistant\'s, got {role!r}.')
    return text


def _parted(text: str, name: str) -> tuple[str, str]:
    """Split off the last answer of a transcript."""
    before, turn, answer = text.rpartition(_ASSISTANT)
    if not turn:
        raise ValueError(
            f'"{name}" must come with a "prompt", or hold a transcript with {_ASSISTANT!r}, got {text[:40]!r}.'
        )
    return before + turn, answer.removeprefix(" ")


def _dialogue(text: str) -> tuple[tuple[str, str], ...]:
    parts = re.split(f"({re.escape(_HUMAN)}|{re.escape(_ASSISTANT)})", text)
    if parts[0].strip() or len(parts) < 3:
        raise ValueError(f"a transcript must begin with {_HUMAN!r}, got {text[:40]!r}.")
    return tuple((_ROLES[mark], said.strip()) for mark, said in zip(parts[1::2], parts[2::2], strict=True))
