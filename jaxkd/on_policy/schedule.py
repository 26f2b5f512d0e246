"""A hyper-parameter that changes while a run goes on."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ramp:
    """From one value to another over some steps in a straight line, and from then on the latter.

    Example:
        >>> [Ramp(start=0.0, end=1.0, steps=4).at(step) for step in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
    """

    start: float
    end: float
    steps: int

    def at(self, step: int) -> float:
        """The value for the step after so many."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)
