"""Chats: models that reply to conversations, on this machine or behind a URL."""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

from jaxkd.data.examples import Messages

Received: TypeAlias = Callable[[int, str], None]
"""Function of a conversation's index and its reply."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chat(abc.ABC):
    """Model that replies to conversations: subclass it to call a model of your own."""

    @abc.abstractmethod
    def __call__(
        self,
        conversations: Sequence[Messages],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        received: Received | None = None,
    ) -> list[str]:
        """Return one reply per conversation, in order.

        Args:
            conversations: conversations that end with what the model replies to.
            max_new_tokens: maximum number of tokens of a reply.
            temperature: divisor of the logits; 0 takes the most probable token.
            received: called in the caller's thread with each reply as it arrives, in any order, so that a failure
                after some replies loses none of them.
        """

    @abc.abstractmethod
    def provenance(self) -> str:
        """Return one line for a result: the model, and where it runs."""


def without_thinking(reply: str) -> str:
    """Return a reply without what a model thinks first, up to `</think>`; nothing of one that never stops thinking.

    Example:
        >>> without_thinking("<think>Is it A? No.</think>B")
        'B'
    """
    # Chat templates that write <think> themselves leave only its end in the reply.
    return reply.rpartition("</think>")[2].partition("<think>")[0].strip()
