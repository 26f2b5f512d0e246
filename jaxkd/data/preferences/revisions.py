"""Preference pairs from transcripts: a revision is preferred to the answer that it revises."""

import dataclasses
import logging

from jaxkd.data.examples import Example, Messages, Source
from jaxkd.data.preferences.examples import Preference, PreferenceSource
from jaxkd.data.text.prompts.follow_up import FinalAnswer
from jaxkd.typing import Split

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevisionPairs(PreferenceSource):
    """Pairs of the last revision of each transcript, which is chosen, and its initial answer, which is rejected.

    A transcript is a prompt, the initial answer, requests and what was written to them; its response is the last
    revision.  One whose revision is the initial answer again, or empty, is no pair; these are counted in the log.

    Source: huggingface/llm-swarm, examples/constitutional-ai.  Deviation: none.

    Example:
        >>> from jaxkd.data import Jsonl
        >>> pairs = RevisionPairs(source=Jsonl(train="stage:clean"))
    """

    source: Source
    """Source of the transcripts, as `Jsonl` on a stage that wrote or cleaned revisions."""
    follow_ups: int | None = None
    """Number of follow-ups after the initial answer, as in `FinalAnswer`, for prompts that have turns of the assistant
    themselves.  None: the assistant's first turn is the initial answer."""

    def pairs(self, split: Split) -> list[Preference]:
        """Return the pairs of a split, in the source's order.

        Raises:
            ValueError: a conversation without an initial answer, no pair that differs, or as the source.
        """
        examples = self.source.examples(split)
        prompts = self._prompts(examples, split)
        found = [_pair(example, prompt) for example, prompt in zip(examples, prompts, strict=True)]
        pairs = [pair for pair in found if pair.chosen.strip() not in ("", pair.rejected.strip())]
        if len(pairs) < len(found):
            _log.info(
                "%s: left out %d of %d transcripts, whose revision is the initial answer or empty",
                split,
                len(found) - len(pairs),
                len(found),
            )
        if not pairs:
            raise ValueError(
                f"one revision at least must differ from its initial answer, got none of {len(found)} in the {split} "
                "split. Revise with another model or constitution."
            )
        return pairs

    def _prompts(self, examples: list[Example], split: Split) -> list[Messages]:
        if self.follow_ups is None:
            return [_before_the_assistant(example) for example in examples]
        finals = FinalAnswer(source=self.source, follow_ups=self.follow_ups)
        return [example.messages for example in finals.examples(split)]


def _before_the_assistant(example: Example) -> Messages:
    roles = [role for role, _ in example.messages]
    if "assistant" not in roles or roles[0] == "assistant":
        raise ValueError(
            f"a transcript must have an initial answer after its prompt, got the roles {', '.join(roles)} in "
            f"{example.key!r}. Take the source of whole transcripts, not that of final answers."
        )
    return example.messages[: roles.index("assistant")]


def _pair(example: Example, prompt: Messages) -> Preference:
    _, initial = example.messages[len(prompt)]
    return Preference(key=example.key, group=example.group, messages=prompt, chosen=example.response, rejected=initial)
