"""Conversations that go on: what was written to a prompt becomes a part of it, with one more turn of the user."""

import abc
import dataclasses

from jaxkd.data.examples import Example, Source
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class UserTurn(abc.ABC):
    """One more turn of the user for each conversation, drawn by its key."""

    @abc.abstractmethod
    def text(self, key: str) -> str:
        """Return the user's text for the conversation of a key."""

    @abc.abstractmethod
    def name(self, key: str) -> str:
        """Return the name of what the text was drawn from."""

    def validate(self) -> None:
        """Reject what no text can be drawn from, before any model runs.  Default: nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FollowUp(Source):
    """The conversations of a source that go on: the response is the assistant's turn, and the user's follows.

    There is no response yet: a `Generate` stage writes it.  Three of them, each on the answers of the one before, are a
    round of critique and revision.  Keys and groups are those of the source.

    Source: Bai et al., Constitutional AI, arXiv 2212.08073, section 3.1; the layout of the conversation is that of
    huggingface/llm-swarm, examples/constitutional-ai.  Deviation: any turn, not principles alone.

    Example:
        >>> from jaxkd.data import Jsonl
        >>> FollowUp(source=Jsonl(train="stage:initial"), turn="Shorten your answer.").turn
        'Shorten your answer.'
    """

    source: Source
    """Source of the conversations so far, with the responses that were written."""
    turn: UserTurn | str
    """The user's next turn: a text, or a draw for each conversation, as `jaxkd.constitution.Critique`."""

    def examples(self, split: Split) -> list[Example]:
        """Return the conversations of a split, in the source's order.

        Raises:
            ValueError: a conversation without a response, or as the source and the turn.
        """
        return [self._followed(example) for example in self.source.examples(split)]

    def validate(self) -> None:
        """Reject turns that cannot be drawn, before any model runs.

        Raises:
            ValueError: an empty text, or as the turn.
        """
        if isinstance(self.turn, UserTurn):
            self.turn.validate()
        elif not self.turn.strip():
            raise ValueError("turn must be a text that is not empty, or a draw, got an empty text.")
        if isinstance(self.source, FollowUp):
            self.source.validate()

    def _followed(self, example: Example) -> Example:
        if not example.response.strip():
            raise ValueError(
                f"a conversation must have a response to go on, got none in {example.key!r}. Generate it first, or "
                "leave the row out."
            )
        text = self.turn.text(example.key) if isinstance(self.turn, UserTurn) else self.turn
        return dataclasses.replace(
            example,
            messages=(*example.messages, ("assistant", example.response), ("user", text)),
            response="",
            rendered=None,
            turn=self.turn.name(example.key) if isinstance(self.turn, UserTurn) else None,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinalAnswer(Source):
    """The prompt before the follow-ups of each conversation with its last response: what a student of revisions learns.

    Example:
        >>> from jaxkd.data import Jsonl
        >>> FinalAnswer(source=Jsonl(train="stage:revision")).follow_ups
        2
    """

    source: Source
    """Source of the conversations, with the responses that were written."""
    follow_ups: int = 2
    """Number of follow-ups that are left out: two a round, of critique and revision."""

    def examples(self, split: Split) -> list[Example]:
        """Return the prompts and the last responses of a split, in the source's order.

        Raises:
            ValueError: a number of follow-ups below 1, or a conversation with fewer.
        """
        if self.follow_ups < 1:
            raise ValueError(f"follow_ups must be at least 1, got {self.follow_ups}. Use the source itself.")
        return [self._final(example) for example in self.source.examples(split)]

    def _final(self, example: Example) -> Example:
        followed = example.messages[-2 * self.follow_ups :]
        roles = ("assistant", "user") * self.follow_ups
        if tuple(role for role, _ in followed) != roles or len(followed) == len(example.messages):
            raise ValueError(
                f"a conversation must have {self.follow_ups} follow-ups after its prompt, got the roles "
                f"{', '.join(role for role, _ in example.messages)} in {example.key!r}. Set follow_ups to their number."
            )
        return dataclasses.replace(example, messages=example.messages[: -len(followed)], turn=None)
