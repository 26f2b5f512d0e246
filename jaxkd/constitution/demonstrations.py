"""Dialogues of a constitution before each conversation, which show a model what a critique and a revision look like."""

import dataclasses

from jaxkd.constitution.reading import located, read_constitution
from jaxkd.data.examples import Example, Messages, Source
from jaxkd.runtime.packages import file_sha256
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OfConstitution(Source):
    """Conversations of a source, and the dialogues of a constitution."""

    source: Source
    """Source of the conversations."""
    constitution: str
    """Path of a constitution that has dialogues: `demos` in YAML, `system_chat` in Hugging Face's JSON."""

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of the constitution's file."""
        del split
        return {"constitution": file_sha256(located(self.constitution))}

    def _dialogues(self) -> Messages:
        found = read_constitution(self.constitution).demonstrations
        if not found:
            raise ValueError(
                f"constitution must have dialogues, got none in {self.constitution!r}. Add them as demos, or leave "
                "Demonstrated out."
            )
        return tuple(turn for dialogue in found for turn in dialogue)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demonstrated(_OfConstitution):
    """Conversations of a source after the dialogues of a constitution, which follow the system message if there is one.

    A small model that has seen none begins its revisions with talk about them.  The first `Generate` stage takes them,
    and the others go on from there; `WithoutDemonstrations` takes the dialogues away before anything is learnt.

    Source: huggingface/llm-swarm, examples/constitutional-ai, whose dialogues are read too.  Deviation: none.

    Example:
        >>> from jaxkd.data import Jsonl
        >>> asked = Demonstrated(source=Jsonl(train="prompts.jsonl", responses="optional"), constitution="mine.yaml")
    """

    def examples(self, split: Split) -> list[Example]:
        """Return the conversations of a split after the dialogues, in the source's order.

        Raises:
            ValueError: a constitution without dialogues, or as the source.
        """
        dialogues = self._dialogues()
        return [
            dataclasses.replace(one, messages=(*one.messages[:place], *dialogues, *one.messages[place:]), rendered=None)
            for one in self.source.examples(split)
            for place in [_place(one)]
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithoutDemonstrations(_OfConstitution):
    """Conversations of a source without the dialogues that `Demonstrated` put there, as they are learnt."""

    def examples(self, split: Split) -> list[Example]:
        """Return the conversations of a split without the dialogues, in the source's order.

        Raises:
            ValueError: a constitution without dialogues, a conversation without them, or as the source.
        """
        dialogues = self._dialogues()
        return [_without(one, dialogues) for one in self.source.examples(split)]


def _without(example: Example, dialogues: Messages) -> Example:
    place, messages = _place(example), example.messages
    if messages[place : place + len(dialogues)] != dialogues:
        raise ValueError(
            f"a conversation must begin with the {len(dialogues)} turns of the constitution's dialogues, got others in "
            f"{example.key!r}. Take the source itself, or the constitution that it was written with."
        )
    return dataclasses.replace(example, messages=(*messages[:place], *messages[place + len(dialogues) :]))


def _place(example: Example) -> int:
    """Return the number of messages before the dialogues."""
    return int(example.messages[0][0] == "system")
