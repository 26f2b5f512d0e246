"""DistiLLM's schedule: when a step learns from earlier answers of the student, and when it samples new ones."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import jax
import numpy as np

from jaxkd.on_policy import replay_buffer
from jaxkd.typing import Key, Params

Source = Literal["data", "new", "replayed"]
"""Source of the answers that a step learns from: the data, new samples of the student, or its replay buffer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """Schedule that learns from answers of the student with probability phi, and else from those of the data.

    The student's answers are new until the replay buffer is full, then new with probability phi * (1 - step / steps);
    the others are drawn from the buffer.  phi grows if a validation is worse than the previous one: the student,
    trained on the data, has drifted from its own generations.

    Source: Ko et al., DistiLLM (arXiv 2402.03898), section 3.3 and algorithm 1; checked against
    jongwooko/distillm@d47e77f.  Deviation: the first validation has no previous one, where that code validates before
    the first step; a step is one batch, in which no answer occurs twice.
    """

    start: float
    """Initial phi, in [0, 1].  With 0, only a validation can raise it."""
    steps: int
    """Number of steps over which replayed answers replace new ones: that of the run."""
    capacity: int = 1000
    """Number of answers in the replay buffer, at least the rows of a batch."""
    increase: float = 0.1
    """Increment of phi, which stays at most 1."""
    metric: str = "bits_per_byte"
    """Validation metric that changes phi, lower is better."""
    tolerance: float = 0.1
    """Increase of the metric, in its units, below which phi stays unchanged."""

    def validate(self, *, rows: int) -> None:
        """Reject values out of range.

        Raises:
            ValueError: a value out of range; the message names the field.
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
        """Return the buffers before the first step."""
        schedule = {"phi": np.float32(self.start), "validated": np.float32(np.inf)}
        return replay_buffer.empty(self.capacity, max_new_tokens=max_new_tokens) | schedule

    def source(self, buffers: Params, step: int, key: Key) -> Source:
        """Sample the source of the answers that the step learns from."""
        drawn, phi = float(jax.random.uniform(key)), float(buffers["phi"])
        if drawn >= phi:
            return "data"
        full = replay_buffer.size(buffers) == self.capacity
        return "replayed" if full and drawn >= phi * (1 - step / self.steps) else "new"

    def validated(self, buffers: Params, metrics: Mapping[str, float]) -> Params:
        """Return the buffers after a validation.

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
