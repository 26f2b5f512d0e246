"""Text for two models with different tokenizers: each example in the tokens of both, packed side by side.

An example is in the same row and segment on both sides, so alignment needs only integers: the byte spans of labels.
A row has four budgets: tokens and targets of each side.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.data.examples import subset
from jaxkd.data.text import chat, packing
from jaxkd.data.text.chat import Tokenized
from jaxkd.data.text.packed_text import PackedText
from jaxkd.data.text.pairs.pairing import Pairing, Spaces, warn
from jaxkd.data.text.pairs.rows import TEACHER, AssemblePairs, Pair, features
from jaxkd.records import PairedBatch, TokenSpans
from jaxkd.runtime.progress import progress
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import byte_spans, decoded_text, vocabulary_mapping
from jaxkd.tokenizers.byte_spans import Spans
from jaxkd.tokenizers.reader import Reader
from jaxkd.typing import Split

if TYPE_CHECKING:
    import grain


_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedText:
    """The same examples in the tokens of a student and a teacher with different tokenizers."""

    student: PackedText
    """Text as the student reads it."""
    teacher: PackedText
    """Teacher's text, with the same source, rows and limit; a teacher's cache is made from it."""
    spaces: Spaces = "kept"
    """Spaces before words; "ignored" pairs a word with " word"."""
    match: Literal["none", "edit distance"] = "none"
    """Matching of targets on the host, besides the spans that a jitted loss aligns by; a method that needs it sets it
    itself."""

    def __post_init__(self) -> None:
        for name in ("source", "rows", "limit"):
            ours, theirs = getattr(self.student, name), getattr(self.teacher, name)
            if ours != theirs:
                raise ValueError(
                    f"student and teacher must have the same {name}, got {ours} and {theirs}. Only what belongs to a "
                    "tokenizer may differ: length, targets, template, overlong, max_prompt, keep_prompt and "
                    "control_tokens."
                )

    def pairs(self, split: Split, student: Reader, teacher: Reader) -> list[Pair]:
        """Return examples that both sides kept and whose tokens spell the response; logs the number of others.

        Args:
            split: split of the source.
            student: checkpoint whose tokenizer reads one side.
            teacher: checkpoint for the other side.

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
        """Return a share of the rows of an endless shuffled stream of `PairedBatch`es of NumPy arrays.

        Args:
            split: split of the source.
            student: checkpoint whose tokenizer reads one side.
            teacher: checkpoint for the other side.
            seed: random seed of the order.
            teacher_cache: folder of the teacher's hidden states, written from `self.teacher`.
            share: share of the rows of each global batch.

        Raises:
            ValueError: as `pairs`, a cache of something else, or rows that the processes do not divide.
        """
        import grain

        rows = share.rows(self.student.rows)
        cache = self.teacher.opened(teacher_cache, split, teacher, teacher.tokenizer())
        pairs = self.pairs(split, student, teacher)
        stream = packing.shuffled_rows(grain.MapDataset.source(pairs), features, budgets=self._budgets(), seed=seed)
        assemble = AssemblePairs(rows=rows, cache=cache, matched=self.match != "none")
        return stream.batch(self.student.rows, drop_remainder=True).map(assemble)

    def each_once(
        self, split: Split, student: Reader, teacher: Reader, *, teacher_cache: str | None = None
    ) -> list[PairedBatch]:
        """Return batches that hold each pair of a split once: for evaluation, not training."""
        import grain

        cache = self.teacher.opened(teacher_cache, split, teacher, teacher.tokenizer())
        pairs = grain.MapDataset.source(self.pairs(split, student, teacher))
        stream = packing.each_once(pairs, features, budgets=self._budgets(), rows=self.student.rows)
        return list(stream.map(AssemblePairs(rows=slice(None), cache=cache, matched=False)))

    def example_stream(self, split: Split, student: Reader, teacher: Reader, seed: int) -> "grain.IterDataset":
        """Return an endless shuffled stream of global batches of pairs, for rollouts of the student."""
        return packing.example_batches(self.pairs(split, student, teacher), rows=self.student.rows, seed=seed)

    def by_index(self, split: Split, student: Reader, teacher: Reader) -> dict[int, Pair]:
        """Return the pairs of `example_stream` by the index of their student's side."""
        return {pair.student.index: pair for pair in self.pairs(split, student, teacher)}

    def answered(self, pair: Pair, answer: chat.Answer, student: Reader, teacher: Reader) -> Pair:
        """Replace the student's response by `answer`, which the teacher reads in its own tokens.

        The teacher reads the text that the student's tokens spell, up to the first that spell none, such as half a
        character.  Text that does not fit its rows is cut.  Tokens that only one side has are aligned with nothing.
        """
        pairing = _pairing(self, student, teacher)
        ours = chat.answered(pair.student, answer)
        written = answer.tokens[:-1] if answer.ended else answer.tokens
        text, spans = decoded_text.spelled(pairing.student, written)
        whole = answer.ended and len(spans) == len(written)
        theirs, their_spans = self._read(pair.teacher, text, teacher, pairing, ended=whole)
        our_spans = pairing.seen(spans, text, ended=whole)
        nothing = np.full((len(answer.tokens) - len(our_spans), 2), len(text.encode()), np.int32)
        return Pair(
            student=ours,
            teacher=theirs,
            student_spans=np.concatenate([our_spans, nothing]),
            teacher_spans=their_spans,
            matched=pairing.matched(ours, theirs),
        )

    def _read(
        self, example: Tokenized, text: str, teacher: Reader, pairing: Pairing, *, ended: bool
    ) -> tuple[Tokenized, Spans]:
        """Return the teacher's side of an answer, cut to fit; at least an end, which then has an empty span."""
        try:
            ids = chat.response_tokens(text, pairing.teacher, control_tokens=self.teacher.control_tokens)
            spans = byte_spans.spans(pairing.teacher, ids, text)
        except ValueError:
            # The teacher's tokenizer lacks some characters.
            ids, spans, ended = [], np.zeros((0, 2), np.int32), False
        room = min(teacher.config().max_positions - example.prompt_length, self.teacher.length)
        if len(ids) >= room:
            ids, spans, ended = ids[:room], spans[:room], False
        end = chat.end_of_turn(pairing.teacher, self.teacher.template)
        if not ids and not ended:
            return chat.answered(example, chat.Answer(tokens=(end,), ended=False)), np.zeros((1, 2), np.int32)
        answer = chat.Answer(tokens=(*ids, *([end] if ended else ())), ended=ended)
        return chat.answered(example, answer), pairing.seen(spans, text, ended=ended)

    @property
    def student_text(self) -> PackedText:
        """The text as the student reads it."""
        return self.student

    def read_by_student(self, example: Pair) -> Tokenized:
        """Return an example of `example_stream` in the student's tokens."""
        return example.student

    def reshaped(self, shape: Callable[[PackedText], PackedText]) -> "PairedText":
        """Change the shape of the rows by `shape`, for each tokenizer's text."""
        return dataclasses.replace(self, student=shape(self.student), teacher=shape(self.teacher))

    def lengths(self, examples: Sequence[Pair]) -> dict[str, int]:
        """Return the minimum budgets for `batch_of`."""
        return packing.longest([features(pair) for pair in examples])

    def batch_of(self, examples: Sequence[Pair], budgets: Mapping[str, int]) -> PairedBatch:
        """Return a batch with one pair per row; arguments and errors as in `PackedText.batch_of`."""
        packed = packing.one_a_row([features(pair) for pair in examples], budgets=budgets)
        return AssemblePairs(rows=slice(None), cache=None, matched=examples[0].matched is not None)(packed)

    def _budgets(self) -> dict[str, int]:
        return {
            "tokens": self.student.length,
            "targets": self.student.targets,
            f"{TEACHER}tokens": self.teacher.length,
            f"{TEACHER}targets": self.teacher.targets,
        }

    def abstract_batch(self, *, teacher_width: int | None = None) -> PairedBatch:
        """Return the shapes and dtypes of one global batch."""
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
        """Reject rows longer than a model's maximum sequence length, and a checkpoint without a tokenizer.

        Raises:
            ValueError: as `PackedText.check_fits`.
            FileNotFoundError: a local checkpoint without a tokenizer.
        """
        del method  # any two vocabularies will do
        for text, checkpoint in ((self.student, student), (self.teacher, teacher)):
            text.check_fits(checkpoint.config())
            if not checkpoint.planned:
                checkpoint.tokenizer()


@functools.lru_cache(maxsize=8)
def _pairing(text: PairedText, student: Reader, teacher: Reader) -> Pairing:
    mapping = None if text.match == "none" else vocabulary_mapping.mapping(student, teacher)
    return Pairing(student=student.tokenizer(), teacher=teacher.tokenizer(), spaces=text.spaces, mapping=mapping)


@functools.lru_cache(maxsize=4)
def _pairs(text: PairedText, split: Split, student: Reader, teacher: Reader) -> list[Pair]:
    """Compute `PairedText.pairs` once per process: the stages of a study read the same text often."""
    pairing = _pairing(text, student, teacher)
    ours = {example.key: example for example in text.student.tokenized(split, pairing.student)}
    theirs = {example.key: example for example in text.teacher.tokenized(split, pairing.teacher)}
    responses = {
        example.key: example.response for example in subset(text.student.source.examples(split), text.student.limit)
    }
    fitting = [key for key in ours if key in theirs]
    if not fitting:
        raise ValueError(
            f"examples must hold one that fits into the rows of student and teacher, got {len(ours)} that fit the "
            f"student's and {len(theirs)} that fit the teacher's in the {split} split. Raise length and targets."
        )
    alone = len(ours) + len(theirs) - 2 * len(fitting)
    _log.info("%s: %d examples for student and teacher, %d for one alone", split, len(fitting), alone)
    pairs, refusals = [], []
    with progress(len(fitting), "pairs of tokenizations") as bar:
        for number, key in enumerate(fitting, 1):
            bar.update(number)
            try:
                pairs.append(pairing.pair(ours[key], theirs[key], responses[key]))
            except ValueError as refusal:
                refusals.append(f"example {key}: {refusal}")
    if not pairs:
        raise ValueError(
            f"examples must hold a response that the tokens of student and teacher spell, got none in the {split} "
            f"split. The first: {refusals[0]}"
        )
    warn(split, pairs, refusals)
    return pairs
