"""Rendering of messages by a tokenizer's chat template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jinja2

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def rendered(
    messages: Sequence[tuple[str, str]], tokenizer: "PreTrainedTokenizerBase", *, add_generation_prompt: bool = False
) -> str:
    """Render messages by the chat template.

    Args:
        messages: role and text of each.
        tokenizer: a tokenizer with a chat template.
        add_generation_prompt: whether to begin the assistant's next turn.

    Raises:
        ValueError: a template that fails, or that rejects the messages.
    """
    conversation = [{"role": role, "content": text} for role, text in messages]
    try:
        return str(
            tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=add_generation_prompt)
        )
    except jinja2.TemplateError as error:
        raise ValueError(
            f"the chat template of {tokenizer.name_or_path or type(tokenizer).__name__!r} must render the roles "
            f"{', '.join(role for role, _ in messages)}, got {type(error).__name__}: {error}. Correct the template or "
            'the messages, or set template="plain".'
        ) from error
