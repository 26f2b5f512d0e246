"""Pairs of answers as rows of arrays: what of a pair is packed, and the batch that packed rows become.

Both answers of a pair, each behind the prompt, lie in one row as two segments: so a pair is never split over devices,
and one forward pass reads both.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxkd.data import packing
from jaxkd.data.chat import Tokenized
from jaxkd.records import PreferenceBatch, TokenBatch


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenizedPair:
    """Both answers to a prompt as token ids; their `index` is twice the pair's, and one more for the rejected one."""

    key: str
    chosen: Tokenized
    rejected: Tokenized
    probability: float
    weight: float

    @property
    def answers(self) -> tuple[Tokenized, Tokenized]:
        """The chosen one first, as they lie in a row."""
        return self.chosen, self.rejected


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What is packed of a pair: its tokens, its targets, and its numbers."""

    reference: Float[np.ndarray, "n 2"] | None
    """Log-probabilities of each pair's answers under a reference model, where a cache has them."""

    def __call__(self, pair: TokenizedPair) -> dict[str, np.ndarray]:
        tokens, targets, start = [], [], 0
        for side, answer in enumerate(pair.answers):
            places = np.arange(len(answer.tokens), dtype=np.int32)
            tokens.append(np.stack([answer.tokens, places, np.full_like(places, side)], axis=1))
            found = packing.features(answer)["targets"]
            targets.append(found + np.array([start, 0, 0], np.int32))
            start += len(answer.tokens)
        numbers = [pair.probability, pair.weight]
        if self.reference is not None:
            numbers += self.reference[pair.chosen.index // 2].tolist()
        return {
            "tokens": np.concatenate(tokens),
            "targets": np.concatenate(targets),
            "pairs": np.asarray([numbers], np.float32),
        }


@dataclasses.dataclass(frozen=True)
class Assemble:
    """From packed rows to a batch: a process's share of them."""

    share: slice

    def __call__(self, packed: Mapping[str, np.ndarray]) -> PreferenceBatch:
        mine = {name: array[self.share] for name, array in packed.items()}
        pairs_of_tokens, pairs_of_targets = mine["tokens_segment_ids"], mine["targets_segment_ids"]
        tokens, positions, sides = np.moveaxis(mine["tokens"], -1, 0)
        places, labels, example_ids = np.moveaxis(mine["targets"], -1, 0)
        mask = pairs_of_targets > 0
        starts = packing.segment_starts(pairs_of_tokens, mine["tokens_positions"])
        # NumPy arrays, where the step will have JAX arrays: the loop moves them to the devices.
        answers: dict[str, Any] = {
            "tokens": tokens,
            "positions": positions,
            "segment_ids": np.where(pairs_of_tokens > 0, 2 * pairs_of_tokens - 1 + sides, 0),
            "target_positions": places + np.take_along_axis(starts, pairs_of_targets, axis=1),
            "labels": labels,
            "example_ids": np.where(mask, example_ids, -1),
        }
        answers = {name: array.astype(np.int32) for name, array in answers.items()} | {"loss_mask": mask}
        numbers: Any = mine["pairs"]
        return PreferenceBatch(
            answers=TokenBatch(**answers),
            probability=numbers[..., 0],
            weights=numbers[..., 1],
            reference=numbers[..., 2:] if numbers.shape[-1] > 2 else None,
        )
