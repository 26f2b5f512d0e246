"""Tokenization of examples: template, end of turn and length limits.

Prompt and response are encoded separately.  So the tokens of a prompt are the same in training and
generation, whatever the response begins with, and the boundary between them is exact.
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from jaxkd.data.examples import Example
from jaxkd.tokenizers import chat_template, literal
from jaxkd.tokenizers.literal import ControlTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Template: TypeAlias = Literal["chat", "plain"]
Overlong: TypeAlias = Literal["drop", "truncate"]
KeepPrompt: TypeAlias = Literal["first", "last"]

_TOOL = re.compile(r"""['"]tool['"]""")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tokenized:
    """An example as token ids.  The targets are `tokens[prompt_length:]`."""

    index: int
    """Index in the list that `tokenize` returned."""
    key: str
    tokens: Int[np.ndarray, " t"]
    """Prompt, response and end of turn; no end of turn if the response was cut."""
    prompt_length: int
    response_bytes: int | None
    """UTF-8 bytes of the response, or of the part that was kept; None if not counted."""
    ended: bool = True
    """Whether the last target ends the turn; False if the response was cut."""
    spells_control: bool = False
    """Whether prompt or response spell out a control token."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """A model's response to a prompt."""

    tokens: tuple[int, ...]
    """Sampled tokens, at least one; if `ended`, the last ends the turn."""
    ended: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizationReport:
    """Counts of kept and dropped examples; `str` is one line."""

    examples: int
    kept: int
    truncated: int
    """Kept examples whose response was cut."""
    prompts_cut: int
    """Kept examples whose prompt was cut to `max_prompt`."""
    overlong: int
    """Examples dropped because they exceed `max_length` or `max_response`."""
    empty: int
    """Examples dropped because they have no response."""
    tokens: int
    targets: int
    max_length: int
    max_response: int
    spell_control: int
    """Kept examples whose prompt or response spell out a control token."""
    control_tokens: ControlTokens

    def __str__(self) -> str:
        spelled = ""
        if self.spell_control:
            way = "read as text" if self.control_tokens == "text" else "read as such"
            spelled = f"; {self.spell_control:,} spell out control tokens, which are {way}"
        return (
            f"kept {self.kept:,} of {self.examples:,} examples ({self.tokens:,} tokens, {self.targets:,} targets, "
            f"{self.truncated:,} responses cut, {self.prompts_cut:,} prompts cut), dropped {self.overlong:,} longer "
            f"than {self.max_length:,} tokens or {self.max_response:,} response tokens and {self.empty:,} without a "
            f"response{spelled}"
        )


def tokenize(
    examples: Sequence[Example],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    max_response: int,
    overlong: Overlong = "drop",
    template: Template = "chat",
    max_prompt: int | None = None,
    keep_prompt: KeepPrompt = "last",
    control_tokens: ControlTokens = "text",
) -> tuple[list[Tokenized], TokenizationReport]:
    """Render and tokenize examples; those that cannot be used are counted.

    Args:
        examples: prompts and responses.
        tokenizer: a Hugging Face tokenizer.
        max_length: maximum number of tokens of prompt, response and end of turn together.
        max_response: maximum number of tokens of response and end of turn.
        overlong: drop examples that exceed these limits, or cut their response.  An example whose prompt leaves no
            room is dropped either way.
        template: the tokenizer's chat template; or plain text: `Example.rendered` verbatim, with no token before or
            after it, or if there is none, messages separated by empty lines.
        max_prompt: maximum number of tokens of a prompt; longer ones are cut first.  None: no limit.
        keep_prompt: which tokens of a longer prompt to keep, the first or the last.  With the last, a
            beginning-of-sequence token in front is kept too, and counts.
        control_tokens: whether a control token that a prompt or a response spells out is text, or as Hugging Face
            reads it, the control token.  Only the template writes them otherwise.

    Returns:
        The kept examples in their order, numbered from 0, and the report.

    Raises:
        TypeError: a control token in a text, and a tokenizer that does not run on the `tokenizers` library.
        ValueError: an unknown choice, no chat template or one without a role that is used, or nothing kept.
    """
    if overlong not in ("drop", "truncate"):
        raise ValueError(f'overlong must be "drop" or "truncate", got {overlong!r}.')
    if keep_prompt not in ("first", "last"):
        raise ValueError(f'keep_prompt must be "first" or "last", got {keep_prompt!r}.')
    if max_prompt is not None and max_prompt < 1:
        raise ValueError(f"max_prompt must be at least 1, or None to cut no prompt, got {max_prompt}.")
    if not examples:
        raise ValueError("examples must hold at least one example, got none.")
    end = end_of_turn(tokenizer, template)
    used = [example for example in examples if example.response.strip()]
    prompts = _encode_prompts(used, tokenizer, template, control_tokens)
    responses = literal.encode(tokenizer, [example.response for example in used], control_tokens)
    kept: list[Tokenized] = []
    truncated, prompts_cut, shortest = 0, 0, None
    for example, (whole, in_prompt), (response, in_response) in zip(used, prompts, responses, strict=True):
        prompt = whole if max_prompt is None else cut_prompt(whole, max_prompt, keep_prompt, tokenizer)
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
            prompts_cut += len(prompt) < len(whole)
            tokens = np.asarray([*prompt, *response], np.int32)
            kept.append(
                Tokenized(
                    index=len(kept),
                    key=example.key,
                    tokens=tokens,
                    prompt_length=len(prompt),
                    response_bytes=response_bytes,
                    ended=size[1] <= room,
                    spells_control=in_prompt or in_response,
                )
            )
    report = TokenizationReport(
        examples=len(examples),
        kept=len(kept),
        truncated=truncated,
        prompts_cut=prompts_cut,
        overlong=len(used) - len(kept),
        empty=len(examples) - len(used),
        tokens=sum(len(example.tokens) for example in kept),
        targets=sum(len(example.tokens) - example.prompt_length for example in kept),
        max_length=max_length,
        max_response=max_response,
        spell_control=sum(example.spells_control for example in kept),
        control_tokens=control_tokens,
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


def answered(example: Tokenized, answer: Answer) -> Tokenized:
    """Replace the response of an example by `answer`, whose bytes are not counted.

    Raises:
        ValueError: an answer without a token.
    """
    if not answer.tokens:
        raise ValueError(f"answer must have at least one token, got none after the prompt of {example.key!r}.")
    tokens = np.concatenate([example.tokens[: example.prompt_length], np.asarray(answer.tokens, np.int32)])
    return dataclasses.replace(example, tokens=tokens, response_bytes=None, ended=answer.ended)


def prompt_tokens(
    example: Example,
    tokenizer: "PreTrainedTokenizerBase",
    template: Template = "chat",
    *,
    control_tokens: ControlTokens = "text",
) -> list[int]:
    """Return the tokens of a prompt, the same as in training.

    Raises:
        TypeError: as `tokenize`.
        ValueError: an unknown choice, no chat template or one without a role that is used, or a prompt without a token.
    """
    _require_template(tokenizer, template)
    ((ids, _),) = _encode_prompts([example], tokenizer, template, control_tokens)
    return ids


def response_tokens(
    text: str, tokenizer: "PreTrainedTokenizerBase", *, control_tokens: ControlTokens = "text"
) -> list[int]:
    """Return the tokens of a response without its end, the same as in training.

    Raises:
        TypeError: as `tokenize`.
        ValueError: an unknown choice.
    """
    ((ids, _),) = literal.encode(tokenizer, [text], control_tokens)
    return ids


def text_tokens(
    text: str, tokenizer: "PreTrainedTokenizerBase", *, control_tokens: ControlTokens = "text"
) -> list[int]:
    """Return the tokens of a whole text, after the beginning-of-sequence token if the tokenizer prepends one.

    Raises:
        TypeError: as `tokenize`.
        ValueError: an unknown choice.
    """
    return _beginning(tokenizer) + response_tokens(text, tokenizer, control_tokens=control_tokens)


def cut_prompt(prompt: list[int], size: int, keep: KeepPrompt, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Cut a prompt to `size` tokens; with the last ones, a beginning-of-sequence token in front is kept too."""
    if len(prompt) <= size or keep == "first":
        return prompt[:size]
    first = prompt[:1] if prompt[0] == tokenizer.bos_token_id else []
    return first + prompt[len(prompt) - size + len(first) :]


def end_of_turn(tokenizer: "PreTrainedTokenizerBase", template: Template = "chat") -> int:
    """Return the token that ends a response.

    It is the control token with which the chat template closes the assistant's turn, or the tokenizer's
    end of sequence if the template is plain or closes with none.

    Raises:
        ValueError: an unknown template, no chat template, or no such token.
    """
    _require_template(tokenizer, template)
    if template == "chat":
        _, _, closing = chat_template.rendered((("user", "prompt"), ("assistant", "response")), tokenizer).rpartition(
            "response"
        )
        ids = tokenizer(closing, add_special_tokens=False)["input_ids"]
        if ids and ids[0] in {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}:
            return ids[0]
    eos = tokenizer.eos_token_id
    if not isinstance(eos, int):
        raise ValueError(f"tokenizer must have one end-of-sequence token, got {eos}. Set tokenizer.eos_token.")
    return eos


def fingerprint(tokenized: Sequence[Tokenized]) -> str:
    """Hash all token ids and where responses begin: equal for equal training data."""
    digest = hashlib.sha256()
    for example in tokenized:
        digest.update(np.asarray([len(example.tokens), example.prompt_length], "<i8").tobytes())
        digest.update(np.asarray(example.tokens, "<i4").tobytes())
    return digest.hexdigest()


def template_fingerprint(tokenizer: "PreTrainedTokenizerBase", template: Template = "chat") -> str:
    """Hash how prompts are rendered, by the template and the control tokens."""
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
    examples: Sequence[Example],
    tokenizer: "PreTrainedTokenizerBase",
    template: Template,
    control_tokens: ControlTokens,
) -> list[tuple[list[int], bool]]:
    """Return the tokens of prompts, and whether their messages spell out control tokens."""
    for example in examples:
        if not example.messages:
            raise ValueError(f"messages must hold at least one, got none in {example.key!r}.")
    render = _chat_renderer(tokenizer) if template == "chat" else _plain
    _require_roles(examples, tokenizer, template)
    contents = list(dict.fromkeys(text for example in examples for _, text in example.messages))
    encoded = literal.encode(tokenizer, contents, control_tokens)
    spelling = {text for text, (_, spells) in zip(contents, encoded, strict=True) if spells}
    prompts = []
    for example, ids in zip(examples, literal.ids(tokenizer, list(map(render, examples))), strict=True):
        spells = not spelling.isdisjoint(text for _, text in example.messages)
        if spells and control_tokens == "text":
            copy = literal.literal(tokenizer)
            ids = copy.encode_rendered(render(_masked(example, copy)))
        if template == "plain" and example.rendered is None:
            ids = _beginning(tokenizer) + ids
        if not ids:
            raise ValueError(f"the prompt must have at least one token, got none in {example.key!r}.")
        prompts.append((ids, spells))
    return prompts


def _masked(example: Example, copy: literal.LiteralTokenizer) -> Example:
    """Mask control tokens in the messages, and where a rendered prompt repeats these; its other ones are its own."""
    rendered = example.rendered
    if rendered is not None:
        # The source renders instruction and input apart.
        for part in (part for _, text in example.messages for part in (text, *text.split("\n\n"))):
            if (masked := copy.mask(part)) != part:
                rendered = rendered.replace(part, masked)
    messages = tuple((role, copy.mask(text)) for role, text in example.messages)
    return dataclasses.replace(example, messages=messages, rendered=rendered)


def _require_roles(examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase", template: Template) -> None:
    if template == "plain" or _TOOL.search(str(tokenizer.chat_template)):
        return
    for example in examples:
        if any(role == "tool" for role, _ in example.messages):
            raise ValueError(
                "the roles of a prompt must be system, user and assistant for a chat template without tools, got "
                f'"tool" in {example.key!r}. Leave the example out, or set template="plain".'
            )


def _chat_renderer(tokenizer: "PreTrainedTokenizerBase") -> Callable[[Example], str]:
    def render(example: Example) -> str:
        return chat_template.rendered(example.messages, tokenizer, add_generation_prompt=True)

    return render


def _plain(example: Example) -> str:
    if example.rendered is not None:
        return example.rendered
    return "\n\n".join(text for _, text in example.messages) + "\n"


def _beginning(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the beginning-of-sequence token if the tokenizer itself prepends one, else nothing.

    Many have such a token and do not use it (`add_bos_token` is False): a model that never saw it
    before a text scores worse with it.
    """
    bos = tokenizer.bos_token_id
    return [bos] if isinstance(bos, int) and tokenizer("a")["input_ids"][0] == bos else []


def _cut(response: list[int], room: int, tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], int]:
    """Cut to `room` tokens or a few fewer, so that no character is split; also return the UTF-8 bytes."""
    kept = response[: max(room, 0)]
    while kept:
        text = str(tokenizer.decode(kept, clean_up_tokenization_spaces=False))
        # Byte-level decoders return this for half a character.
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            return kept, len(text.encode())
        kept = kept[:-1]
    return [], 0
