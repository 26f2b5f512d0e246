"""Bytes that the tokens of a vocabulary stand for, read through the tokenizer's decoder."""

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DECODERS = ("BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Sequence", "Strip", "WordPiece")
"""Decoders of the `tokenizers` library that are supported here."""

_FALLBACK_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meaning:
    """A token as another vocabulary may recognise it."""

    text: bytes
    """Bytes that the token stands for."""
    names: tuple[tuple[str, bytes], ...]
    """Names that another vocabulary may have for it, best first."""
    roles: tuple[str, ...] = ()
    """Roles of a special token: "eos", "bos", "unk", "pad"."""


def token_bytes(tokenizer: "PreTrainedTokenizerBase") -> dict[int, bytes]:
    """Return the bytes that each token stands for, by id.

    Byte-level pieces are read through GPT-2's alphabet; "▁" is a space and "<0x0A>" a byte; a
    WordPiece token without "##" begins a word, so with a space.  An added token stands for its own
    text.

    Raises:
        TypeError: a tokenizer that does not run on the `tokenizers` library.
        ValueError: a decoder that is not among `DECODERS`, or a replacement by pattern.
    """
    return {index: meaning.text for index, meaning in meanings(tokenizer, None).items()}


def backend_state(tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    """Return all that the `tokenizers` library knows of a tokenizer, as in its tokenizer.json.

    Raises:
        TypeError: a tokenizer that does not run on that library.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TypeError(
            f"tokenizer must run on the tokenizers library (have a tokenizer.json), got {type(tokenizer).__name__}. "
            "Load it with AutoTokenizer, which converts it."
        )
    return json.loads(backend.to_str())


def meanings(tokenizer: "PreTrainedTokenizerBase", size: int | None) -> dict[int, Meaning]:
    """Return the meanings of tokens below `size`, or of all, by id.

    Raises:
        TypeError: as `token_bytes`.
        ValueError: as `token_bytes`.
    """
    state = backend_state(tokenizer)
    added = {token["id"]: token for token in state["added_tokens"]}
    read = _reader(state)
    roles: dict[int, tuple[str, ...]] = {}
    for role in ("eos", "bos", "unk", "pad"):
        if (index := getattr(tokenizer, f"{role}_token_id")) is not None:
            roles[index] = (*roles.get(index, ()), role)
    meanings = {}
    for piece, index in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        if size is not None and index >= size:
            break
        if index in added:
            text = added[index]["content"].encode()
            names = (("added", text),) if added[index]["special"] else (("added", text), ("text", text))
            meanings[index] = Meaning(text=text, names=names, roles=roles.get(index, ()))
        else:
            text, fallback = read(piece)
            names = (("fallback", text), ("text", text)) if fallback else (("text", text),)
            meanings[index] = Meaning(text=text, names=names)
    return meanings


def _reader(state: dict[str, Any]) -> Callable[[str], tuple[bytes, bool]]:
    """Return a function from a piece to its bytes, and whether it is one fallback byte."""
    model = state["model"]
    steps = list(_steps(state["decoder"]))
    types = {step["type"] for step in steps}
    if "ByteLevel" in types:
        return lambda piece: (_from_byte_alphabet(piece), False)
    fallback = "ByteFallback" in types or bool(model.get("byte_fallback"))
    changes = [_change(step) for step in steps]
    if model["type"] == "WordPiece" and "WordPiece" not in types:
        changes.append(_word_piece(model["continuing_subword_prefix"]))

    def read(piece: str) -> tuple[bytes, bool]:
        if fallback and (byte := _FALLBACK_BYTE.fullmatch(piece)):
            return bytes([int(byte[1], 16)]), True
        for change in changes:
            piece = change(piece)
        return piece.encode(), False

    return read


def _steps(decoder: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if decoder is None:
        return
    if decoder["type"] not in DECODERS:
        raise ValueError(
            f"the tokenizer's decoder must be made of {', '.join(DECODERS)}, got {decoder['type']!r}: the text of its "
            "tokens is not known."
        )
    if decoder["type"] == "Sequence":
        for step in decoder["decoders"]:
            yield from _steps(step)
    else:
        yield decoder


def _change(step: dict[str, Any]) -> Callable[[str], str]:
    """Return what a decoder's step does to a piece within a text."""
    match step:
        case {"type": "Metaspace", "replacement": mark}:
            return lambda piece: piece.replace(mark, " ")
        case {"type": "Replace", "pattern": {"String": old}, "content": new}:
            return lambda piece: piece.replace(old, new)
        case {"type": "Replace", "pattern": pattern}:
            raise ValueError(f"a Replace of the tokenizer's decoder must replace a String, got {pattern}.")
        case {"type": "WordPiece", "prefix": prefix}:
            return _word_piece(prefix)
        case {"type": "BPEDecoder", "suffix": suffix}:
            return lambda piece: piece.removesuffix(suffix) + " " * piece.endswith(suffix)
    return lambda piece: piece


def _word_piece(prefix: str) -> Callable[[str], str]:
    return lambda piece: piece.removeprefix(prefix) if piece.startswith(prefix) else f" {piece}"


def _from_byte_alphabet(piece: str) -> bytes:
    """Return the bytes of a byte-level piece; text outside the alphabet stands for itself, as in decoding."""
    alphabet = _byte_alphabet()
    try:
        return bytes(alphabet[character] for character in piece)
    except KeyError:
        return piece.encode()


@functools.cache
def _byte_alphabet() -> dict[str, int]:
    """Map GPT-2's letters to bytes: a printable byte is its own, others use U+0100 onwards."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printed))
    letters = {chr(byte): byte for byte in printed}
    return letters | {chr(0x100 + place): byte for place, byte in enumerate(others)}
