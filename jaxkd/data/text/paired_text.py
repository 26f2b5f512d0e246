"""Text for two models of different tokenizers: each example in the tokens of both, packed side by side.

An example has its place in the same row and the same segment on both sides, so that what aligns the two needs only
integers: the spans of bytes that labels stand for.  A row has four budgets, tokens and targets of each side.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from jaxkd.alignment import edit_distance
from jaxkd.data.examples import subset
from jaxkd.data.text import chat, packing
from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.packed_text import PackedText
from jaxkd.data.text.paired_rows import TEACHER, Assemble, Pair, features
from jaxkd.records import PairedBatch, TokenSpans
from jaxkd.runtime.progress import progress
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import byte_spans, decoded_text, vocabulary, vocabulary_mapping
from jaxkd.tokenizers.byte_spans import Spans
from jaxkd.tokenizers.reader import Reader
from jaxkd.tokenizers.vocabulary_mapping import VocabularyMapping
from jaxkd.typing import Split

if TYPE_CHECKING:
    import grain
    from transformers import PreTrainedTokenizerBase


_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedText:
    """The same examples as a student and a teacher of different tokenizers read them."""

    student: PackedText
    teacher: PackedText
    """Of the same source, rows and limit; what a cache of the teacher is made of."""
    spaces: Literal["kept", "ignored"] = "kept"
    """"ignored" pairs a word with the same word behind a space."""
    match: Literal["none", "edit distance"] = "none"
    """How targets are matched on the host, beside the spans that a jitted loss aligns by; a method that needs it asks
    for it itself."""

    def __post_init__(self) -> None:
        for name in ("source", "rows", "limit"):
            ours, theirs = getattr(self.student, name), getattr(self.teacher, name)
            if ours != theirs:
                raise ValueError(
                    f"student and teacher must have the same {name}, got {ours} and {theirs}. Only what belongs to a "
                    "tokenizer may differ: length, targets, template, overlong, max_prompt and keep_prompt."
                )

    def pairs(self, split: Split, student: Reader, teacher: Reader) -> list[Pair]:
        """The examples that both sides kept and whose tokens spell the response; the others are counted and logged.

        Args:
            split: of the source.
            student: the checkpoint whose tokenizer reads one side.
            teacher: the other side's.

        Raises:
            ValueError: no example that fits on both sides, or none whose tokens spell its response.
        """
        return _pairs(self, split, student, teacher)

    def distillation_stream(
        self,
        split: Split,
        student: Reader,
        teacher: Reader,
        seed: int,
        *,
        teacher_cache: str | None = None,
        share: Share = WHOLE,
    ) -> "grain.IterDataset":
        """A share of the rows of an endless shuffled stream of `PairedBatch`es of NumPy arrays.

        Args:
            split: of the source.
            student: the checkpoint whose tokenizer reads one side.
            teacher: the other side's.
            seed: decides the order.
            teacher_cache: folder of the teacher's hidden states, written from `self.teacher`.
            share: of the rows of each global batch.

        Raises:
            ValueError: as `pairs`, a cache of something else, or rows that the processes do not divide.
        """
        import grain

        rows = share.rows(self.student.rows)
        cache = self.teacher.opened(teacher_cache, split, teacher, teacher.tokenizer())
        pairs = self.pairs(split, student, teacher)
        stream = packing.shuffled_rows(grain.MapDataset.source(pairs), features, budgets=self._budgets(), seed=seed)
        assemble = Assemble(rows=rows, cache=cache, matched=self.match != "none")
        return stream.batch(self.student.rows, drop_remainder=True).map(assemble)

    def each_once(
        self, split: Split, student: Reader, teacher: Reader, *, teacher_cache: str | None = None
    ) -> list[PairedBatch]:
        """The batches that hold each pair of a split once: to measure on, not to train on."""
        import grain

        cache = self.teacher.opened(teacher_cache, split, teacher, teacher.tokenizer())
        pairs = grain.MapDataset.source(self.pairs(split, student, teacher))
        stream = packing.each_once(pairs, features, budgets=self._budgets(), rows=self.student.rows)
        return list(stream.map(Assemble(rows=slice(None), cache=cache, matched=False)))

    def example_stream(self, split: Split, student: Reader, teacher: Reader, seed: int) -> "grain.IterDataset":
        """An endless shuffled stream of the pairs of a global batch: of prompts that a student answers itself."""
        return packing.example_batches(self.pairs(split, student, teacher), rows=self.student.rows, seed=seed)

    def by_index(self, split: Split, student: Reader, teacher: Reader) -> dict[int, Pair]:
        """The pairs of `example_stream` by the index that the student's side of each has."""
        return {pair.student.index: pair for pair in self.pairs(split, student, teacher)}

    def answered(self, pair: Pair, answer: chat.Answer, student: Reader, teacher: Reader) -> Pair:
        """The pair with another answer of the student's, which the teacher reads in its own tokens.

        The teacher reads the text that the student's tokens spell; where they do not spell any, as half a character
        does not, it reads what comes before.  What it has no room for is cut.  Tokens that one side alone has are
        aligned with nothing.
        """
        ours = chat.answered(pair.student, answer)
        written = answer.tokens[:-1] if answer.ended else answer.tokens
        text, spans = decoded_text.spelled(student.tokenizer(), written)
        whole = answer.ended and len(spans) == len(written)
        theirs, their_spans = self._read(pair.teacher, text, teacher, ended=whole)
        our_spans = self.seen(spans, text, ended=whole)
        nothing = np.full((len(answer.tokens) - len(our_spans), 2), len(text.encode()), np.int32)
        mapping = None if pair.matched is None else vocabulary_mapping.mapping(student, teacher)
        return Pair(
            student=ours,
            teacher=theirs,
            student_spans=np.concatenate([our_spans, nothing]),
            teacher_spans=their_spans,
            matched=None
            if mapping is None
            else _matched(mapping, student.tokenizer(), ours, teacher.tokenizer(), theirs),
        )

    def _read(self, example: Tokenized, text: str, teacher: Reader, *, ended: bool) -> tuple[Tokenized, Spans]:
        """The teacher's side of an answer, as far as there is room; at least an end, which then stands for nothing."""
        tokenizer = teacher.tokenizer()
        try:
            ids, spans = byte_spans.encode(tokenizer, text)
        except ValueError:
            # Characters that the teacher's tokenizer does not have.
            ids, spans, ended = [], np.zeros((0, 2), np.int32), False
        room = min(teacher.config().max_positions - example.prompt_length, self.teacher.length)
        if len(ids) >= room:
            ids, spans, ended = ids[:room], spans[:room], False
        end = chat.end_of_turn(tokenizer, self.teacher.template)
        if not ids and not ended:
            return chat.answered(example, chat.Answer(tokens=(end,), ended=False)), np.zeros((1, 2), np.int32)
        answer = chat.Answer(tokens=(*ids, *([end] if ended else ())), ended=ended)
        return chat.answered(example, answer), self.seen(spans, text, ended=ended)

    def seen(self, spans: Spans, text: str, *, ended: bool) -> Spans:
        """The spans that are aligned, with that of the end."""
        if self.spaces == "ignored":
            spans = byte_spans.without_leading_space(spans, text)
        return byte_spans.with_end(spans, text) if ended else spans

    @property
    def of_student(self) -> PackedText:
        """The text as the student reads it."""
        return self.student

    def read_by_student(self, example: Pair) -> Tokenized:
        """An example of `example_stream` in the student's tokens."""
        return example.student

    def reshaped(self, shape: Callable[[PackedText], PackedText]) -> "PairedText":
        """With rows of another shape, which `shape` decides for each tokenizer's."""
        return dataclasses.replace(self, student=shape(self.student), teacher=shape(self.teacher))

    def lengths(self, examples: Sequence[Pair]) -> dict[str, int]:
        """What rows must hold at least for `batch_of`."""
        return packing.longest([features(pair) for pair in examples])

    def batch_of(self, examples: Sequence[Pair], budgets: Mapping[str, int]) -> PairedBatch:
        """Each pair in a row of its own; arguments and errors as of `PackedText.batch_of`."""
        packed = packing.one_a_row([features(pair) for pair in examples], budgets=budgets)
        return Assemble(rows=slice(None), cache=None, matched=examples[0].matched is not None)(packed)

    def _budgets(self) -> dict[str, int]:
        return {
            "tokens": self.student.length,
            "targets": self.student.targets,
            f"{TEACHER}tokens": self.teacher.length,
            f"{TEACHER}targets": self.teacher.targets,
        }

    def abstract_batch(self, *, teacher_width: int | None = None) -> PairedBatch:
        """Shapes and dtypes of one global batch."""
        student, teacher = self.student.abstract_batch(), self.teacher.abstract_batch(teacher_width=teacher_width)

        def spans(labels: jax.Array) -> TokenSpans:
            place: Any = jax.ShapeDtypeStruct(labels.shape, jnp.int32)
            return TokenSpans(starts=place, ends=place, segment_ids=place)

        return PairedBatch(
            student=student,
            teacher=teacher,
            student_spans=spans(student.labels),
            teacher_spans=spans(teacher.labels),
            teacher_positions=None if self.match == "none" else student.labels,
        )

    def require_readers(self, student: Reader, teacher: Reader, *, method: str) -> None:
        """Refuse rows that are longer than a model was made for, and a checkpoint that cannot read them.

        Raises:
            ValueError: as `PackedText.check_fits`.
            FileNotFoundError: a checkpoint that is here, without a tokenizer.
        """
        del method  # any two vocabularies will do
        for text, checkpoint in ((self.student, student), (self.teacher, teacher)):
            text.check_fits(checkpoint.config())
            if not checkpoint.planned:
                checkpoint.tokenizer()


@functools.lru_cache(maxsize=4)
def _pairs(text: PairedText, split: Split, student_checkpoint: Reader, teacher_checkpoint: Reader) -> list[Pair]:
    """Once per process: the stages of a study read the same text many times."""
    student, teacher = student_checkpoint.tokenizer(), teacher_checkpoint.tokenizer()
    mapping = None if text.match == "none" else vocabulary_mapping.mapping(student_checkpoint, teacher_checkpoint)
    ours = {example.key: example for example in text.student.tokenized(split, student)}
    theirs = {example.key: example for example in text.teacher.tokenized(split, teacher)}
    responses = {
        example.key: example.response for example in subset(text.student.source.examples(split), text.student.limit)
    }
    kept = [key for key in ours if key in theirs]
    if not kept:
        raise ValueError(
            f"examples must hold one that fits into the rows of student and teacher, got {len(ours)} that fit the "
            f"student's and {len(theirs)} that fit the teacher's in the {split} split. Raise length and targets."
        )
    alone = len(ours) + len(theirs) - 2 * len(kept)
    _log.info("%s: %d examples for student and teacher, %d for one alone", split, len(kept), alone)
    pairs, refusals = [], []
    with progress(len(kept), "pairs of tokenizations") as bar:
        for number, key in enumerate(kept, 1):
            bar.update(number)
            try:
                student_spans = _spans(text, student, ours[key], responses[key])
                teacher_spans = _spans(text, teacher, theirs[key], responses[key])
            except ValueError as refusal:
                refusals.append(f"example {key}: {refusal}")
                continue
            pairs.append(
                Pair(
                    student=ours[key],
                    teacher=theirs[key],
                    student_spans=student_spans,
                    teacher_spans=teacher_spans,
                    matched=None if mapping is None else _matched(mapping, student, ours[key], teacher, theirs[key]),
                )
            )
    if not pairs:
        raise ValueError(
            f"examples must hold a response that the tokens of student and teacher spell, got none in the {split} "
            f"split. The first: {refusals[0]}"
        )
    _warn(split, pairs, refusals)
    return pairs


def _warn(split: Split, pairs: Sequence[Pair], refusals: Sequence[str]) -> None:
    """Of responses that are left out, and of those from which a method learns nothing of the teacher."""
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
    """Of the text: any two ends are one."""
    ours, theirs = (
        {tuple(span) for span in (spans[:-1] if side.ended else spans).tolist()}
        for side, spans in ((pair.student, pair.student_spans), (pair.teacher, pair.teacher_spans))
    )
    return any(start < end for start, end in ours & theirs)


def _spans(text: PairedText, tokenizer: "PreTrainedTokenizerBase", example: Tokenized, response: str) -> Spans:
    """Of the targets; a response that was cut has no end."""
    targets = example.tokens[example.prompt_length :].tolist()
    found = byte_spans.spans(tokenizer, targets[:-1] if example.ended else targets, response)
    return text.seen(found, response, ended=example.ended)


def _matched(
    mapping: VocabularyMapping,
    student: "PreTrainedTokenizerBase",
    ours: Tokenized,
    teacher: "PreTrainedTokenizerBase",
    theirs: Tokenized,
) -> Int[np.ndarray, " k"]:
    """By the tokens that go in where a target is predicted, as MinED does."""
    our_ids, their_ids = (one.tokens[one.prompt_length - 1 : -1] for one in (ours, theirs))
    our_texts, their_texts = _texts(student), _texts(teacher)
    costs = edit_distance.edit_costs([our_texts[id] for id in our_ids], [their_texts[id] for id in their_ids])
    path = edit_distance.warped(costs)
    return edit_distance.aligned_positions(path, our_ids, their_ids, mapping.student_of_teacher)


@functools.lru_cache(maxsize=8)
def _texts(tokenizer: "PreTrainedTokenizerBase") -> dict[int, bytes]:
    """What tokens stand for without spaces."""
    return {index: text.replace(b" ", b"") for index, text in vocabulary.token_bytes(tokenizer).items()}
