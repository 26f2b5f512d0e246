"""Two tokenizations of one response become a pair: the bytes of each target, and matches by edit distance."""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Int

from jaxkd.alignment import edit_distance
from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.paired_rows import Pair
from jaxkd.tokenizers import byte_spans, pieces
from jaxkd.tokenizers.byte_spans import Spans
from jaxkd.tokenizers.vocabulary_mapping import VocabularyMapping
from jaxkd.typing import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_log = logging.getLogger(__name__)

Spaces: TypeAlias = Literal["kept", "ignored"]
""""ignored" pairs a word with the same word behind a space."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pairing:
    """How the tokens of a student and of a teacher are paired."""

    student: "PreTrainedTokenizerBase"
    teacher: "PreTrainedTokenizerBase"
    spaces: Spaces
    mapping: VocabularyMapping | None
    """Nearest tokens, for methods that match targets by edit distance; None matches none."""

    def pair(self, ours: Tokenized, theirs: Tokenized, response: str) -> Pair:
        """Pair one example.

        Args:
            ours: the example in the student's tokens.
            theirs: the same in the teacher's.
            response: text of the answer.

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
        """Spans as they are aligned, followed by that of the end if the answer has one."""
        if self.spaces == "ignored":
            spans = byte_spans.without_leading_space(spans, text)
        return byte_spans.with_end(spans, text) if ended else spans

    def matched(self, ours: Tokenized, theirs: Tokenized) -> Int[np.ndarray, " k"] | None:
        """The teacher's target for each of the student's, -1 without one; None without a mapping.

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
        """Spans of the targets; a response that was cut has no end."""
        targets = example.tokens[example.prompt_length :].tolist()
        found = byte_spans.spans(tokenizer, targets[:-1] if example.ended else targets, response)
        return self.seen(found, response, ended=example.ended)


def warn(split: Split, pairs: Sequence[Pair], refusals: Sequence[str]) -> None:
    """Log responses that were left out, and those from which a method learns nothing of the teacher.

    Args:
        split: where they are.
        pairs: all that were made.
        refusals: reasons, one for each response that was left out.
    """
    if refusals:
        _log.warning(
            "%s: %d of %d responses are left out, whose tokens do not spell them, the first in %s",
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
    """Bytes of each token, without spaces."""
    return {index: text.replace(b" ", b"") for index, text in pieces.token_bytes(tokenizer).items()}
