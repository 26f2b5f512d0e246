"""Output of programs: log lines on stderr, errors that a user can act on, and the exit status."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator

from jaxkd.runtime import lost_process
from jaxkd.runtime.compilation_cache import keep_compiled_programs
from jaxkd.runtime.interrupt import Interrupted, raise_on_termination

EXPECTED = (ValueError, TypeError, OSError, FloatingPointError, ImportError)
"""Errors that a user can fix, shown as messages.  Others are bugs and keep their traceback."""

INTERRUPTED = 75
"""Exit status of a program that is to be started again, after a request to stop or the loss of another process:
EX_TEMPFAIL of sysexits.h."""


def run_program(body: Callable[[], None]) -> None:
    """Run a program's body with readable logging; a user's mistake ends it with one message.

    Raises:
        SystemExit: status 1 for a mistake, 75 for a run that was stopped on request and goes on by the same command,
            130 for Ctrl-C where nothing could be saved.  A process whose run lost another one ends at once, with 75.
    """
    # transformers would otherwise report at every start that it found no torch.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    keep_compiled_programs()
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("jaxkd").setLevel(logging.INFO)
    with one_message(), lost_process.ends():
        try:
            with raise_on_termination():
                body()
        except Interrupted as stop:
            sys.stderr.write(f"{stop}\n")
            raise SystemExit(INTERRUPTED) from None
        except KeyboardInterrupt:
            sys.stderr.write("interrupted. Run the same command to go on.\n")
            raise SystemExit(130) from None


@contextlib.contextmanager
def one_message() -> Iterator[None]:
    """Turn a user's mistake into one line on stderr and status 1."""
    try:
        yield
    except EXPECTED as error:
        if _is_bug(error):
            raise
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None


def importing(module: str) -> contextlib.AbstractContextManager[None]:
    """Return `one_message` for the imports of a program, and nothing for a module that is imported itself.

    Args:
        module: `__name__` of the program.
    """
    return one_message() if module == "__main__" else contextlib.nullcontext()


def _is_bug(error: Exception) -> bool:
    """Whether a part of this package is missing, and not a package that the user can install."""
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] == __name__.partition(".")[0]
