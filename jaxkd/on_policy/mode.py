"""When a student's answers are sampled, and which of them a step learns from."""

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.records import Rollout, Variables
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

Student: TypeAlias = Callable[[], LanguageModel]
"""The student as it is now; called only where it has to write."""


class RolloutMode(abc.ABC):
    """One way to come by the answers of a step: new ones each time, those of a cycle, or a replay buffer's."""

    def initial(self) -> Params:
        """Rollout state before the first step.  Default: none."""
        return {}

    def batches(self, batches: "grain.IterDataset") -> "grain.IterDataset":
        """What `rollout` takes, from a stream of batches of examples.  Default: the batches."""
        return batches

    @abc.abstractmethod
    def rollout(self, variables: Variables, student: Student, batch: Any, key: Key) -> Rollout:
        """This process's rows of a step's batch, and the rollout state afterwards.

        Args:
            variables: before the step.
            student: makes the model that writes.
            batch: an element of `batches`.
            key: of the step.
        """

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        """Rollout state after a validation.  Default: as it is."""
        del metrics
        return rollout_state
