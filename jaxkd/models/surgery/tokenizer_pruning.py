"""Tokenizers with fewer tokens: those that some text uses, and what builds them."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from jaxkd.tokenizers.pieces import backend_state

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODELS = ("BPE", "Unigram")
"""Models of the `tokenizers` library whose vocabulary can be pruned."""

_FALLBACK_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PrunedTokenizer:
    """A tokenizer with some of another one's tokens."""

    tokenizer: "PreTrainedTokenizerBase"
    ids: Int[np.ndarray, " v"]
    """Id of each token in the other tokenizer."""
    tokens: int
    """Tokens of the other tokenizer that have a row."""
    used: int
    """Tokens that were asked for."""

    def __str__(self) -> str:
        """Summarise the number of tokens that are kept, in one sentence."""
        others = len(self.ids) - self.used
        return (
            f"Of {self.tokens:,} tokens, {len(self.ids):,} are kept: {self.used:,} that the text uses, and {others:,} "
            "that build them, stand for a byte or were added to the vocabulary."
        )


def prune_tokenizer(
    tokenizer: "PreTrainedTokenizerBase", ids: Iterable[int], *, size: int | None = None
) -> PrunedTokenizer:
    """Keep these tokens, those from which merges build them, the bytes, and all added tokens.

    A text of which the tokenizer makes kept tokens alone is read as before, token for token; any other is spelled in
    kept tokens, at worst in bytes if the vocabulary has them.  Tokens keep their order; added ones that are not in the
    vocabulary of the model itself come last.  Chat template and special tokens are kept, with their new ids.

    Args:
        tokenizer: BPE or Unigram, one that runs on the `tokenizers` library.
        ids: tokens to keep, as those that a corpus uses.
        size: rows of the model's tables; later tokens are left out.  None: every token has a row.

    Raises:
        TypeError: a tokenizer that does not run on the `tokenizers` library.
        ValueError: another model than BPE or Unigram, one that marks the pieces of a word, an id without a token or a
            row, a post-processor of unknown ids, or no id.

    Source: Ushio et al., Vocabulary Trimming, arXiv 2305.15020, section 3.  Deviation: what builds a token is kept too,
    so that kept tokens are read as before (inferred).  BPE merges the pair of the lowest rank, and within the borders
    of a final token only pairs of that token are ever merged, so its own merges are enough; Unigram takes the best of
    the segmentations that remain.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    state = backend_state(tokenizer)
    _require_known(state["model"])
    present = {index: piece for piece, index in tokenizer.get_vocab().items() if size is None or index < size}
    used = set(map(int, ids))
    if not used or not used <= present.keys():
        got = f"{min(used - present.keys())}, which is none" if used else "none"
        raise ValueError(f"ids must be tokens among the {len(present)} that have a row, got {got}.")
    added = {token["content"] for token in state["added_tokens"]}
    kept = {present[index] for index in used} | added | _always(state)
    if state["model"]["type"] == "BPE":
        kept |= _parts(kept - added, _pairs(state["model"]))
    pieces = _pieces(state["model"])
    order = sorted(
        (index for index, piece in present.items() if piece in kept),
        key=lambda index: (present[index] not in pieces, index),
    )
    new_ids = {present[index]: place for place, index in enumerate(order)}
    pruned = Tokenizer.from_str(json.dumps(_renumbered(state, new_ids)))
    return PrunedTokenizer(
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=pruned,
            chat_template=tokenizer.chat_template,
            model_max_length=tokenizer.model_max_length,
            padding_side=tokenizer.padding_side,
            truncation_side=tokenizer.truncation_side,
            clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
            **tokenizer.special_tokens_map,
        ),
        ids=np.array(order, np.int64),
        tokens=len(present),
        used=len(used),
    )


def _require_known(model: Mapping[str, Any]) -> None:
    if model["type"] not in MODELS:
        raise ValueError(f"tokenizer must be of {' or '.join(MODELS)}, got {model['type']}. Keep its whole vocabulary.")
    for mark in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(mark):
            raise ValueError(f"tokenizer must have no {mark}, got {model[mark]!r}. Keep its whole vocabulary.")


def _pieces(model: Mapping[str, Any]) -> set[str]:
    vocabulary = model["vocab"]
    return set(vocabulary) if isinstance(vocabulary, dict) else {piece for piece, _ in vocabulary}


def _pairs(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the merges, the first to be applied first."""
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
    return [(first, second) for first, second in pairs]


def _always(state: Mapping[str, Any]) -> set[str]:
    """Return the pieces without which some text could not be read, or not as before."""
    from tokenizers.pre_tokenizers import ByteLevel

    model = state["model"]
    byte_level = '"ByteLevel"' in json.dumps([state["pre_tokenizer"], state["decoder"]])
    kept = _pieces(model) & (set(ByteLevel.alphabet()) if byte_level else _FALLBACK_BYTES)
    if model["type"] == "BPE":
        return kept | ({model["unk_token"]} - {None})
    # What is unknown costs more than the worst piece, whose score must not change.
    kept.add(min(model["vocab"], key=lambda entry: entry[1])[0])
    return kept if model["unk_id"] is None else kept | {model["vocab"][model["unk_id"]][0]}


def _parts(pieces: Iterable[str], pairs: list[tuple[str, str]]) -> set[str]:
    """Return all that occurs while these pieces are merged from their letters."""
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    found: set[str] = set()
    for piece in pieces:
        symbols = list(piece)
        found.update(symbols)
        while merges := [
            (ranks[pair], place) for place, pair in enumerate(itertools.pairwise(symbols)) if pair in ranks
        ]:
            _, place = min(merges)
            symbols[place : place + 2] = ["".join(symbols[place : place + 2])]
            found.add(symbols[place])
    return found


def _renumbered(state: dict[str, Any], new_ids: Mapping[str, int]) -> dict[str, Any]:
    """Return the state of a tokenizer that has these tokens alone, under these ids."""
    model = state["model"]
    if model["type"] == "BPE":
        vocabulary: Any = {piece: new_ids[piece] for piece in model["vocab"] if piece in new_ids}
        merges = [list(pair) for pair in _pairs(model) if {*pair, "".join(pair)} <= new_ids.keys()]
        changed = {"vocab": vocabulary, "merges": merges}
    else:
        unknown = None if model["unk_id"] is None else new_ids[model["vocab"][model["unk_id"]][0]]
        changed = {"vocab": [entry for entry in model["vocab"] if entry[0] in new_ids], "unk_id": unknown}
    added = [
        token | {"id": new_ids[token["content"]]} for token in state["added_tokens"] if token["content"] in new_ids
    ]
    return state | {
        "model": model | changed,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "post_processor": _processor(state["post_processor"], new_ids),
        "padding": None,
        "truncation": None,
    }


def _processor(processor: dict[str, Any] | None, new_ids: Mapping[str, int]) -> dict[str, Any] | None:
    """Return what adds special tokens to a text, with their new ids."""
    match processor:
        case None | {"type": "ByteLevel"}:
            return processor
        case {"type": "Sequence", "processors": parts}:
            return processor | {"processors": [_processor(part, new_ids) for part in parts]}
        case {"type": "TemplateProcessing", "special_tokens": special}:
            renumbered = {
                name: token | {"ids": [new_ids[text] for text in token["tokens"]]} for name, token in special.items()
            }
            return processor | {"special_tokens": renumbered}
        case _:
            raise ValueError(
                "tokenizer must have a post-processor among ByteLevel, Sequence, TemplateProcessing, got "
                f"{processor['type']}. Keep its whole vocabulary."
            )
