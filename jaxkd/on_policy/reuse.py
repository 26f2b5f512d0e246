"""Rollout reuse: a student answers the prompts of several steps at once, and each step learns from its part.

Sampling many answers together takes little longer than a few, and the steps in between need not wait.  The price is
staleness: the last step of a cycle learns from answers of a student that has since been updated.
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
"""Name of the answers of the current cycle in the rollout state."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CycleStep:
    """One step within a cycle."""

    batches: tuple[tuple[Any, ...], ...]
    """Examples of each step of the cycle."""
    number: int
    """Index of this step in the cycle, from 0: the age of its answers, in steps."""

    @property
    def examples(self) -> tuple[Any, ...]:
        """Examples of this step."""
        return self.batches[self.number]

    @property
    def cycle(self) -> tuple[Any, ...]:
        """Examples of all steps, batch after batch."""
        return tuple(example for batch in self.batches for example in batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reuse(RolloutMode):
    """Mode in which the student answers the prompts of `every` batches at once; each step learns from its part."""

    rollouts: Rollouts
    fraction: float | Ramp
    """Share of the prompts that the student answers."""
    every: int
    """Number of steps in a cycle, at least 1."""

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
        """Sample answers to the prompts of a whole cycle; the answer of an unsampled prompt is empty."""
        ids = self.rollouts.ids(examples)
        sampled = sampled_prompts(self.fraction, ids, int(variables.step), key)
        found = self.rollouts.generated(student(), examples, key, sampled=sampled)
        whole = [found.get(position, Answer(tokens=(), ended=False)) for position in range(len(examples))]
        return replay_buffer.added(self._empty(), ids, whole)

    def _empty(self) -> Params:
        rows = self.every * self.rollouts.text.student_text.rows
        return replay_buffer.empty(rows, max_new_tokens=self.rollouts.max_new_tokens)


def cycle_steps(batches: "grain.IterDataset", steps: int) -> "grain.IterDataset":
    """Turn an endless stream of batches of examples into steps of cycles of length `steps`."""
    import grain

    class Repeated(grain.experimental.FlatMapTransform):
        """Repeat each cycle once per step, with the number of the step."""

        max_fan_out = steps

        def flat_map(self, element: tuple[tuple[Any, ...], ...]) -> list[CycleStep]:
            return [CycleStep(batches=element, number=number) for number in range(steps)]

    return grain.experimental.FlatMapIterDataset(batches.batch(steps, batch_fn=tuple), Repeated())


def answers(buffer: Params, step: CycleStep) -> dict[int, Answer]:
    """Return the answers of one step from its cycle's buffer, by the position of their example in the batch.

    Empty answers are left out: their prompts were not sampled.
    """
    first = step.number * len(step.examples)
    found = {position: replay_buffer.answer(buffer, first + position)[1] for position in range(len(step.examples))}
    return {position: answer for position, answer in found.items() if answer.tokens}
