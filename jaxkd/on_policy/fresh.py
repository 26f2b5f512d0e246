"""New answers at every step: on-policy distillation as in GKD."""

import dataclasses
from typing import Any

from jaxkd.on_policy.mode import RolloutMode, Student
from jaxkd.on_policy.rollouts import Rollouts
from jaxkd.on_policy.sampled_prompts import sampled_prompts
from jaxkd.on_policy.schedule import Ramp
from jaxkd.records import Rollout, Variables
from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fresh(RolloutMode):
    """Mode in which the student answers the prompts of each batch just before the step that learns from them."""

    rollouts: Rollouts
    fraction: float | Ramp
    """Share of the prompts that the student answers."""

    def rollout(self, variables: Variables, student: Student, batch: tuple[Any, ...], key: Key) -> Rollout:
        sampled = sampled_prompts(self.fraction, self.rollouts.ids(batch), int(variables.step), key)
        return self.rollouts.rollout(student(), batch, key, sampled=sampled)
