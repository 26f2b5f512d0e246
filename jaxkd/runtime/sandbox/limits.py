"""Limits of a program."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what one program may use.

    Raises:
        ValueError: a limit is not positive.
    """

    seconds: float = 10.0
    """Wall-clock time, with the start of Python."""
    cpu_seconds: int = 10
    """CPU time of each process, with the start of Python."""
    memory_mib: int = 512
    """Address space of each process, and resident memory of all together, in MiB."""
    processes: int = 1
    """Processes at a time, the program itself included.  With 1, starting another is denied; more need seccomp."""
    output_bytes: int = 64 << 10
    """Bytes written to stdout and stderr together."""
    file_bytes: int = 1 << 20
    """Size of each file, and of all files together."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value <= 0 or (field.type is int and value != int(value)):
                kind = "a positive integer" if field.type is int else "positive"
                raise ValueError(f"{field.name} must be {kind}, got {value!r}. Leave it out for {field.default!r}.")
