"""Rollouts: a student answers the prompts of a batch, and the answers become arrays.

A method requests what its loss reads; the samples are a function of the parameters, the examples and the key.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from jaxkd.data.text import chat
from jaxkd.data.text.chat import Answer, Tokenized
from jaxkd.data.text.packed_text import PackedText
from jaxkd.data.text.paired_text import PairedText
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.records import OnPolicyBatch, Rollout, TokenBatch
from jaxkd.sampling import Finish, Mixture, Sampling, bucket, generate
from jaxkd.sampling.degeneration import degeneration
from jaxkd.sharding import Share
from jaxkd.sharding import mesh as meshes
from jaxkd.typing import Key

AS_LEARNT = Sampling(temperature=1.0)
"""Sampling from a model's own distribution, without truncation."""

_LONGEST = 2**20
"""Bound on the tokens of a row: no model has as many positions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rollouts:
    """Settings by which a student answers the prompts of a text, and a step learns from the answers."""

    text: PackedText | PairedText
    student: Pretrained
    teacher: Pretrained
    max_new_tokens: int
    sampling: Sampling = AS_LEARNT
    learn_off_policy: bool = True
    """Whether to learn from the answers of the data too."""
    stop_repeated: float | None = None
    """Mean share of repeated 4-grams in a batch's answers above which the run stops: the student has collapsed."""

    def validate(self) -> None:
        """Reject answers that exceed the positions of a model that reads them.

        Raises:
            ValueError: `max_new_tokens` outside its range.
        """
        readers = [self.student] if isinstance(self.text, PairedText) else [self.student, self.teacher]
        room = min(model.config().max_positions for model in readers) - self.text.student_text.length
        if not 1 <= self.max_new_tokens <= room:
            raise ValueError(
                f"max_new_tokens must be between 1 and {room}, what the models' positions leave beside the length of "
                f"the student's rows, got {self.max_new_tokens}."
            )

    def rollout(
        self,
        model: LanguageModel,
        examples: Sequence[Any],
        key: Key,
        *,
        sampled: Bool[np.ndarray, " b"] | None = None,
        mixture: Mixture | None = None,
    ) -> Rollout:
        """Sample answers to a global batch of examples, and return this process's rows of it.

        Args:
            model: current student.
            examples: examples of all processes' rows.
            key: random key of the step; each answer depends on the key and its example.
            sampled: mask of the prompts to answer, the others keep the answers of the data; None stands for all.
            mixture: second model in the sampling distribution.

        Raises:
            FloatingPointError: answers that repeat themselves more than `stop_repeated` allows.
        """
        return self.assembled(examples, self.generated(model, examples, key, sampled=sampled, mixture=mixture))

    def generated(
        self,
        model: LanguageModel,
        examples: Sequence[Any],
        key: Key,
        *,
        sampled: Bool[np.ndarray, " b"] | None = None,
        mixture: Mixture | None = None,
    ) -> dict[int, Answer]:
        """Sample answers, by the position of their example in the batch; arguments as in `rollout`."""
        prompts = [self.text.read_by_student(example) for example in examples]
        positions = range(len(examples)) if sampled is None else np.flatnonzero(sampled).tolist()
        answers = self.answers(model, [prompts[position] for position in positions], key, mixture)
        return dict(zip(positions, answers, strict=True))

    def assembled(
        self, examples: Sequence[Any], answers: Mapping[int, Answer], *, off_policy: Sequence[Any] | None = None
    ) -> Rollout:
        """Return this process's rows of a global batch of examples, with answers in place of those of the data.

        Args:
            examples: examples of all processes' rows.
            answers: new answers by the position of their example in the batch; other examples keep their own.
            off_policy: examples whose answers of the data are learnt from, by default `examples`.

        Raises:
            FloatingPointError: answers that repeat themselves more than `stop_repeated` allows.
        """
        mine = Share.of_process().rows(len(examples))
        on_policy = list(examples)
        for position, answer in answers.items():
            if mine.start <= position < mine.stop:
                on_policy[position] = self.text.answered(examples[position], answer, self.student, self.teacher)
        found = degeneration(
            [answer.tokens for answer in answers.values()], [answer.ended for answer in answers.values()]
        )
        self._require_text(found)
        metrics = {**found, "share": len(answers) / len(examples)}
        own = examples if off_policy is None else off_policy
        batch = OnPolicyBatch(on_policy=_rows(self.text, on_policy[mine]), off_policy=self._off_policy(own[mine]))
        return Rollout(batch=batch, metrics={f"rollout/{name}": value for name, value in metrics.items()})

    def answers(
        self, model: LanguageModel, examples: Sequence[Tokenized], key: Key, mixture: Mixture | None = None
    ) -> list[Answer]:
        """Sample the student's answer to each prompt."""
        if not examples:
            return []
        end = chat.end_of_turn(model.tokenizer, self.text.student_text.template)
        texts = generate(
            model,
            [example.tokens[: example.prompt_length].tolist() for example in examples],
            max_new_tokens=self.max_new_tokens,
            sampling=self.sampling,
            end_tokens={end, *model.end_tokens},
            key=key,
            example_ids=[example.index for example in examples],
            rows=len(examples),
            mixture=mixture,
        )
        return [Answer(tokens=text.tokens, ended=text.finish != Finish.LENGTH) for text in texts]

    def ids(self, examples: Sequence[Any]) -> list[int]:
        """Return the index of each example in the data."""
        return [self.text.read_by_student(example).index for example in examples]

    def with_room(self, text: PackedText) -> PackedText:
        """Return the text with rows for the longest prompt and the longest answer: the longest possible batch."""
        return dataclasses.replace(
            text,
            length=bucket(text.length + self.max_new_tokens, limit=_LONGEST),
            targets=bucket(max(text.targets, self.max_new_tokens), limit=_LONGEST),
        )

    def abstract_off_policy(self) -> TokenBatch | None:
        """Return shapes and dtypes of the longest batch with the answers of the data."""
        return self.text.student_text.abstract_batch() if self.learn_off_policy else None

    def _off_policy(self, examples: Sequence[Any]) -> TokenBatch | None:
        if not self.learn_off_policy:
            return None
        return _rows(self.text.student_text, [self.text.read_by_student(example) for example in examples])

    def _require_text(self, found: dict[str, float]) -> None:
        if self.stop_repeated is not None and found["repeated"] > self.stop_repeated:
            raise FloatingPointError(
                f"the share of repeated 4-grams in the student's answers must be at most stop_repeated="
                f"{self.stop_repeated}, got {found['repeated']:.3f}. The last checkpoint is from before: lower "
                "learning_rate, sample at temperature 1, or weigh the answers of the data more, and run again."
            )


def _rows(text: PackedText | PairedText, examples: Any) -> Any:
    """Build a batch of one example per row, in arrays of few lengths: each length compiles a step."""
    longest = meshes.over_processes(text.lengths(examples))
    return text.batch_of(examples, {name: bucket(length, limit=_LONGEST) for name, length in longest.items()})
