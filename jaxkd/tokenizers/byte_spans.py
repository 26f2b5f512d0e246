"""Byte spans of the tokens of a text, for any tokenizer.

A span is `[start, end)` in the UTF-8 bytes of the text.  It is read off the tokens themselves, by
`pieces.token_bytes`: the character offsets of tokenizers are too coarse, since a token may end within
a character.  Spans are what two tokenizations of a text have in common, and what `jaxkd.alignment` takes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Int

from jaxkd.tokenizers import token_table
from jaxkd.tokenizers.normalised_text import rewrite
from jaxkd.tokenizers.token_table import TokenTable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Spans: TypeAlias = Int[np.ndarray, "n 2"]
"""Start and end per token, int32."""

_SPACES = re.compile(rb"[ \t\n\r\x0b\x0c]*")


def encode(tokenizer: "PreTrainedTokenizerBase", text: str) -> tuple[list[int], Spans]:
    """Return the tokens of a text, without added special tokens, and their spans.

    Raises:
        TypeError: as `spans`.
        ValueError: as `spans`.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids, spans(tokenizer, ids, text)


def spans(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], text: str) -> Spans:
    """Return the bytes of `text` that each token stands for.

    Concatenated, the spans are the text.  A token that stands for none of it has an empty span at its
    position: a bos or eos that the text does not spell out, and the space that SentencePiece prepends
    to a text; a token that continues after that space begins with the text.  Only what the tokenizer
    drops is in no span: spaces between words beyond the one that a token begins with (WordPiece), and
    characters that its normaliser deletes.

    If a tokenizer rewrites the text (Unicode normalisation, lower case), a span covers the original
    characters.  Where a token ends inside a rewritten character, as in Bengali after NFC, so does its span; if that has
    fewer bytes than the tokens, some spans are empty.

    Args:
        tokenizer: one that runs on the `tokenizers` library.  For others see `spans_of_bytes`.
        ids: tokens of the text, or of its beginning if a response was cut.
        text: encoded text.

    Raises:
        TypeError: a tokenizer that does not run on the `tokenizers` library.
        ValueError: tokens that do not spell the text: those of another text, an unknown token, or those of a text of
            which the tokenizer drops a part.

    Source: inferred.  Deviation: none.
    """
    table = token_table.first_read(tokenizer)
    try:
        return _spans(table, ids, text)
    except ValueError:
        current = token_table.current(tokenizer)
        if current is table:
            raise
    return _spans(current, ids, text)


def _spans(table: TokenTable, ids: Sequence[int], text: str) -> Spans:
    if unknown := [index for index in ids if index not in table.pieces]:
        raise ValueError(
            f"ids must be tokens of {table.name}, got {min(unknown)}, which it does not have. Padding rows of a "
            "head have no text: keep them from being sampled."
        )
    original = text.encode()
    refusal = None
    if table.normalize is not None and table.normalize(text) != text:
        try:
            return _with_spaces_before(table, ids, original, _through_rewritten(table, ids, text))
        except ValueError as error:
            # Generated text may contain what the tokenizer would have rewritten.
            refusal = error
    try:
        found = _walk(table, ids, original)
    except _Differs as difference:
        raise refusal or _refusal(table, ids, original, difference) from None
    return _with_spaces_before(table, ids, original, found)


def spans_of_bytes(token_bytes: Mapping[int, bytes] | Sequence[bytes], ids: Sequence[int], text: str) -> Spans:
    r"""Return the spans of tokens with known bytes, for tokenizers of any other library.

    Args:
        token_bytes: bytes of each id, as the files of tiktoken and of RWKV list them; empty for a
            special token that is not in the text.
        ids: tokens of the text, or of its beginning.
        text: encoded text.

    Raises:
        ValueError: tokens that do not spell the text.

    Example:
        >>> spans_of_bytes([b"He", b"llo", b" \xf0\x9f", b"\x99\x82"], [0, 1, 2, 3], "Hello 🙂").tolist()
        [[0, 2], [2, 5], [5, 8], [8, 10]]
    """
    pieces = [token_bytes[index] for index in ids]
    original = text.encode()
    if not original.startswith(b"".join(pieces)):
        place = 0
        for number, piece in enumerate(pieces):
            if not original.startswith(piece, place):
                raise ValueError(
                    f"ids must spell text, got {piece!r} as token {number} where the text has "
                    f"{original[place : place + 16]!r}. Give the text that was encoded, and the bytes of the "
                    "tokenizer that encoded it."
                )
            place += len(piece)
    return _one_after_the_other(pieces, 0)


def with_end(spans: Spans, text: str) -> Spans:
    """Append a span for the token that ends a response: the byte after the text.

    So the ends of two tokenizations are paired by the same rule as any two tokens, however either
    spells its end.

    Example:
        >>> import numpy as np
        >>> with_end(np.array([[0, 2], [2, 5]], np.int32), "Hello").tolist()
        [[0, 2], [2, 5], [5, 6]]
    """
    length = len(text.encode())
    return np.concatenate([spans, np.array([[length, length + 1]], np.int32)])


def without_leading_space(spans: Spans, text: str) -> Spans:
    """Start spans after the white space that a token begins with, so that "the" is paired with " the".

    White space of one byte counts: space, tab and line ends.  A token of only white space is unchanged.

    Example:
        >>> import numpy as np
        >>> without_leading_space(np.array([[0, 1], [1, 5], [5, 7]], np.int32), "a the  ").tolist()
        [[0, 1], [2, 5], [5, 7]]
    """
    data = np.frombuffer(text.encode() + b"x", np.uint8)
    letters = np.where(np.isin(data, list(b" \t\n\r\x0b\x0c")), len(data), np.arange(len(data)))
    next_letter = np.minimum.accumulate(letters[::-1])[::-1]
    starts, ends = spans.T
    moved = next_letter[starts]
    return np.stack([np.where(moved < ends, moved, starts), ends], axis=-1).astype(np.int32)


class _Differs(Exception):
    """Tokens and text differ at the token `number`, at the byte `place` of the text."""

    def __init__(self, number: int, place: int):
        self.number, self.place = number, place


def _walk(table: TokenTable, ids: Sequence[int], text: bytes) -> Spans:
    """Return the spans in `text` of runs of ordinary tokens, and of added tokens between them."""
    found = np.zeros((len(ids), 2), np.int32)
    first = place = 0
    stops = [number for number, index in enumerate(ids) if index in table.added]
    for number in (*stops, len(ids)):
        if first < number:
            found[first:number] = _run(table, ids[first:number], text, place, first)
            place = int(found[number - 1, 1])
        if number < len(ids):
            found[number] = _added(table, ids[number], text, place, number)
            place = int(found[number, 1])
        first = number + 1
    return found


def _run(table: TokenTable, ids: Sequence[int], text: bytes, place: int, first: int) -> Spans:
    """Return the spans of ordinary tokens from `place` on; the first may begin with a space not in the text."""
    pieces = [table.pieces[index] for index in ids]
    without = [pieces[0].removeprefix(b" "), *pieces[1:]]
    ways = {"always": (without, pieces), "where there is none": (pieces, without), "never": (pieces,)}
    for way in ways[table.space_in_front]:
        if text.startswith(b"".join(way), place):
            return _one_after_the_other(way, place)
    if table.drops_spaces:
        return _word_by_word(pieces, text, place, first)
    begins_with_space = text.startswith(b" ", place)
    raise _first_difference(pieces if begins_with_space else ways[table.space_in_front][-1], text, place, first)


def _one_after_the_other(pieces: Sequence[bytes], place: int) -> Spans:
    ends = np.cumsum(np.fromiter(map(len, pieces), np.int32, len(pieces)), dtype=np.int32) + np.int32(place)
    starts = np.append(np.int32(place), ends[:-1])[: len(ends)]
    return np.stack([starts, ends], axis=-1)


def _word_by_word(pieces: Sequence[bytes], text: bytes, place: int, first: int) -> Spans:
    """Return spans without spaces, for a tokenizer that drops them."""
    found = []
    for number, piece in enumerate(pieces, first):
        if not text.startswith(piece, place):
            piece, place = piece.removeprefix(b" "), _behind_spaces(text, place)
            if not text.startswith(piece, place):
                raise _Differs(number, place)
        start = place + piece.startswith(b" ")
        place = start + len(piece.removeprefix(b" "))
        found.append((start, place))
    return np.array(found, np.int32)


def _with_spaces_before(table: TokenTable, ids: Sequence[int], text: bytes, found: Spans) -> Spans:
    """Extend the spans of words by the space that they stand for, if the tokenizer drops it and the text has it."""
    if not table.drops_spaces:
        return found
    begins_word = np.fromiter((table.pieces[index].startswith(b" ") for index in ids), np.bool_, len(ids))
    before = np.append(np.int32(0), found[:-1, 1])[: len(found)]
    is_space = np.frombuffer(b"x" + text, np.uint8)[found[:, 0]] == ord(" ")
    found[:, 0] -= begins_word & is_space & (found[:, 0] > before)
    return found


def _added(table: TokenTable, index: int, text: bytes, place: int, number: int) -> tuple[int, int]:
    """Return the span of an added token: its text, with the spaces that it includes, or nothing."""
    piece, how = table.pieces[index], table.added[index]
    start = _behind_spaces(text, place) if how.left or table.drops_spaces else place
    if text.startswith(piece, start):
        end = start + len(piece)
        return (place if how.left else start), (_behind_spaces(text, end) if how.right else end)
    if index == table.unknown or not how.special:
        raise _Differs(number, place)
    return place, place


def _behind_spaces(text: bytes, place: int) -> int:
    match = _SPACES.match(text, place)
    return match.end() if match else place


def _first_difference(pieces: Sequence[bytes], text: bytes, place: int, first: int) -> _Differs:
    for number, piece in enumerate(pieces, first):
        if not text.startswith(piece, place):
            return _Differs(number, place)
        place += len(piece)
    return _Differs(first, place)


def _through_rewritten(table: TokenTable, ids: Sequence[int], text: str) -> Spans:
    """Return spans in a text that the tokenizer rewrites."""
    original = text.encode()
    kept = {table.pieces[index].decode() for index in ids if index in table.added}
    rewritten = None if table.normalize is None else rewrite(text, table.normalize, kept=kept)
    if rewritten is None:
        raise _refusal(table, ids, original, _Differs(0, 0))
    try:
        found = _walk(table, ids, rewritten.text)
    except _Differs as difference:
        raise _refusal(table, ids, rewritten.text, difference) from None
    starts, ends = found.T
    empty = starts == ends
    back = np.stack([rewritten.starts[starts], rewritten.ends[ends]], axis=-1)
    back[empty, 0] = back[empty, 1]
    return back.astype(np.int32)


_NORMALIZE_FIRST = (
    "Normalise the texts before both models see them (unicodedata.normalize), leave this one out, or choose a "
    "tokenizer that leaves texts as they are."
)


def _refusal(table: TokenTable, ids: Sequence[int], text: bytes, difference: _Differs) -> ValueError:
    """Return the error for the first difference."""
    number, place = difference.number, difference.place
    index = ids[number]
    if index == table.unknown:
        fix = "It has no token for this: leave the text out, or choose a tokenizer that falls back to bytes."
    elif (lacking := _first_other(table.pieces[index], text[place:])) is not None and lacking not in table.byte_values:
        fix = (
            f"It has no token for the byte 0x{lacking:02X}, and drops it: leave the text out, take the character out "
            "of it, or choose a tokenizer with all 256 bytes."
        )
    elif table.normalizers:
        fix = f"It rewrites texts ({', '.join(table.normalizers)}). {_NORMALIZE_FIRST}"
    else:
        fix = "Give the very text that was encoded: not stripped, without a template."
    return ValueError(
        f"ids must spell text, got {table.pieces[index]!r} as token {number} of {table.name} where the text has "
        f"{text[place : place + 24].decode(errors='replace')!r}. {fix}"
    )


def _first_other(piece: bytes, text: bytes) -> int | None:
    """Return the first byte of a text that differs from a token; None if the token is as long."""
    return next((theirs for ours, theirs in zip(piece, text, strict=False) if ours != theirs), None)
