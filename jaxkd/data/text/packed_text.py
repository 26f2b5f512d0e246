"""Text as a training stream: source, template and shape of a packed batch."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.data.examples import Example, Source, subset
from jaxkd.data.text import chat, packing
from jaxkd.records import TokenBatch
from jaxkd.runtime.hidden_cache import HiddenCache
from jaxkd.sharding import WHOLE, Share
from jaxkd.tokenizers import loading, vocabulary
from jaxkd.tokenizers.reader import ModelLimits, Reader
from jaxkd.typing import Split

if TYPE_CHECKING:
    import grain
    from transformers import PreTrainedTokenizerBase


_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedText:
    """Examples of a source, rendered, tokenized and packed into rows of fixed size."""

    source: Source
    """Source of the examples."""
    rows: int = 8
    """Rows of a global batch: one optimizer step, however it is split."""
    length: int = 512
    """Tokens per row, prompt and response together."""
    targets: int = 384
    """Response tokens per row: the positions that reach the prediction head."""
    limit: int | None = None
    """Maximum number of examples, selected by a hash of their keys; None keeps all."""
    template: Literal["chat", "plain"] = "chat"
    """Rendering of a prompt: by the tokenizer's chat template, or as plain text, which needs none."""
    overlong: Literal["drop", "truncate"] = "drop"
    """Treatment of an example that does not fit into a row, counted either way."""
    max_prompt: int | None = None
    """Length in tokens to which longer prompts are cut, and counted; None: no limit."""
    keep_prompt: Literal["first", "last"] = "last"
    """Part of a longer prompt to keep.  The last tokens lead up to the response; DSKD keeps the first."""
    control_tokens: Literal["text", "allow"] = "text"
    """Whether a control token that a text spells out, as `<|im_end|>`, is read as text, or as the control token."""

    def tokenized(self, split: Split, tokenizer: "PreTrainedTokenizerBase") -> list[chat.Tokenized]:
        """Tokenize the examples of a split; logs how many were kept and dropped."""
        return _tokenized(self, split, tokenizer)

    def prompts(self, split: Split, tokenizer: "PreTrainedTokenizerBase") -> list[chat.Tokenized]:
        """Tokenize what a model answers in a split: `tokenized`, and the prompts of examples without a response.

        Raises:
            ValueError: as `tokenized`, or a prompt without a response that exceeds `length`.
        """
        examples = subset(self.source.examples(split), self.limit)
        alone = [example for example in examples if not example.response.strip()]
        found = {} if len(alone) == len(examples) else {one.key: one for one in self.tokenized(split, tokenizer)}
        if alone:
            found |= {one.key: one for one in _prompts_alone(self, alone, tokenizer)}
        kept = [found[example.key] for example in examples if example.key in found]
        return [dataclasses.replace(one, index=index) for index, one in enumerate(kept)]

    def identity(self, split: Split, model: Reader, tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
        """Hash all that determines a model's hidden states on this text: the key of a cache."""
        return {
            "model": model.fingerprint(),
            "tokenizer": loading.fingerprint(tokenizer),
            "data": chat.fingerprint(self.tokenized(split, tokenizer)),
            "template": chat.template_fingerprint(tokenizer, self.template),
        }

    def check_fits(self, model: ModelLimits) -> None:
        """Reject rows longer than a model's maximum sequence length.

        Raises:
            ValueError: a position table would be read beyond its end, which JAX does silently.
        """
        if self.length > model.max_positions:
            raise ValueError(
                f"data.length must be at most the {model.max_positions} positions of the model, got {self.length}."
            )

    def require_readers(self, student: Reader, teacher: Reader, *, method: str) -> None:
        """Reject a student and a teacher that cannot both read this text in shared tokens, as `method` does.

        Raises:
            ValueError: as `check_fits`, or vocabularies that differ in more than padding.
        """
        for model in (student, teacher):
            self.check_fits(model.config())
        vocabulary.require_shared(student, teacher, method=method)

    def training_stream(
        self,
        split: Split,
        tokenizer: "PreTrainedTokenizerBase",
        seed: int,
        *,
        cache: packing.Teacher | None = None,
        share: Share = WHOLE,
    ) -> "grain.IterDataset":
        """Return a share of the rows of an endless shuffled stream of global batches."""
        return packing.train_batches(
            self.tokenized(split, tokenizer),
            rows=self.rows,
            length=self.length,
            targets=self.targets,
            seed=seed,
            teacher=cache,
            share=share,
        )

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
        """Return `training_stream` for a student and a teacher of one vocabulary, in the student's tokens.

        Args:
            split: split of the source.
            student: checkpoint whose tokenizer reads the text.
            teacher: checkpoint that the cache was made from.
            seed: random seed of the order.
            teacher_cache: folder of the teacher's hidden states.
            share: share of the rows of each global batch.

        Raises:
            ValueError: a token that one of the heads lacks, or a cache of something else.
        """
        tokenizer = student.tokenizer()
        self._require_shared_tokens(split, tokenizer, vocabulary.common_prefix_size(student, teacher))
        cache = self.opened(teacher_cache, split, teacher, tokenizer)
        return self.training_stream(split, tokenizer, seed, cache=cache, share=share)

    def _require_shared_tokens(self, split: Split, tokenizer: "PreTrainedTokenizerBase", size: int) -> None:
        """Reject a text with a token beyond the shared rows: JAX would silently read another row."""
        for example in self.tokenized(split, tokenizer):
            if (token := int(example.tokens.max())) >= size:
                raise ValueError(
                    f"every token of the text must be among the {size} that student and teacher share, got {token} "
                    f"({tokenizer.convert_ids_to_tokens(token)!r}) in example {example.key} of the {split} split. "
                    "Take it out of the text, or out of the student's tokenizer."
                )

    def opened(
        self, teacher_cache: str | None, split: Split, teacher: Reader, tokenizer: "PreTrainedTokenizerBase"
    ) -> HiddenCache | None:
        """Open the hidden states that a `Cache` stage stored for this text; None without a folder.

        Raises:
            FileNotFoundError: a folder without a cache.
            ValueError: a cache of something else.
        """
        if teacher_cache is None:
            return None
        return HiddenCache(Path(teacher_cache), self.identity(split, teacher, tokenizer))

    def each_once(
        self, split: Split, tokenizer: "PreTrainedTokenizerBase", *, cache: HiddenCache | None = None
    ) -> list[TokenBatch]:
        """Return batches that hold each example of a split once: for evaluation, not training."""
        return list(
            packing.evaluation_batches(
                self.tokenized(split, tokenizer),
                rows=self.rows,
                length=self.length,
                targets=self.targets,
                teacher=cache,
            )
        )

    def example_stream(self, split: Split, student: Reader, teacher: Reader, seed: int) -> "grain.IterDataset":
        """Return an endless shuffled stream of global batches of examples, for rollouts of the student.

        Raises:
            ValueError: as `distillation_stream`.
        """
        tokenizer = student.tokenizer()
        self._require_shared_tokens(split, tokenizer, vocabulary.common_prefix_size(student, teacher))
        return packing.example_batches(self.tokenized(split, tokenizer), rows=self.rows, seed=seed)

    def by_index(self, split: Split, student: Reader, teacher: Reader) -> dict[int, chat.Tokenized]:
        """Return the examples of `example_stream` by the index of their student's side."""
        del teacher  # reads the same tokens
        return {example.index: example for example in self.tokenized(split, student.tokenizer())}

    def answered(
        self, example: chat.Tokenized, answer: chat.Answer, student: Reader, teacher: Reader
    ) -> chat.Tokenized:
        """Replace the response of an example by `answer`."""
        del student, teacher  # both read the same tokens
        return chat.answered(example, answer)

    @property
    def student_text(self) -> "PackedText":
        """The text as the student reads it."""
        return self

    def read_by_student(self, example: chat.Tokenized) -> chat.Tokenized:
        """Return an example of `example_stream` in the student's tokens."""
        return example

    def reshaped(self, shape: Callable[["PackedText"], "PackedText"]) -> "PackedText":
        """Change the shape of the rows by `shape`, for each tokenizer's text."""
        return shape(self)

    def lengths(self, examples: Sequence[chat.Tokenized]) -> dict[str, int]:
        """Return the minimum budgets for `batch_of`."""
        return packing.longest([packing.features(example) for example in examples])

    def batch_of(self, examples: Sequence[chat.Tokenized], budgets: Mapping[str, int]) -> TokenBatch:
        """Return a batch with one example per row.

        Args:
            examples: one or more examples.
            budgets: length of each array in a row, by the names of `lengths`.

        Raises:
            ValueError: a budget that is shorter than an example.
        """
        return packing.assembled(
            packing.one_a_row([packing.features(example) for example in examples], budgets=budgets)
        )

    def abstract_batch(self, *, teacher_width: int | None = None) -> TokenBatch:
        """Return the shapes and dtypes of one global batch."""
        tokens = jax.ShapeDtypeStruct((self.rows, self.length), jnp.int32)
        targets = jax.ShapeDtypeStruct((self.rows, self.targets), jnp.int32)
        fields: dict[str, Any] = dict.fromkeys(("tokens", "positions", "segment_ids"), tokens)
        fields |= dict.fromkeys(("target_positions", "labels", "example_ids"), targets)
        fields["loss_mask"] = jax.ShapeDtypeStruct(targets.shape, np.bool_)
        if teacher_width is not None:
            fields["teacher"] = jax.ShapeDtypeStruct((*targets.shape, teacher_width), jnp.float32)
        return TokenBatch(**fields)


@functools.lru_cache(maxsize=8)
def _tokenized(text: PackedText, split: Split, tokenizer: "PreTrainedTokenizerBase") -> list[chat.Tokenized]:
    """Tokenize once per process: the stages of a study read the same text often."""
    tokenized, report = chat.tokenize(
        subset(text.source.examples(split), text.limit),
        tokenizer,
        max_length=text.length,
        max_response=text.targets,
        overlong=text.overlong,
        template=text.template,
        max_prompt=text.max_prompt,
        keep_prompt=text.keep_prompt,
        control_tokens=text.control_tokens,
    )
    _log.info("%s: %s", split, report)
    return tokenized


def _prompts_alone(
    text: PackedText, examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase"
) -> list[chat.Tokenized]:
    """Tokenize examples without a response."""
    whole = [
        chat.prompt_tokens(example, tokenizer, text.template, control_tokens=text.control_tokens)
        for example in examples
    ]
    size = text.max_prompt
    prompts = [ids if size is None else chat.cut_prompt(ids, size, text.keep_prompt, tokenizer) for ids in whole]
    beyond = [index for index, ids in enumerate(prompts) if len(ids) > text.length]
    if beyond:
        longest = max(beyond, key=lambda index: len(prompts[index]))
        turn = _turn_beyond(text, examples[longest], len(prompts[longest]), tokenizer)
        raise ValueError(
            f"a conversation must fit into data.length={text.length} tokens for one more answer, got "
            f"{len(prompts[longest])} in {examples[longest].key!r}, which does not fit from {turn} on; {len(beyond)} "
            f"of {len(examples)} are too long. Raise data.length, let the earlier answers be shorter, or cut with "
            "data.max_prompt."
        )
    cut = sum(len(ids) < len(before) for ids, before in zip(prompts, whole, strict=True))
    _log.info("%d prompts without a response (%d tokens, %d cut)", len(prompts), sum(map(len, prompts)), cut)
    return [
        chat.Tokenized(
            index=index,
            key=example.key,
            tokens=np.asarray(ids, np.int32),
            prompt_length=len(ids),
            response_bytes=None,
            ended=False,
        )
        for index, (example, ids) in enumerate(zip(examples, prompts, strict=True))
    ]


def _turn_beyond(text: PackedText, example: Example, size: int, tokenizer: "PreTrainedTokenizerBase") -> str:
    """Name the turn with which a prompt of `size` tokens exceeds the length; the template's tokens count first."""
    turns = [
        len(chat.response_tokens(content, tokenizer, control_tokens=text.control_tokens))
        for _, content in example.messages
    ]
    used = np.cumsum(turns) + max(size - sum(turns), 0)
    place = min(int(np.searchsorted(used, text.length, side="right")), len(turns) - 1)
    tokens = "1 token" if turns[place] == 1 else f"{turns[place]} tokens"
    return f"turn {place + 1} of {len(turns)} ({example.messages[place][0]}, {tokens})"
