"""Pairing of two tokenizations of one response: byte spans of targets, and matches by edit distance."""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from jaxkd.alignment import edit_distance
from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.pairs.rows import Pair
from jaxkd.tokenizers import byte_spans, pieces
from jaxkd.tokenizers.byte_spans import Spans
from jaxkd.tokenizers.vocabulary_mapping import VocabularyMapping
from jaxkd.typing import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_log = logging.getLogger(__name__)

Spaces: TypeAlias = Literal["kept", "ignored"]
"""Spaces before words; "ignored" pairs a word with " word"."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pairing:
    """Pairing of a student's tokens with a teacher's."""

    student: "PreTrainedTokenizerBase"
    teacher: "PreTrainedTokenizerBase"
    spaces: Spaces
    mapping: VocabularyMapping | None
    """Nearest tokens, for methods that match targets by edit distance; None: no matching."""

    def pair(self, ours: Tokenized, theirs: Tokenized, response: str) -> Pair:
        """Pair one example.

        Args:
            ours: example in the student's tokens.
            theirs: example in the teacher's tokens.
            response: text of the response.

        Raises:
            ValueError: tokens that do not spell the response.
        """
        return Pair(
            student=ours,
            teacher=theirs,
            student_spans=self._spans(self.student, ours, response),
            teacher_spans=self._spans(self.teacher, theirs, response),
            matched=self.matched(ours, theirs),
        )

    def seen(self, spans: Spans, text: str, *, ended: bool) -> Spans:
        """Return spans for alignment, followed by that of the end if `ended`."""
        if self.spaces == "ignored":
            spans = byte_spans.without_leading_space(spans, text)
        return byte_spans.with_end(spans, text) if ended else spans

    def matched(self, ours: Tokenized, theirs: Tokenized) -> Int[np.ndarray, " k"] | None:
        """Match each of the student's targets with a teacher's, or -1; None without a mapping.

        As in MinED, the tokens compared are the inputs at the positions where targets are predicted.
        """
        if self.mapping is None:
            return None
        our_ids, their_ids = (one.tokens[one.prompt_length - 1 : -1] for one in (ours, theirs))
        our_texts, their_texts = _texts(self.student), _texts(self.teacher)
        costs = edit_distance.edit_costs([our_texts[id] for id in our_ids], [their_texts[id] for id in their_ids])
        path = edit_distance.warped(costs)
        return edit_distance.aligned_positions(path, our_ids, their_ids, self.mapping.student_of_teacher)

    def _spans(self, tokenizer: "PreTrainedTokenizerBase", example: Tokenized, response: str) -> Spans:
        """Return the spans of the targets; a cut response has no end."""
        targets = example.tokens[example.prompt_length :].tolist()
        found = byte_spans.spans(tokenizer, targets[:-1] if example.ended else targets, response)
        return self.seen(found, response, ended=example.ended)


def warn(split: Split, pairs: Sequence[Pair], refusals: Sequence[str]) -> None:
    """Log responses that were left out, and those from which a method learns nothing of the teacher.

    Args:
        split: split of the responses.
        pairs: all pairs of the split.
        refusals: reasons, one per response that was left out.
    """
    if refusals:
        _log.warning(
            "%s: %d of %d responses are left out, as their tokens do not spell them, the first in %s",
            *(split, len(refusals), len(refusals) + len(pairs), refusals[0]),
        )
    apart = [pair for pair in pairs if not _share_a_span(pair)]
    if apart:
        _log.warning(
            "%s: %d of %d responses have no token in common to student and teacher but their end, %s first: exact "
            "token alignment learns nothing of the teacher from their text",
            *(split, len(apart), len(pairs), apart[0].student.key),
        )
    unmatched = [pair for pair in pairs if pair.matched is not None and (pair.matched < 0).all()]
    if unmatched:
        _log.warning(
            "%s: %d of %d responses have no target that is matched by edit distance, %s first: MinED learns their "
            "labels alone",
            *(split, len(unmatched), len(pairs), unmatched[0].student.key),
        )


def _share_a_span(pair: Pair) -> bool:
    """Whether a span of the text is in both tokenizations; the ends do not count."""
    ours, theirs = (
        {tuple(span) for span in (spans[:-1] if side.ended else spans).tolist()}
        for side, spans in ((pair.student, pair.student_spans), (pair.teacher, pair.teacher_spans))
    )
    return any(start < end for start, end in ours & theirs)


@functools.lru_cache(maxsize=8)
def _texts(tokenizer: "PreTrainedTokenizerBase") -> dict[int, bytes]:
    """Return the bytes of each token, without spaces."""
    return {index: text.replace(b" ", b"") for index, text in pieces.token_bytes(tokenizer).items()}
