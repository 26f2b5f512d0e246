"""From examples to token ids: the template, the end of the turn, and what fits.

Prompt and response are encoded apart.  So the tokens of a prompt are the same in training and in
generation, whatever the response begins with, and the boundary between them is exact.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from jaxkd.data.examples import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Template: TypeAlias = Literal["chat", "plain"]
Overlong: TypeAlias = Literal["drop", "truncate"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tokenized:
    """An example as token ids.  The targets are `tokens[prompt_length:]`."""

    index: int
    """Place in the list that `tokenize` returned."""
    key: str
    tokens: Int[np.ndarray, " t"]
    """Prompt, response, end of turn; no end of turn where the response was cut."""
    prompt_length: int
    response_bytes: int
    """UTF-8 bytes of the response, or of the part that was kept."""
    ended: bool = True
    """Whether the last target ends the turn; not so where the response was cut."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizationReport:
    """What became of the examples; `str` is one line."""

    examples: int
    kept: int
    truncated: int
    """Of the kept ones, those whose response was cut."""
    overlong: int
    """Dropped because they exceed `max_length` or `max_response`."""
    empty: int
    """Dropped because they have no response."""
    tokens: int
    targets: int
    max_length: int
    max_response: int

    def __str__(self) -> str:
        return (
            f"kept {self.kept:,} of {self.examples:,} examples ({self.tokens:,} tokens, {self.targets:,} targets, "
            f"{self.truncated:,} truncated), dropped {self.overlong:,} longer than {self.max_length:,} tokens or "
            f"{self.max_response:,} response tokens and {self.empty:,} without a response"
        )


def tokenize(
    examples: Sequence[Example],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    max_response: int,
    overlong: Overlong = "drop",
    template: Template = "chat",
) -> tuple[list[Tokenized], TokenizationReport]:
    """Render, encode and measure examples; those that cannot be used are counted.

    Args:
        examples: prompts and responses.
        tokenizer: a Hugging Face tokenizer.
        max_length: most tokens of prompt, response and end of turn together.
        max_response: most tokens of response and end of turn.
        overlong: drop what exceeds these, or cut its response.  A prompt is never cut, so an example whose
            prompt leaves no room is dropped either way.
        template: the tokenizer's chat template; or plain text, messages set apart by empty lines.

    Returns:
        The kept examples in their order, numbered from 0, and the report.

    Raises:
        ValueError: an unknown choice, no chat template, or nothing kept.
    """
    if overlong not in ("drop", "truncate"):
        raise ValueError(f'overlong must be "drop" or "truncate", got {overlong!r}.')
    if not examples:
        raise ValueError("examples must hold at least one example, got none.")
    end = end_of_turn(tokenizer, template)
    used = [example for example in examples if example.response.strip()]
    prompts = _encode_prompts(used, tokenizer, template)
    responses = _encode([example.response for example in used], tokenizer)
    kept: list[Tokenized] = []
    truncated, shortest = 0, None
    for example, prompt, response in zip(used, prompts, responses, strict=True):
        size = (len(prompt) + len(response) + 1, len(response) + 1)
        shortest = size if shortest is None else min(shortest, size)
        room = min(max_length - len(prompt), max_response)
        if size[1] <= room:
            response, response_bytes = [*response, end], len(example.response.encode())
        elif overlong == "truncate":
            response, response_bytes = _cut(response, room, tokenizer)
            truncated += bool(response)
        else:
            continue
        if response:
            tokens = np.asarray([*prompt, *response], np.int32)
            kept.append(
                Tokenized(
                    index=len(kept),
                    key=example.key,
                    tokens=tokens,
                    prompt_length=len(prompt),
                    response_bytes=response_bytes,
                    ended=size[1] <= room,
                )
            )
    report = TokenizationReport(
        examples=len(examples),
        kept=len(kept),
        truncated=truncated,
        overlong=len(used) - len(kept),
        empty=len(examples) - len(used),
        tokens=sum(len(example.tokens) for example in kept),
        targets=sum(len(example.tokens) - example.prompt_length for example in kept),
        max_length=max_length,
        max_response=max_response,
    )
    if not kept:
        advice = ""
        if shortest is not None:
            advice = (
                f" The shortest has {shortest[0]} tokens, {shortest[1]} of them response: raise max_length or "
                'max_response, or set overlong="truncate".'
            )
        raise ValueError(f"examples must hold one that fits, got none: {report}.{advice}")
    return kept, report


def prompt_tokens(example: Example, tokenizer: "PreTrainedTokenizerBase", template: Template = "chat") -> list[int]:
    """The tokens after which a model answers: the same as in training.

    Raises:
        ValueError: an unknown template, no chat template, or a prompt without a token.
    """
    _require_template(tokenizer, template)
    return _encode_prompts([example], tokenizer, template)[0]


def end_of_turn(tokenizer: "PreTrainedTokenizerBase", template: Template = "chat") -> int:
    """The token that ends a response.

    It is the control token with which the chat template closes the assistant's turn, and the tokenizer's
    end of sequence where the template is plain or closes with none.

    Raises:
        ValueError: an unknown template, no chat template, or no such token.
    """
    _require_template(tokenizer, template)
    if template == "chat":
        probe = [{"role": "user", "content": "prompt"}, {"role": "assistant", "content": "response"}]
        rendered = str(tokenizer.apply_chat_template(probe, tokenize=False))
        _, _, closing = rendered.rpartition("response")
        ids = tokenizer(closing, add_special_tokens=False)["input_ids"]
        if ids and ids[0] in {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}:
            return ids[0]
    eos = tokenizer.eos_token_id
    if not isinstance(eos, int):
        raise ValueError(f"tokenizer must have one end-of-sequence token, got {eos}. Set tokenizer.eos_token.")
    return eos


def fingerprint(tokenized: Sequence[Tokenized]) -> str:
    """A hash of all token ids and where the responses begin: equal for equal training data."""
    digest = hashlib.sha256()
    for example in tokenized:
        digest.update(np.asarray([len(example.tokens), example.prompt_length], "<i8").tobytes())
        digest.update(np.asarray(example.tokens, "<i4").tobytes())
    return digest.hexdigest()


def template_fingerprint(tokenizer: "PreTrainedTokenizerBase", template: Template = "chat") -> str:
    """A hash of how prompts are rendered: it changes with the template and the control tokens."""
    messages = (("system", "system"), ("user", "user"), ("assistant", "assistant"), ("user", "user"))
    probe = Example(key="", group="", messages=messages, response="")
    ids = [*prompt_tokens(probe, tokenizer, template), end_of_turn(tokenizer, template)]
    source = tokenizer.chat_template if template == "chat" else ""
    return hashlib.sha256(f"{template}\0{source}\0{ids}".encode()).hexdigest()


def _require_template(tokenizer: "PreTrainedTokenizerBase", template: Template) -> None:
    if template not in ("chat", "plain"):
        raise ValueError(f'template must be "chat" or "plain", got {template!r}.')
    if template == "chat" and tokenizer.chat_template is None:
        raise ValueError(
            f'template must be "plain" for a tokenizer without a chat template, got "chat" and '
            f"{tokenizer.name_or_path or type(tokenizer).__name__!r}. Or set tokenizer.chat_template."
        )


def _encode_prompts(
    examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase", template: Template
) -> list[list[int]]:
    for example in examples:
        if not example.messages:
            raise ValueError(f"messages must hold at least one, got none in {example.key!r}.")
    if template == "chat":
        texts = [
            str(
                tokenizer.apply_chat_template(
                    [{"role": role, "content": text} for role, text in example.messages],
                    tokenize=False,
                    add_generation_prompt=True,
                )
            )
            for example in examples
        ]
        # The template has written all control tokens already.
        prompts = _encode(texts, tokenizer)
    else:
        texts = ["\n\n".join(text for _, text in example.messages) + "\n" for example in examples]
        first = _beginning(tokenizer)
        prompts = [first + ids for ids in _encode(texts, tokenizer)]
    for example, ids in zip(examples, prompts, strict=True):
        if not ids:
            raise ValueError(f"the prompt must have at least one token, got none in {example.key!r}.")
    return prompts


def _encode(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []


def _beginning(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The beginning-of-sequence token where the tokenizer itself puts one in front, and nothing elsewhere.

    Many have such a token and do not use it (`add_bos_token` is False): a model that never saw it in
    front of a text scores worse with it.
    """
    bos = tokenizer.bos_token_id
    return [bos] if isinstance(bos, int) and tokenizer("a")["input_ids"][0] == bos else []


def _cut(response: list[int], room: int, tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], int]:
    """The first `room` tokens or a few less, so that no character is split; and their UTF-8 bytes."""
    kept = response[: max(room, 0)]
    while kept:
        text = str(tokenizer.decode(kept, clean_up_tokenization_spaces=False))
        # What a byte-level decoder makes of half a character.
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            return kept, len(text.encode())
        kept = kept[:-1]
    return [], 0
