"""Preference pairs as rows: the packed arrays of a pair, and batches from packed rows.

Both answers of a pair, each after the prompt, are two segments of one row: so a pair is never split over devices, and
one forward pass reads both.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxkd.data.text import packing
from jaxkd.data.text.chat import Tokenized
from jaxkd.records import PreferenceBatch, TokenBatch


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenizedPair:
    """Both answers to a prompt as token ids; their `index` is twice the pair's, plus 1 for the rejected one."""

    key: str
    chosen: Tokenized
    rejected: Tokenized
    probability: float
    weight: float

    @property
    def answers(self) -> tuple[Tokenized, Tokenized]:
        """Both answers as in a row, the chosen one first."""
        return self.chosen, self.rejected


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """Packed arrays of a pair: its tokens, its targets, and its scalars."""

    reference: Float[np.ndarray, "n 2"] | None
    """Log-probabilities of each pair's answers under a reference model, if cached."""

    def __call__(self, pair: TokenizedPair) -> dict[str, np.ndarray]:
        tokens, targets, start = [], [], 0
        for side, answer in enumerate(pair.answers):
            positions = np.arange(len(answer.tokens), dtype=np.int32)
            tokens.append(packing.table(token=answer.tokens, position=positions, side=np.full_like(positions, side)))
            targets.append(packing.features(answer)["targets"])
            targets[-1]["position"] += start
            start += len(answer.tokens)
        numbers = {"probability": pair.probability, "weight": pair.weight}
        if self.reference is not None:
            chosen, rejected = self.reference[pair.chosen.index // 2]
            numbers |= {"reference_chosen": chosen, "reference_rejected": rejected}
        return {
            "tokens": np.concatenate(tokens),
            "targets": np.concatenate(targets),
            "pairs": packing.table(**{name: np.array([number], np.float32) for name, number in numbers.items()}),
        }


@dataclasses.dataclass(frozen=True)
class AssemblePreferences:
    """Build a batch from a process's share of packed rows."""

    rows: slice

    def __call__(self, packed: Mapping[str, np.ndarray]) -> PreferenceBatch:
        mine = {name: array[self.rows] for name, array in packed.items()}
        pairs_of_tokens, pairs_of_targets = mine["tokens_segment_ids"], mine["targets_segment_ids"]
        tokens, targets, numbers = mine["tokens"], mine["targets"], mine["pairs"]
        mask = pairs_of_targets > 0
        starts = packing.segment_starts(pairs_of_tokens, mine["tokens_positions"])
        # NumPy arrays instead of JAX arrays: the loop moves them to the devices.
        answers: dict[str, Any] = {
            "tokens": tokens["token"],
            "positions": tokens["position"],
            "segment_ids": np.where(pairs_of_tokens > 0, 2 * pairs_of_tokens - 1 + tokens["side"], 0),
            "target_positions": targets["position"] + np.take_along_axis(starts, pairs_of_targets, axis=1),
            "labels": targets["label"],
            "example_ids": np.where(mask, targets["example_id"], -1),
        }
        answers = {name: array.astype(np.int32) for name, array in answers.items()} | {"loss_mask": mask}
        pairs: dict[str, Any] = {"probability": numbers["probability"], "weights": numbers["weight"]}
        if "reference_chosen" in (numbers.dtype.names or ()):
            pairs["reference"] = np.stack([numbers["reference_chosen"], numbers["reference_rejected"]], axis=-1)
        return PreferenceBatch(answers=TokenBatch(**answers), **pairs)
