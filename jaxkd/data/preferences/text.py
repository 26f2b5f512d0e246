"""Preference pairs as a training stream: source, template and shape of a packed batch."""

import dataclasses
import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxkd.data.examples import Example, subset
from jaxkd.data.preferences.examples import PreferenceSource
from jaxkd.data.preferences.rows import AssemblePreferences, Features, TokenizedPair
from jaxkd.data.text import chat, packing
from jaxkd.records import PreferenceBatch, TokenBatch
from jaxkd.runtime.hidden_cache import HiddenCache
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import loading
from jaxkd.tokenizers.reader import ModelLimits, Reader
from jaxkd.typing import Split

if TYPE_CHECKING:
    import grain
    from transformers import PreTrainedTokenizerBase


_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceText:
    """Pairs of a source, rendered, tokenized and packed into rows of fixed size, both answers of a pair in one row.

    Each answer with its prompt may take half a row, so every pair that is kept fits.
    """

    source: PreferenceSource
    """Source of the pairs of answers."""
    rows: int = 8
    """Rows of a global batch: one optimizer step, however it is split."""
    length: int = 1024
    """Tokens per row, prompts and answers together."""
    targets: int = 512
    """Answer tokens per row."""
    pairs: int = 4
    """Maximum number of pairs per row."""
    limit: int | None = None
    """Maximum number of pairs, selected by a hash of their keys; None keeps all."""
    template: Literal["chat", "plain"] = "chat"
    """Rendering of a prompt: by the tokenizer's chat template, or as plain text, which needs none."""
    overlong: Literal["drop", "truncate"] = "drop"
    """Treatment of a pair with an answer that is too long, counted either way.  A cut answer has no end, and a model
    that learns from it does not learn to stop."""
    max_ratio: float | None = None
    """Maximum ratio of the token counts of a pair's answers, at least 1; other pairs are dropped and counted.  If
    lengths differ, length may be all that is learnt.  None keeps all."""
    max_prompt: int | None = None
    """Length in tokens to which longer prompts are cut, and counted; None: no limit."""
    keep_prompt: Literal["first", "last"] = "last"
    """Part of a longer prompt to keep.  The last tokens lead up to the answer."""
    control_tokens: Literal["text", "allow"] = "text"
    """Whether a control token that a text spells out, as `<|im_end|>`, is read as text, or as the control token."""

    def tokenized(self, split: Split, tokenizer: "PreTrainedTokenizerBase") -> list[TokenizedPair]:
        """Tokenize the pairs of a split; logs how many were kept and dropped.

        Raises:
            ValueError: no pair kept.
        """
        return _tokenized(self, split, tokenizer)

    def identity(self, split: Split, model: Reader, tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
        """Hash all that determines a model's log-probabilities of these answers: the key of a cache."""
        answers = [answer for pair in self.tokenized(split, tokenizer) for answer in pair.answers]
        return {
            "model": model.fingerprint(),
            "tokenizer": loading.fingerprint(tokenizer),
            "data": chat.fingerprint(answers),
            "template": chat.template_fingerprint(tokenizer, self.template),
            "stores": "log-probabilities",
        }

    def log_probs(
        self, cache: str, split: Split, model: Reader, tokenizer: "PreTrainedTokenizerBase"
    ) -> Float[np.ndarray, "n 2"]:
        """Read the log-probabilities of both answers of each pair, in nats, from the cache of a `Cache` stage.

        Raises:
            FileNotFoundError: a folder without a cache.
            ValueError: a cache of something else.
        """
        stored = HiddenCache(Path(cache), self.identity(split, model, tokenizer))
        pairs = self.tokenized(split, tokenizer)
        return np.array([[stored(answer.index).sum(dtype=np.float64) for answer in pair.answers] for pair in pairs])

    def check_fits(self, model: ModelLimits) -> None:
        """Reject answers longer than a model's maximum sequence length.

        Raises:
            ValueError: a position table would be read beyond its end, which JAX does silently.
        """
        if self.length // 2 > model.max_positions:
            raise ValueError(
                f"data.length must be at most twice the {model.max_positions} positions of the model, got "
                f"{self.length}."
            )
        if self.max_ratio is not None and not self.max_ratio >= 1:
            raise ValueError(f"data.max_ratio must be at least 1, got {self.max_ratio}.")
        for name in ("rows", "pairs"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.{name} must be at least 1, got {getattr(self, name)}.")

    def training_stream(
        self,
        split: Split,
        tokenizer: "PreTrainedTokenizerBase",
        seed: int,
        *,
        reference: Float[np.ndarray, "n 2"] | None = None,
        share: Share = WHOLE,
    ) -> "grain.IterDataset":
        """Return a share of the rows of an endless shuffled stream of global batches.

        Args:
            split: split of the source.
            tokenizer: tokenizer of the trained model.
            seed: random seed of the order.
            reference: log-probabilities of both answers of each pair under a reference model.
            share: share of the rows of each global batch.
        """
        import grain

        pairs = grain.MapDataset.source(self.tokenized(split, tokenizer))
        stream = packing.shuffled_rows(pairs, Features(reference), budgets=self._budgets, seed=seed)
        mine = share.rows(self.rows)
        return stream.batch(self.rows, drop_remainder=True).map(AssemblePreferences(mine))

    def each_once(self, split: Split, tokenizer: "PreTrainedTokenizerBase") -> list[PreferenceBatch]:
        """Return batches that hold each pair of a split once: for evaluation, not training."""
        import grain

        pairs = grain.MapDataset.source(self.tokenized(split, tokenizer))
        batches = packing.each_once(pairs, Features(None), budgets=self._budgets, rows=self.rows)
        return list(batches.map(AssemblePreferences(slice(None))))

    def abstract_batch(self, *, reference: bool = False) -> PreferenceBatch:
        """Return the shapes and dtypes of one global batch, with or without cached log-probabilities."""
        tokens = jax.ShapeDtypeStruct((self.rows, self.length), jnp.int32)
        targets = jax.ShapeDtypeStruct((self.rows, self.targets), jnp.int32)
        fields: dict[str, Any] = dict.fromkeys(("tokens", "positions", "segment_ids"), tokens)
        fields |= dict.fromkeys(("target_positions", "labels", "example_ids"), targets)
        fields["loss_mask"] = jax.ShapeDtypeStruct(targets.shape, np.bool_)
        numbers: Any = jax.ShapeDtypeStruct((self.rows, self.pairs), jnp.float32)
        cached: Any = jax.ShapeDtypeStruct((self.rows, self.pairs, 2), jnp.float32) if reference else None
        return PreferenceBatch(answers=TokenBatch(**fields), probability=numbers, weights=numbers, reference=cached)

    @property
    def _budgets(self) -> dict[str, int]:
        return {"tokens": self.length, "targets": self.targets, "pairs": self.pairs}


@functools.lru_cache(maxsize=8)
def _tokenized(text: PreferenceText, split: Split, tokenizer: "PreTrainedTokenizerBase") -> list[TokenizedPair]:
    """Tokenize once per process: the stages of a study read the pairs often."""
    pairs = subset(text.source.pairs(split), text.limit)
    distinct = [pair for pair in pairs if pair.chosen != pair.rejected]
    if not distinct:
        raise ValueError(
            f"source must hold a pair of two different answers, got none among the {len(pairs)} of {split}."
        )
    chosen = _by_place([pair.answered(pair.chosen) for pair in distinct], text, tokenizer)
    rejected = _by_place([pair.answered(pair.rejected) for pair in distinct], text, tokenizer)
    kept: list[TokenizedPair] = []
    unequal = 0
    for place in sorted(chosen.keys() & rejected.keys()):
        one, two = chosen[place], rejected[place]
        # Cutting may have made the two answers equal.
        if np.array_equal(one.tokens, two.tokens):
            continue
        if not _alike(one, two, text.max_ratio):
            unequal += 1
            continue
        pair, index = distinct[place], 2 * len(kept)
        kept.append(
            TokenizedPair(
                key=pair.key,
                chosen=dataclasses.replace(one, index=index, key=pair.key),
                rejected=dataclasses.replace(two, index=index + 1, key=pair.key),
                probability=pair.probability,
                weight=pair.weight,
            )
        )
    answers = [answer for pair in kept for answer in pair.answers]
    report = (
        f"kept {len(kept):,} of {len(pairs):,} pairs ({sum(len(answer.tokens) for answer in answers):,} tokens, "
        f"{sum(len(answer.tokens) - answer.prompt_length for answer in answers):,} targets, "
        f"{sum(not answer.ended for answer in answers):,} answers cut{_spelled(kept, text)}), dropped "
        f"{len(pairs) - len(distinct):,} of one answer twice, {unequal:,} with answers of unequal lengths and "
        f"{len(distinct) - len(kept) - unequal:,} with an answer that is empty, or longer than {text.targets // 2:,} "
        f"tokens, or than {text.length // 2:,} with its prompt"
    )
    if not kept:
        raise ValueError(
            f"source must hold a pair that fits, got none: {report}. Raise length and targets, or set "
            'overlong="truncate".'
        )
    _log.info("%s: %s", split, report)
    return kept


def _spelled(pairs: list[TokenizedPair], text: PreferenceText) -> str:
    """Return a clause on the pairs that spell out control tokens; empty if there are none."""
    count = sum(any(answer.spells_control for answer in pair.answers) for pair in pairs)
    way = "as text" if text.control_tokens == "text" else "as such"
    return f", {count:,} pairs with spelled control tokens, read {way}" if count else ""


def _alike(one: chat.Tokenized, two: chat.Tokenized, max_ratio: float | None) -> bool:
    """Whether two answers have similar token counts."""
    shorter, longer = sorted(len(answer.tokens) - answer.prompt_length for answer in (one, two))
    return max_ratio is None or longer <= max_ratio * shorter


def _by_place(
    examples: list[Example], text: PreferenceText, tokenizer: "PreTrainedTokenizerBase"
) -> dict[int, chat.Tokenized]:
    """Return the usable answers, by position in the list."""
    numbered = [dataclasses.replace(example, key=str(place)) for place, example in enumerate(examples)]
    tokenized, _ = chat.tokenize(
        numbered,
        tokenizer,
        max_length=text.length // 2,
        max_response=text.targets // 2,
        overlong=text.overlong,
        template=text.template,
        max_prompt=text.max_prompt,
        keep_prompt=text.keep_prompt,
        control_tokens=text.control_tokens,
    )
    return {int(answer.key): answer for answer in tokenized}
