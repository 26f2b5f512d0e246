"""Rounds: a student writes once for the batches of several steps, and each of them learns from its part.

Many answers are written together in little more time than a few, and the steps in between need not wait for any.  The
price is their age: the last step of a round learns from a student that has since been updated.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from jaxkd.data.text.chat import Answer
from jaxkd.on_policy import replay_buffer
from jaxkd.typing import Params

if TYPE_CHECKING:
    import grain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """One step's turn in a round."""

    batches: tuple[tuple[Any, ...], ...]
    """Examples of each step of the round."""
    number: int
    """Of this step among them, from 0: the age of its answers."""

    @property
    def examples(self) -> tuple[Any, ...]:
        """Of this step."""
        return self.batches[self.number]

    @property
    def round(self) -> tuple[Any, ...]:
        """Examples of all steps, one behind the other."""
        return tuple(example for batch in self.batches for example in batch)


def turns(batches: "grain.IterDataset", steps: int) -> "grain.IterDataset":
    """An endless stream of batches of examples, as turns in rounds of so many steps."""
    import grain

    class Repeated(grain.experimental.FlatMapTransform):
        """A round as often as it has steps, each time with the next one's turn."""

        max_fan_out = steps

        def flat_map(self, element: tuple[tuple[Any, ...], ...]) -> list[Turn]:
            return [Turn(batches=element, number=number) for number in range(steps)]

    return grain.experimental.FlatMapIterDataset(batches.batch(steps, batch_fn=tuple), Repeated())


def answers(buffer: Params, turn: Turn) -> dict[int, Answer]:
    """Of a buffer that holds a round: those of a turn, by the place of their example in its batch.

    An answer without a token stands for a prompt that was not asked.
    """
    first = turn.number * len(turn.examples)
    found = {place: replay_buffer.answer(buffer, first + place)[1] for place in range(len(turn.examples))}
    return {place: answer for place, answer in found.items() if answer.tokens}
