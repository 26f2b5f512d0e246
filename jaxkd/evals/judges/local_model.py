"""A checkpoint that replies to conversations in this process."""

import dataclasses
from collections.abc import Sequence

import jax

from jaxkd.data.examples import Example, Messages
from jaxkd.data.text import chat
from jaxkd.data.text.chat import Template
from jaxkd.evals.judges.chat import Chat, Received
from jaxkd.models.checkpoints.language_model import language_model
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.runtime.progress import progress
from jaxkd.sampling import Sampling, generate

_AT_A_TIME = 256
"""Conversations between two updates; several batches, so that conversations of about one length share one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalModel(Chat):
    """Checkpoint, loaded on the ambient mesh for each call."""

    model: Pretrained
    """Checkpoint that replies."""
    template: Template = "chat"
    """Rendering of the conversations: the tokenizer's chat template, or plain text."""
    seed: int = 0
    """Random seed of the replies, if the temperature is not 0."""

    def __call__(
        self,
        conversations: Sequence[Messages],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        received: Received | None = None,
    ) -> list[str]:
        """Generate the replies.

        Raises:
            ValueError: a conversation that exceeds the model's positions.
        """
        if not conversations:
            return []
        model = language_model(self.model)
        prompts = [
            chat.prompt_tokens(
                Example(key=str(index), group="", messages=messages, response=""), model.tokenizer, self.template
            )
            for index, messages in enumerate(conversations)
        ]
        replies: list[str] = []
        with progress(len(prompts), "replies") as bar:
            for start in range(0, len(prompts), _AT_A_TIME):
                found = generate(
                    model,
                    prompts[start : start + _AT_A_TIME],
                    max_new_tokens=max_new_tokens,
                    sampling=Sampling(temperature=temperature),
                    key=jax.random.key(self.seed),
                    example_ids=range(start, min(start + _AT_A_TIME, len(prompts))),
                )
                for index, reply in enumerate(found, start=start):
                    replies.append(reply.text)
                    if received is not None:
                        received(index, reply.text)
                bar.update(len(replies))
        return replies

    def provenance(self) -> str:
        return f"{self.model.provenance()}, {self.template} template"
