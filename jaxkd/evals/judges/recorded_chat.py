"""Replies of a chat, kept in a file."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from jaxkd.data.examples import Messages
from jaxkd.evals.judges.chat import Chat, Received
from jaxkd.runtime.storage.files import append
from jaxkd.runtime.storage.json_lines import whole_rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedChat(Chat):
    """Replies of another chat at temperature 0, kept in a file as they arrive, and not requested again.

    After a failure or a killed process, the same call requests the missing ones alone.  Another model, conversation or
    number of tokens is another request.
    """

    chat: Chat
    """Chat that replies to what the file lacks."""
    path: str
    """File of the replies, a JSON object a line, created if missing."""

    def __call__(
        self,
        conversations: Sequence[Messages],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        received: Received | None = None,
    ) -> list[str]:
        """Look the replies up, and request those that are missing.

        Raises:
            ValueError: a temperature above 0, a damaged file, or what the chat raises.
        """
        if temperature != 0:
            raise ValueError(
                f"temperature must be 0 for recorded replies, which are not sampled again, got {temperature}. Call "
                "the chat itself."
            )
        path = Path(self.path).expanduser()
        known = _read(path)
        source = self.chat.provenance()
        keys = [_key(source, messages, max_new_tokens) for messages in conversations]
        missing = {key: messages for key, messages in zip(keys, conversations, strict=True) if key not in known}
        names = list(missing)

        def keep(index: int, text: str) -> None:
            known[names[index]] = text
            append(path, json.dumps({"key": names[index], "reply": text}) + "\n")

        if missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            found = self.chat(list(missing.values()), max_new_tokens=max_new_tokens, received=keep)
            for index, text in enumerate(found):
                if names[index] not in known:  # a chat of one's own may leave `received` out
                    keep(index, text)
        replies = [known[key] for key in keys]
        for index, text in enumerate(replies):
            if received is not None:
                received(index, text)
        return replies

    def provenance(self) -> str:
        return self.chat.provenance()


def _key(source: str, messages: Messages, max_new_tokens: int) -> str:
    return hashlib.sha256(json.dumps([source, messages, max_new_tokens]).encode()).hexdigest()


def _read(path: Path) -> dict[str, str]:
    replies: dict[str, str] = {}
    for number, row in enumerate(whole_rows(path), start=1):
        try:
            replies[row["key"]] = row["reply"]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f'{path}, line {number}, must be a JSON object with "key" and "reply", got {str(row)[:60]!r}. '
                "Remove it."
            ) from error
    return replies
