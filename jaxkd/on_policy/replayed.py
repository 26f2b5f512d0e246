"""Answers of the data, new ones, or those of a replay buffer, as DistiLLM's schedule decides."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from jaxkd.on_policy import replay_buffer
from jaxkd.on_policy.mode import RolloutMode, Student
from jaxkd.on_policy.replay import Replay
from jaxkd.on_policy.rollouts import Rollouts
from jaxkd.records import Rollout, Variables
from jaxkd.typing import Key, Params

REPLAY = "replay"
"""Name of the replay buffer and the schedule's values in the rollout state."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replayed(RolloutMode):
    """Mode in which each step learns from one source, sampled by a `Replay`."""

    rollouts: Rollouts
    schedule: Replay

    def initial(self) -> Params:
        return {REPLAY: self.schedule.initial(self.rollouts.max_new_tokens)}

    def rollout(self, variables: Variables, student: Student, batch: tuple[Any, ...], key: Key) -> Rollout:
        own, buffers = self.rollouts, variables.rollout_state[REPLAY]
        source = self.schedule.source(buffers, int(variables.step), jax.random.fold_in(key, 2))
        match source:
            case "data":
                rollout = own.assembled(batch, {})
            case "new":
                answers = own.generated(student(), batch, key)
                buffers = replay_buffer.added(buffers, own.ids(batch), list(answers.values()))
                rollout = own.assembled(batch, answers)
            case "replayed":
                drawn = replay_buffer.drawn(buffers, len(batch), jax.random.fold_in(key, 3))
                by_index = own.text.by_index("train", own.student, own.teacher)
                examples = [by_index[index] for index, _ in drawn]
                answers = {position: answer for position, (_, answer) in enumerate(drawn)}
                rollout = own.assembled(examples, answers, off_policy=batch)
        chosen = {f"rollout/{name}": float(source == name) for name in ("new", "replayed")}
        metrics = rollout.metrics | chosen | {"rollout/phi": float(buffers["phi"])}
        return dataclasses.replace(rollout, metrics=metrics, rollout_state={REPLAY: buffers})

    def validated(self, rollout_state: Params, metrics: Mapping[str, float]) -> Params:
        return {REPLAY: self.schedule.validated(rollout_state[REPLAY], metrics)}
