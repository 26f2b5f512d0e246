"""When a step learns from answers that a student wrote before, and when it writes new ones: DistiLLM's schedule."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import jax
import numpy as np

from jaxkd.on_policy import replay_buffer
from jaxkd.typing import Key, Params

Source = Literal["data", "new", "replayed"]
"""Answers that a step learns from: those of the data, new ones of the student, or those of its replay buffer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """A step learns from answers of the student with probability phi, and else from those of the data.

    The student's are newly written while a buffer is not full, then with probability phi * (1 - step / steps); the
    others are drawn from the buffer.  phi grows where a validation is worse than the one before: the student, trained
    on the data, has come away from what it writes.

    Source: Ko et al., DistiLLM (arXiv 2402.03898), section 3.3 and algorithm 1; checked against
    jongwooko/distillm@d47e77f.  Deviation: the first validation has none before it, where that code validates before
    the first step; a step is one batch, and no answer is twice in it.
    """

    start: float
    """phi at first, in [0, 1].  With 0 only a validation sets it going."""
    steps: int
    """Over which newly written answers give way to replayed ones: those of the run."""
    capacity: int = 1000
    """Answers in the buffer, at least the rows of a batch."""
    increase: float = 0.1
    """What is added to phi, up to 1."""
    metric: str = "bits_per_byte"
    """Of the validation, lower is better."""
    tolerance: float = 0.1
    """By how much a validation may be worse without a change of phi, in units of the metric."""

    def validate(self, *, rows: int) -> None:
        """Refuse what is out of range.

        Raises:
            ValueError: naming the field.
        """
        if not 0 <= self.start <= 1:
            raise ValueError(f"replay.start must be in [0, 1], got {self.start}.")
        if self.steps < 1:
            raise ValueError(f"replay.steps must be at least 1, got {self.steps}. Take the steps of the run.")
        if self.capacity < rows:
            raise ValueError(f"replay.capacity must be at least the {rows} rows of a batch, got {self.capacity}.")
        if not self.increase >= 0:
            raise ValueError(f"replay.increase must be at least 0, got {self.increase}.")

    def initial(self, max_new_tokens: int) -> Params:
        """The buffers before the first step."""
        schedule = {"phi": np.float32(self.start), "validated": np.float32(np.inf)}
        return replay_buffer.empty(self.capacity, max_new_tokens=max_new_tokens) | schedule

    def source(self, buffers: Params, step: int, key: Key) -> Source:
        """Draw what the step learns from."""
        drawn, phi = float(jax.random.uniform(key)), float(buffers["phi"])
        if drawn >= phi:
            return "data"
        full = replay_buffer.size(buffers) == self.capacity
        return "replayed" if full and drawn >= phi * (1 - step / self.steps) else "new"

    def validated(self, buffers: Params, metrics: Mapping[str, float]) -> Params:
        """The buffers after a validation.

        Raises:
            ValueError: a validation without the metric.
        """
        if self.metric not in metrics:
            found = ", ".join(sorted(metrics)) or "of which there is none"
            raise ValueError(f"replay.metric must be one of the validation's, {found}, got {self.metric!r}.")
        loss, phi = metrics[self.metric], float(buffers["phi"])
        worse = loss >= float(buffers["validated"]) + self.tolerance
        grown = min(phi + self.increase, 1.0) if worse else phi
        return dict(buffers) | {"phi": np.float32(grown), "validated": np.float32(loss)}
