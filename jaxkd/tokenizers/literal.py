"""Encoding of texts in which control tokens are ordinary text.

A tokenizer reads `<|im_end|>` in any text as the token that ends a turn, so a text could open a turn of the system.
Here a copy of the tokenizer reads such texts, in which control tokens are spelled by random strings that no text
contains.  All else is as in the tokenizer itself: normalisation, word boundaries, and other added tokens.
"""

import dataclasses
import functools
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jaxkd.tokenizers import chat_template

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase


ControlTokens: TypeAlias = Literal["text", "allow"]
"""Whether a control token that a text spells out is text, or, as Hugging Face reads it, the control token."""


def encode(
    tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], how: ControlTokens
) -> list[tuple[list[int], bool]]:
    """Return the tokens of each text, without added special tokens, and whether it spells out a control token.

    Args:
        tokenizer: a Hugging Face tokenizer.
        texts: any texts, without a template.
        how: whether control tokens in them are text, or control tokens.

    Raises:
        TypeError: a control token in a text, and a tokenizer that does not run on the `tokenizers` library.
        ValueError: an unknown choice.
    """
    if how not in ("text", "allow"):
        raise ValueError(f'control_tokens must be "text" or "allow", got {how!r}.')
    encoded = ids(tokenizer, texts)
    controls = frozenset(control_tokens(tokenizer).values())
    # Among them is the unknown token, which may stand for any character: such texts are read alike both ways.
    suspects = [place for place, tokens in enumerate(encoded) if not controls.isdisjoint(tokens)]
    read = literal(tokenizer).encode([texts[place] for place in suspects]) if suspects else []
    as_text = dict(zip(suspects, read, strict=True))
    return [
        (as_text[place] if how == "text" and place in as_text else tokens, as_text.get(place, tokens) != tokens)
        for place, tokens in enumerate(encoded)
    ]


def ids(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each text, as the tokenizer itself reads it, without added special tokens."""
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> Mapping[str, int]:
    """Return the control tokens: special tokens, and added tokens with which the chat template begins or ends a turn.

    Other added tokens, as `<think>`, are parts of a text.
    """
    return _controls(tokenizer, len(tokenizer.added_tokens_decoder), str(tokenizer.chat_template))


@functools.lru_cache(maxsize=32)
def _controls(tokenizer: "PreTrainedTokenizerBase", added: int, template: str) -> Mapping[str, int]:
    del added, template  # only in the key
    turns = ""
    if tokenizer.chat_template is not None:
        turns = chat_template.rendered([(role, "text") for role in ("user", "assistant", "user")], tokenizer)
    return {
        token.content: index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special or (token.content in turns and token.content.strip())
    }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LiteralTokenizer:
    """Copy of a tokenizer that reads control tokens in a text as text."""

    backend: "Tokenizer"
    spellings: Mapping[str, str]
    """Random spelling of each control token, by its own."""
    masks: Mapping[str, str]
    """Random string that stands for the text of each control token while a template is rendered."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts, without added special tokens; none is a control token."""
        return [found.ids for found in self.backend.encode_batch(list(texts), add_special_tokens=False)]

    def mask(self, text: str) -> str:
        """Replace control tokens in a text that is to be rendered by a chat template."""
        return self._pattern.sub(lambda found: self.masks[found.group()], text)

    def encode_rendered(self, text: str) -> list[int]:
        """Return the tokens of a rendered template: its control tokens, and masked ones as text."""
        text = self._pattern.sub(lambda found: self.spellings[found.group()], text)
        for control, mask in self.masks.items():
            text = text.replace(mask, control)
        return self.encode([text])[0]

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.spellings, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def literal(tokenizer: "PreTrainedTokenizerBase") -> LiteralTokenizer:
    """Return the copy of a tokenizer, made once; it takes as long as loading the tokenizer.

    Raises:
        TypeError: a tokenizer that does not run on the `tokenizers` library.
    """
    return _literal(tokenizer, frozenset(control_tokens(tokenizer)))


@functools.lru_cache(maxsize=8)
def _literal(tokenizer: "PreTrainedTokenizerBase", controls: frozenset[str]) -> LiteralTokenizer:
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TypeError(
            "tokenizer must run on the tokenizers library to read control tokens as text, got "
            f'{type(tokenizer).__name__}. Load it with AutoTokenizer, which converts it, or set control_tokens="allow".'
        )
    spellings, masks = (
        {control: f"{secrets.token_hex(12)}x{number}x" for number, control in enumerate(sorted(controls))}
        for _ in range(2)
    )
    state = json.loads(backend.to_str()) | {"padding": None, "truncation": None, "post_processor": None}
    for token in state["added_tokens"]:
        token["content"] = spellings.get(token["content"], token["content"])
    state["model"] = _respelled(state["model"], spellings)
    return LiteralTokenizer(backend=Tokenizer.from_str(json.dumps(state)), spellings=spellings, masks=masks)


def _respelled(model: dict[str, Any], spellings: Mapping[str, str]) -> dict[str, Any]:
    """Return a model without the spelling of control tokens: some list them among their pieces."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        changed: dict[str, Any] = {"vocab": {spellings.get(piece, piece): index for piece, index in vocabulary.items()}}
    else:
        changed = {"vocab": [[spellings.get(piece, piece), score] for piece, score in vocabulary]}
    if "merges" in model:
        pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
        changed["merges"] = [pair for pair in pairs if "".join(pair) not in spellings]
    if isinstance(unknown := model.get("unk_token"), str):
        changed["unk_token"] = spellings.get(unknown, unknown)
    return model | changed
