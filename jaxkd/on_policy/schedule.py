"""Schedules of hyper-parameters that change during a run."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ramp:
    """Linear ramp from one value to another over a number of steps, then constant.

    Example:
        >>> [Ramp(start=0.0, end=1.0, steps=4).at(step) for step in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
    """

    start: float
    """Value at step 0."""
    end: float
    """Value from step `steps` on."""
    steps: int
    """Number of steps of the ramp."""

    def at(self, step: int) -> float:
        """Return the value at `step`."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)
