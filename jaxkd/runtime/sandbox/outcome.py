"""Outcome of a program's run."""

import dataclasses
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["passed", "failed", "out_of_time", "out_of_memory", "too_much_output", "refused"]
"""Judgement of a run:

- `passed`: the last line of the program ran, and nothing was refused.
- `failed`: an exception, a signal, or an end before the last line, whatever the exit status.
- `out_of_time`: the wall-clock or CPU time was used up.
- `out_of_memory`: an uncaught `MemoryError`, or the processes together held too much.
- `too_much_output`: too many bytes were printed or written to files, or too many files made.
- `refused`: the program tried what it may not do (a socket, a file outside its folder, another process, ...), whether
  or not it caught the error and went on, or had too many processes or threads.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of running one program."""

    verdict: Verdict
    reason: str
    """Exception, signal, limit or refused event; empty if it passed."""
    seconds: float
    """Wall-clock time, with the start of Python."""
    output: str
    """End of what the program printed to stdout and stderr, at most 4 KiB."""

    @property
    def passed(self) -> bool:
        """Whether the program ran to its last line and did nothing that is refused."""
        return self.verdict == "passed"
