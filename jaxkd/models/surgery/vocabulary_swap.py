"""Students with another tokenizer: embedding and head built from the old rows."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxkd.models.surgery.axis_map import vocabulary_tables
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.tokenizers.pieces import token_bytes
from jaxkd.tokenizers.vocabulary import relate
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Initialization: TypeAlias = Literal["pieces", "mean", "random"]
"""Initial row of a token that the old vocabulary lacks: the mean of the old tokens that spell it, the mean of all old
tokens, or a sample from a normal distribution with the mean and standard deviation of each column."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RowSources:
    """Old rows from which each row of a new table can be built."""

    rows: tuple[tuple[int, ...], ...]
    """Old ids of each row: one for a shared token, the spelling for another; none if there is no spelling."""
    shared: Bool[np.ndarray, " v"]
    """Whether the token is in both vocabularies."""
    tokens: int
    """Number of leading rows for tokens, unused ids between them included; later rows pad the table."""
    old_tokens: Int[np.ndarray, " n"]
    """Old rows that hold a token."""

    def __str__(self) -> str:
        """Summarise the number of rows from each source, in one sentence."""
        spelled = sum(len(row) > 0 for row in self.rows) - int(self.shared.sum())
        return (
            f"Of {len(self.rows):,} rows, {self.shared.sum():,} are tokens of the old vocabulary, {spelled:,} can be "
            f"spelled with it, and {len(self.rows) - self.shared.sum() - spelled:,} cannot."
        )


def row_sources(
    old: "PreTrainedTokenizerBase", new: "PreTrainedTokenizerBase", *, old_size: int, rows: int | None = None
) -> RowSources:
    """Compare two tokenizers, and spell the new tokens with the old ones.

    Tokens are the same if they stand for the same bytes, or for the same role such as the end of a sequence
    (`jaxkd.tokenizers.vocabulary.relate`).  Another token is spelled as the old tokenizer encodes its text or, if that
    gives other bytes (a leading space, half a character), by the longest old tokens that match from its start.  Special
    tokens are not spelled: their text has no meaning.

    Args:
        old: tokenizer of the model, one that runs on the `tokenizers` library.
        new: tokenizer of the new vocabulary.
        old_size: rows of the model's tables.
        rows: rows of the new tables, the tokens of `new` by default.  More rows pad the tables to a size that devices
            can share.

    Raises:
        ValueError: fewer rows than tokens.
        TypeError: as `relate`.

    Source: Gee et al., Fast Vocabulary Transfer, arXiv 2402.09977, section 3.  Deviation: tokens are
    compared by their bytes, and bytes that are not valid text are spelled too.
    """
    tokens = max(new.get_vocab().values()) + 1
    rows = tokens if rows is None else rows
    if rows < tokens:
        raise ValueError(f"rows must be at least {tokens}, the tokens of the new tokenizer, got {rows}. Leave it out.")
    relation = relate(new, old, student_size=rows, teacher_size=old_size)
    spelling = _Spelling(old, old_size)
    sources: list[Sequence[int]] = [()] * rows
    known = _special(new).union(relation.student_ids.tolist())
    unknown = {index: text for index, text in token_bytes(new).items() if index not in known}
    for index, spelled in zip(unknown, spelling.of(list(unknown.values())), strict=True):
        sources[index] = spelled
    shared = np.zeros(rows, bool)
    for ours, theirs in zip(relation.student_ids.tolist(), relation.teacher_ids.tolist(), strict=True):
        sources[ours], shared[ours] = (theirs,), True
    return RowSources(
        rows=tuple(map(tuple, sources)),
        shared=shared,
        tokens=tokens,
        old_tokens=np.array(sorted(index for index in old.get_vocab().values() if index < old_size), np.int64),
    )


def swap_rows(
    config: DecoderConfig,
    params: Params,
    sources: RowSources,
    *,
    initialization: Initialization = "pieces",
    key: Key | None = None,
) -> tuple[DecoderConfig, Params]:
    """Replace the tables of the model by those of a new vocabulary: embedding and, if untied, head.

    A shared token keeps its rows.  The network between the tables is unchanged: it has to learn the new tokens'
    boundaries.

    Args:
        config: config of the model with its old vocabulary.
        params: parameters of that model.
        sources: result of `row_sources`.
        initialization: initial rows of tokens that the old vocabulary lacks; tokens that "pieces" cannot spell, and
            padding rows, get the mean.
        key: random key for the "random" rows.

    Returns:
        The config with the new `vocab_size`, and the parameters, the tables on the host.

    Raises:
        ValueError: an unknown initialization, or a random one without a key.

    Source: "pieces" is Fast Vocabulary Transfer, arXiv 2402.09977, equation 2; WECHSEL (arXiv 2112.06598)
    weights old rows by aligned word vectors instead, which requires such vectors.  "mean" is usual practice.
    Deviation: none.
    """
    if initialization not in get_args(Initialization):
        choices = ", ".join(get_args(Initialization))
        raise ValueError(f"initialization must be one of {choices}, got {initialization!r}.")
    if initialization == "random" and key is None:
        raise ValueError("key must be given for a random initialization. Pass jax.random.key(seed).")
    swapped = dict(params)
    for number, name in enumerate(vocabulary_tables(config)):
        table_key = None if key is None else jax.random.fold_in(key, number)
        swapped[name] = _table(np.asarray(params[name]), sources, initialization, table_key)
    rows = len(sources.rows)
    return dataclasses.replace(
        config, vocab_size=rows, tokens=None if sources.tokens == rows else sources.tokens
    ), swapped


def _table(
    old: Float[np.ndarray, "old d"], sources: RowSources, initialization: Initialization, key: Key | None
) -> Float[np.ndarray, "v d"]:
    known = old[sources.old_tokens].astype(np.float32)
    table = np.tile(known.mean(axis=0), (len(sources.rows), 1))
    if initialization == "random" and key is not None:
        table += known.std(axis=0) * np.asarray(jax.random.normal(key, table.shape))
    for index, (row, shared) in enumerate(zip(sources.rows, sources.shared.tolist(), strict=True)):
        if shared or (initialization == "pieces" and len(row)):
            table[index] = old[list(row)].astype(np.float32).mean(axis=0)
    return table.astype(old.dtype)


def _special(tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    added = tokenizer.added_tokens_decoder
    return {*tokenizer.all_special_ids, *(index for index, token in added.items() if token.special)}


class _Spelling:
    """Speller of bytes in the tokens of one tokenizer."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", size: int):
        special = _special(tokenizer)
        texts = {index: text for index, text in token_bytes(tokenizer).items() if index < size}
        self._tokenizer = tokenizer
        self._texts: Mapping[int, bytes] = texts
        # Take the first of several tokens with the same bytes.
        self._ids = {text: index for index, text in reversed(texts.items()) if text and index not in special}
        self._longest = max(map(len, self._ids), default=0)

    def of(self, texts: Sequence[bytes]) -> list[list[int]]:
        """Return the ids that spell each text; none if there is no spelling."""
        readable = [text.decode(errors="replace") for text in texts]
        encoded = self._tokenizer(readable, add_special_tokens=False)["input_ids"] if texts else []
        return [
            ids if self._says(ids, text) else self._longest_matches(text)
            for text, ids in zip(texts, encoded, strict=True)
        ]

    def _says(self, ids: Sequence[int], text: bytes) -> bool:
        return all(index in self._texts for index in ids) and b"".join(self._texts[index] for index in ids) == text

    def _longest_matches(self, text: bytes) -> list[int]:
        ids = []
        while text:
            lengths = range(min(self._longest, len(text)), 0, -1)
            length = next((length for length in lengths if text[:length] in self._ids), 0)
            if not length:
                return []
            ids.append(self._ids[text[:length]])
            text = text[length:]
        return ids
