"""Pairs of tokenizations as rows: the packed arrays of a pair, and batches from packed rows."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxkd.data.text import packing
from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.packing import Teacher
from jaxkd.records import PairedBatch, TokenSpans
from jaxkd.tokenizers.byte_spans import Spans

TEACHER = "teacher_"
"""Prefix of the names of the teacher's arrays."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """One example in the tokens of two models."""

    student: Tokenized
    teacher: Tokenized
    student_spans: Spans
    """Byte span in the response of each of the student's targets; the end's is the byte after it."""
    teacher_spans: Spans
    matched: Int[np.ndarray, " k"] | None
    """Teacher's target matched with each of the student's by edit distance, -1 without one."""


def features(pair: Pair) -> dict[str, np.ndarray]:
    """Return the packed arrays of a pair: each side's `packing.features`, with target spans."""
    arrays = {}
    sides = (("", pair.student, pair.student_spans), (TEACHER, pair.teacher, pair.teacher_spans))
    for prefix, example, spans in sides:
        features = packing.features(example)
        arrays[f"{prefix}tokens"] = features["tokens"]
        arrays[f"{prefix}targets"] = packing.widened(features["targets"], start=spans[:, 0], end=spans[:, 1])
    if pair.matched is not None:
        arrays["targets"] = packing.widened(arrays["targets"], matched=pair.matched)
    return arrays


@dataclasses.dataclass(frozen=True)
class AssemblePairs:
    """Build a batch from a process's share of packed rows, with the teacher's hidden states from a cache."""

    rows: slice
    cache: Teacher | None
    matched: bool

    def __call__(self, packed: Mapping[str, np.ndarray]) -> PairedBatch:
        mine = {name: array[self.rows] for name, array in packed.items()}
        theirs = {name.removeprefix(TEACHER): array for name, array in mine.items() if name.startswith(TEACHER)}
        # NumPy arrays instead of JAX arrays: the loop moves them to the devices.
        positions: Any = _positions_in_row(mine, theirs) if self.matched else None
        return PairedBatch(
            student=packing.assembled(mine),
            teacher=packing.assembled(theirs, self.cache),
            student_spans=_token_spans(mine),
            teacher_spans=_token_spans(theirs),
            teacher_positions=positions,
        )


def _token_spans(packed: Mapping[str, np.ndarray]) -> TokenSpans:
    targets = packed["targets"]
    fields: dict[str, Any] = {
        "starts": targets["start"],
        "ends": targets["end"],
        "segment_ids": packed["targets_segment_ids"],
    }
    return TokenSpans(**{name: array.astype(np.int32) for name, array in fields.items()})


def _positions_in_row(mine: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> Int[np.ndarray, "b k"]:
    """Convert positions within an example to its row."""
    starts = packing.segment_starts(theirs["targets_segment_ids"], theirs["targets_positions"])
    segments = mine["targets_segment_ids"]
    matched = mine["targets"]["matched"]
    first = np.take_along_axis(starts, np.minimum(segments, starts.shape[1] - 1), axis=1)
    return np.where((segments > 0) & (matched >= 0), matched + first, -1).astype(np.int32)
