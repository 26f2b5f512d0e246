"""Rollout reuse: a student writes once for the batches of several steps, and each of them learns from its part.

Many answers are sampled together in little more time than a few, and the steps in between need not wait for any.  The
price is their age: the last step of a cycle learns from a student that has since been updated.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from jaxkd.data.text.chat import Answer
from jaxkd.on_policy import replay_buffer
from jaxkd.on_policy.mode import RolloutMode, Student
from jaxkd.on_policy.rollouts import Rollouts
from jaxkd.on_policy.sampled_prompts import sampled_prompts
from jaxkd.on_policy.schedule import Ramp
from jaxkd.records import Rollout, Variables
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

CYCLE = "cycle"
"""Name in the rollout state of the answers of the cycle that is under way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CycleStep:
    """One step within a cycle."""

    batches: tuple[tuple[Any, ...], ...]
    """Examples of each step of the cycle."""
    number: int
    """Index of this step among them, from 0: the age of its answers, in steps."""

    @property
    def examples(self) -> tuple[Any, ...]:
        """Examples of this step."""
        return self.batches[self.number]

    @property
    def cycle(self) -> tuple[Any, ...]:
        """Examples of all steps, one batch after the other."""
        return tuple(example for batch in self.batches for example in batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reuse(RolloutMode):
    """The student answers the prompts of `every` batches at once; each step learns from its part."""

    rollouts: Rollouts
    fraction: float | Ramp
    """Share of the prompts that it answers."""
    every: int
    """Steps of a cycle, at least 1."""

    def initial(self) -> Params:
        return {CYCLE: self._empty()}

    def batches(self, batches: "grain.IterDataset") -> "grain.IterDataset":
        return cycle_steps(batches, self.every)

    def rollout(self, variables: Variables, student: Student, batch: CycleStep, key: Key) -> Rollout:
        buffer = variables.rollout_state[CYCLE] if batch.number else self._sampled(variables, student, batch.cycle, key)
        rollout = self.rollouts.assembled(batch.examples, answers(buffer, batch))
        metrics = rollout.metrics | {"rollout/age": float(batch.number)}
        return dataclasses.replace(rollout, metrics=metrics, rollout_state={CYCLE: buffer})

    def _sampled(self, variables: Variables, student: Student, examples: tuple[Any, ...], key: Key) -> Params:
        """Answers to the prompts of a whole cycle, without a token where none was sampled."""
        ids = self.rollouts.ids(examples)
        sampled = sampled_prompts(self.fraction, ids, int(variables.step), key)
        found = self.rollouts.generated(student(), examples, key, sampled=sampled)
        whole = [found.get(position, Answer(tokens=(), ended=False)) for position in range(len(examples))]
        return replay_buffer.added(self._empty(), ids, whole)

    def _empty(self) -> Params:
        rows = self.every * self.rollouts.text.of_student.rows
        return replay_buffer.empty(rows, max_new_tokens=self.rollouts.max_new_tokens)


def cycle_steps(batches: "grain.IterDataset", steps: int) -> "grain.IterDataset":
    """An endless stream of batches of examples, as steps of cycles of that length."""
    import grain

    class Repeated(grain.experimental.FlatMapTransform):
        """A cycle as often as it has steps, each time with the next one's number."""

        max_fan_out = steps

        def flat_map(self, element: tuple[tuple[Any, ...], ...]) -> list[CycleStep]:
            return [CycleStep(batches=element, number=number) for number in range(steps)]

    return grain.experimental.FlatMapIterDataset(batches.batch(steps, batch_fn=tuple), Repeated())


def answers(buffer: Params, step: CycleStep) -> dict[int, Answer]:
    """Answers of one step out of a buffer that holds its cycle, by the position of their example in the batch.

    An answer without a token stands for a prompt that was not sampled.
    """
    first = step.number * len(step.examples)
    found = {position: replay_buffer.answer(buffer, first + position)[1] for position in range(len(step.examples))}
    return {position: answer for position, answer in found.items() if answer.tokens}
