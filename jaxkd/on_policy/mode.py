"""Rollout modes: when a student's answers are sampled, and which of them a step learns from."""

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.records import Rollout, Variables
from jaxkd.typing import Key, Params

if TYPE_CHECKING:
    import grain

Student: TypeAlias = Callable[[], LanguageModel]
"""Function that returns the current student; called only when it must generate."""


class RolloutMode(abc.ABC):
    """Source of the answers of a step: new ones each time, those of a cycle, or a replay buffer's."""

    def initial(self) -> Params:
        """Return the rollout state before the first step.  Default: none."""
        return {}

    def batches(self, batches: "grain.IterDataset") -> "grain.IterDataset":
        """Turn a stream of batches of examples into the elements that `rollout` takes.  Default: the batches."""
        return batches

    @abc.abstractmethod
    def rollout(self, variables: Variables, student: Student, batch: Any, key: Key) -> Rollout:
        """Return this process's rows of a step's batch, and the rollout state afterwards.

        Args:
            variables: variables before the step.
            student: returns the model that generates.
            batch: element of `batches`.
            key: random key of the step.
        """

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        """Return the rollout state after a validation.  Default: unchanged."""
        del metrics
        return rollout_state
