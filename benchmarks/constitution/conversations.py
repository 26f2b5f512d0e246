"""Transcripts of a round of critique and revision, as the stages of a study have stored them."""

import dataclasses
from pathlib import Path

from jaxkd.data import Example
from jaxkd.runtime.storage.json_lines import whole_rows
from jaxkd.sampling import Finish
from jaxkd.study.generate_stage import ANSWERS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conversation:
    """A transcript: its prompt, answer, critique and revision."""

    example: Example
    """The conversation, whose response is the revision."""
    principle: str
    """Id of the principle of the revision."""
    ended: bool
    """Whether the revision ended by itself."""

    @property
    def key(self) -> str:
        """Key of the prompt."""
        return self.example.key

    @property
    def prompt(self) -> str:
        """The user's prompt."""
        return next(text for role, text in self.example.messages if role == "user")

    @property
    def initial(self) -> str:
        """The answer that is criticised."""
        return self.example.messages[-4][1]

    @property
    def critique(self) -> str:
        """The critique of the answer."""
        return self.example.messages[-2][1]

    @property
    def revision(self) -> str:
        """The revised answer."""
        return self.example.response


def conversations(folder: Path) -> list[Conversation]:
    """Read the transcripts from the folder of the `Generate` stage that wrote the revisions."""
    found = []
    for row in whole_rows(folder / ANSWERS):
        *messages, (_, response) = ((message["role"], message["content"]) for message in row["messages"])
        example = Example(key=row["key"], group=row["key"], messages=tuple(messages), response=response)
        ended = row["finish"] != Finish.LENGTH.name
        found.append(Conversation(example=example, principle=row["turn"], ended=ended))
    return sorted(found, key=lambda one: one.key)
