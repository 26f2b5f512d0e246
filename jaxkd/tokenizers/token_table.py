"""Properties of a tokenizer that determine which bytes of a text its tokens stand for, read once because it is slow."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from jaxkd.tokenizers.pieces import token_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

_SPACE = "▁"
_DROP_SPACES = ("BertPreTokenizer", "CharDelimiterSplit", "Whitespace", "WhitespaceSplit")
"""Pre-tokenizers after which no token stands for the space between words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AddedTokenMatch:
    """Matching of an added token in a text."""

    special: bool
    """Whether it is a control token, which a text need not spell out."""
    left: bool
    """Whether it includes the white space before it."""
    right: bool
    """Whether it includes the white space after it."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenTable:
    """How the tokens of a tokenizer stand for the bytes of a text."""

    name: str
    """Name of the tokenizer, for messages."""
    pieces: dict[int, bytes]
    """Bytes of each token, as `pieces.token_bytes`."""
    added: dict[int, AddedTokenMatch]
    """Tokens that were added to the vocabulary, by id."""
    unknown: int | None
    """Token that stands for what the vocabulary lacks; None without one."""
    space_in_front: Literal["always", "where there is none", "never"]
    """Whether a space is prepended to a text."""
    drops_spaces: bool
    """Whether no token stands for the spaces between words."""
    normalize: Callable[[str], str] | None
    """Normalisation before a text is split into words; None if it changes no bytes."""
    normalizers: tuple[str, ...]
    """Names of the steps of `normalize`."""

    @functools.cached_property
    def byte_values(self) -> frozenset[int]:
        """Values of the bytes that are in a token."""
        return frozenset(b"".join(self.pieces.values()))


def first_read(tokenizer: "PreTrainedTokenizerBase") -> TokenTable:
    """Return the properties as of the first call; tokens that were added since are missing.

    Raises:
        TypeError: as `pieces.token_bytes`.
        ValueError: as `pieces.token_bytes`.
    """
    return _read(tokenizer, None)


def current(tokenizer: "PreTrainedTokenizerBase") -> TokenTable:
    """Return the properties with all tokens that were added since the first call.

    Counting them takes longer than the spans of a text: a tokenizer lists hundreds for it.

    Raises:
        TypeError: as `pieces.token_bytes`.
        ValueError: as `pieces.token_bytes`.
    """
    table, added = first_read(tokenizer), len(tokenizer.added_tokens_decoder)
    return table if added == len(table.added) else _read(tokenizer, added)


@functools.lru_cache(maxsize=32)
def _read(tokenizer: "PreTrainedTokenizerBase", added: int | None) -> TokenTable:
    """Read a tokenizer once for each number of added tokens."""
    del added  # only in the key
    pieces = token_bytes(tokenizer)
    state = json.loads(cast("PreTrainedTokenizerFast", tokenizer).backend_tokenizer.to_str())
    steps = _flat(state["normalizer"], "normalizers")
    model = state["model"]
    unknown = model.get("unk_id", model.get("unk_token"))
    cuts = _flat(state["pre_tokenizer"], "pretokenizers")
    normalize, changing = _normalizer(steps, marked=_SPACE in json.dumps(state["decoder"], ensure_ascii=False))
    return TokenTable(
        name=tokenizer.name_or_path or type(tokenizer).__name__,
        pieces=pieces,
        added={
            token["id"]: AddedTokenMatch(special=token["special"], left=token["lstrip"], right=token["rstrip"])
            for token in state["added_tokens"]
        },
        unknown=tokenizer.get_vocab().get(unknown) if isinstance(unknown, str) else unknown,
        space_in_front=_space_in_front(steps, cuts),
        drops_spaces=any(cut["type"] in _DROP_SPACES or cut.get("behavior") == "Removed" for cut in cuts),
        normalize=normalize,
        normalizers=changing,
    )


def _space_in_front(
    steps: list[dict[str, Any]], cuts: list[dict[str, Any]]
) -> Literal["always", "where there is none", "never"]:
    if any(step["type"] == "Prepend" for step in steps):
        return "always"
    for cut in cuts:
        if cut.get("add_prefix_space") or cut.get("prepend_scheme") in ("always", "first"):
            return "where there is none"
    return "never"


def _flat(step: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    return [one for inner in step[key] for one in _flat(inner, key)] if step["type"] == "Sequence" else [step]


def _normalizer(steps: list[dict[str, Any]], *, marked: bool) -> tuple[Callable[[str], str] | None, tuple[str, ...]]:
    """Return the steps that change what tokens stand for, as a function, and their names.

    A prepended space, and marks instead of spaces, show in the tokens.
    """
    from tokenizers import Tokenizer

    to_mark = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    changing = [step for step in steps if step["type"] != "Prepend" and step != to_mark]
    names = tuple(step["type"] for step in changing)
    if not changing:
        # A mark in the text itself is read as a space.
        return (lambda text: text.replace(_SPACE, " ")) if marked else None, names
    empty = json.loads(Tokenizer.from_str('{"model": {"type": "BPE", "vocab": {}, "merges": []}}').to_str())
    empty["normalizer"] = {"type": "Sequence", "normalizers": changing}
    normalizer = Tokenizer.from_str(json.dumps(empty)).normalizer

    def normalize(text: str) -> str:
        changed = normalizer.normalize_str(text)
        return changed.replace(_SPACE, " ") if marked else changed

    return normalize, names
